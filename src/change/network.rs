//! PURE. libvirt networks: what one shall be → its XML, checked against the whole host → a plan whose
//! way back is made before its first step. Only `change::apply::network` carries it out.

pub mod check;
pub mod clone;
pub mod edit;
mod element;
pub mod plan;
pub mod propose;
pub mod spec;
mod update;

pub use clone::{CloneSpec, propose_name};
pub use edit::{Edit, ForwardDev, Portgroup, Setting};
pub use plan::{
    Action, Autostart, Leash, NetworkPlan, NetworkStep, NetworkWant, Services, StaticLease, plan,
};
pub use propose::{propose_bridge, propose_subnet, propose_subnet_like, propose_subnet6};
pub use spec::{Mode, NetworkSpec, SubnetSpec};
