//! `virt-net`: how every guest NIC of a libvirt host reaches the world now, what is wrong with it, and
//! how to change it safely.
//!
//! ```text
//!  libvirt thread ┐                                     keys/paste/resize ┐
//!  netlink task   ├─ Update → collector ─ watch<Arc<Snapshot>> ───────────┼→ Event → update(&mut App, Event) -> Vec<Effect>
//!  firewall task  ┘   (joins, rates, generation, source health)           │              │            │
//!               Outcome(ChangeId, Result) ← effect runner (apply → verify → revert) ←────┘            ▼
//!                                                                                    view(&App, &Theme, frame) if dirty
//! ```
//!
//! Dependency rule: [`model`] ← [`doctor`], [`path`], [`change::plan`], [`app`] ← [`ui`]. Only [`source`],
//! [`change::apply`], [`change::bridge`] and the journal, [`term`], [`run`], [`cli`], [`config`] and
//! [`logging`] do I/O. `ratatui` is named only in `ui` and `term`, `crossterm` only in `term`, `virt` and
//! `rtnetlink` only in `source`, `change::apply` and `change::bridge`. A test keeps it so.

pub mod app;
pub mod change;
pub mod cli;
pub mod config;
pub mod doctor;
pub mod logging;
pub mod model;
pub mod path;
pub mod run;
pub mod source;
pub mod term;
pub mod ui;
