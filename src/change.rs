//! WRITES, in four pure steps and one that acts: plan → preview → apply → verify → keep or revert.

pub mod apply;
pub mod plan;
