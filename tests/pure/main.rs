//! Pure logic and views: no privilege, no process, no clock.

mod definitions;
mod plan;
mod splice;
