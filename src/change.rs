//! WRITES, in pure steps and one that acts: want + snapshot → [`plan`] → preview → [`apply`] → verify →
//! keep or revert. [`splice`], [`target`] and [`plan`] are pure; only [`apply`] and [`journal`] do I/O.

pub mod apply;
pub mod bridge;
mod consequences;
pub mod console;
pub mod device;
pub mod host;
pub mod journal;
pub mod many;
pub mod models;
pub mod network;
pub mod new_guest;
pub mod nic;
pub mod plan;
pub mod power;
pub mod shim;
pub mod splice;
pub mod target;
pub mod undo;

pub use apply::{Outcome, Progress, StepState};
pub use plan::{Bounce, Edit, Plan, Refusal, Step, StepId, Verdict, Want, When};
pub use power::{Power, PowerPlan};
pub use target::{Availability, Choice, Target};
