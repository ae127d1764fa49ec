//! PURE. What a host's guest network looks like: facts as the sources read them, and the joined
//! [`Snapshot`] that the screen, the command line, the planner and the doctor read.
//!
//! Nothing here does I/O, knows a clock or a terminal. [`facts`] is what `dump` writes and `--replay`
//! reads; [`topology::join`] is the one place where the facts become NICs, bridges, ports and rules
//! that know each other.

pub mod emulator;
pub mod facts;
pub mod firewall;
pub mod guest;
mod guest_xml;
pub mod ids;
pub mod kernel;
pub mod network;
pub mod network_update;
pub mod node_device;
pub mod pci;
pub mod rates;
pub mod services;
pub mod snapshot;
pub mod topology;
pub mod unfinished;

pub use facts::{Facts, Health, SourceState};
pub use guest::{Definition, DomainState, Guest, MacvtapMode, NicConfig, NicSource};
pub use ids::{DomainId, IfIndex, IfName, Mac, NetworkId, NicId, Timestamp};
pub use kernel::{Counters, KernelFacts, Link, LinkKind};
pub use network::{ForwardMode, Lease, Network};
pub use pci::{PciAddress, PciNic};
pub use snapshot::{Bridge, Nic, NicAddress, Origin, Port, Snapshot};
