//! PURE. libvirt networks: what one shall be → its XML, checked against the whole host → a plan whose
//! way back is made before its first step. Only `change::apply::network` carries it out.

pub mod check;
pub mod edit;
pub mod plan;
pub mod spec;

pub use check::{propose_bridge, propose_subnet};
pub use edit::{Edit, ForwardDev};
pub use plan::{Action, Leash, NetworkPlan, NetworkStep, NetworkWant, Services, StaticLease, plan};
pub use spec::{Mode, NetworkSpec, SubnetSpec};
