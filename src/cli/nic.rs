//! `virt-net nic`: cable in and out, a new NIC, a device of the host, one that goes, and pending changes, each
//! with a preview first and proof afterwards.

mod devices;

use std::time::Duration;

use clap::{Args, Subcommand};
use color_eyre::eyre::Result;

use super::select::{self, Selection};
use super::switch::{self, Consent, parse_target};
use super::{ExitStatus, complain, preview};
use crate::change::device::{self, NewDevice};
use crate::change::nic::{self, NewNic};
use crate::change::splice::LinkState;
use crate::change::{Plan, Refusal, Target, When};
use crate::model::{Mac, NicId, PciAddress, Snapshot};
use crate::source::{self, SourceOptions};

/// Arguments of `nic`.
#[derive(Debug, Args)]
pub struct NicArgs {
    #[command(subcommand)]
    action: Action,
}

impl NicArgs {
    /// Devices are listed, and nothing else.
    pub(super) const fn only_looks(&self) -> bool {
        matches!(self.action, Action::Devices(_))
    }
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Plug the cable in (link state up)
    Up(OneNic),
    /// Pull the cable (link state down)
    Down(OneNic),
    /// Give a guest a new NIC
    Add(New),
    /// List the PCI NICs and VFs of the host, who has them, and what is missing to assign one
    Devices(devices::DevicesArgs),
    /// Assign a PCI NIC or VF of the host to a guest
    Attach(Assign),
    /// Take a NIC away from a guest
    Remove(OneNic),
    /// Put a tap that lost its bridge onto it again
    Reseat(Pending),
    /// Make the running guest's NIC what its next boot has
    Apply(Pending),
    /// Make the next boot what the guest has now
    Discard(Pending),
}

#[derive(Debug, Args)]
struct OneNic {
    #[command(flatten)]
    nic: Which,
    /// Leave the running guest alone: only the next boot changes
    #[arg(long)]
    next_boot: bool,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Debug, Args)]
struct Pending {
    #[command(flatten)]
    nic: Which,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Debug, Args)]
struct Which {
    /// The guest, by name or UUID
    vm: String,
    /// Its NIC: MAC address, name on the host (vnet0), or position from 0; needed if it has several
    nic: Option<String>,
}

#[derive(Debug, Args)]
struct Assign {
    /// The guest, by name or UUID
    vm: String,
    /// Which one: its PCI address, as `virt-net nic devices` lists it
    #[arg(long, value_name = "ADDRESS")]
    device: PciAddress,
    /// A VF's MAC address [default: one that no guest has]
    #[arg(long)]
    mac: Option<Mac>,
    /// The VLAN that the card puts a VF's frames into
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u16).range(1..=4094))]
    vlan: Option<u16>,
    /// Leave the running guest alone: only the next boot has it
    #[arg(long)]
    next_boot: bool,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Debug, Args)]
struct New {
    /// The guest, by name or UUID
    vm: String,
    /// Where to: network=NAME, bridge=NAME or macvtap=LINK[,mode=bridge|vepa|private|passthrough]
    #[arg(long, value_name = "TARGET", value_parser = parse_target)]
    to: Target,
    /// virtio, e1000, …
    #[arg(long, default_value = "virtio")]
    model: String,
    /// Its MAC address [default: one that no guest has]
    #[arg(long)]
    mac: Option<Mac>,
    /// Leave the running guest alone: only the next boot has it
    #[arg(long)]
    next_boot: bool,
    #[command(flatten)]
    consent: Consent,
}

pub(super) async fn run(args: &NicArgs, options: &SourceOptions) -> Result<ExitStatus> {
    let mut sources = source::start(options)?;
    let snapshot = match args.action {
        Action::Add(_) => sources.with_emulators().await,
        Action::Attach(_) | Action::Devices(_) => sources.with_devices().await,
        _ => sources.settled(Duration::from_secs(10)).await,
    };
    if let Some(sentence) = switch::unreadable(&snapshot).filter(|_| !args.only_looks()) {
        complain(&sentence);
        return Ok(ExitStatus::Refused);
    }
    let one = |word: &str, one: &OneNic, make: &dyn Fn(NicId, When) -> Result<Plan, Refusal>| {
        plan(&snapshot, word, &one.nic, |id| make(id, switch::when(one.next_boot)))
    };
    let (planned, consent) = match &args.action {
        Action::Devices(args) => return devices::show(&snapshot, args),
        Action::Up(up) => {
            (one("up", up, &|id, when| nic::link(&snapshot, id, LinkState::Up, when)), &up.consent)
        }
        Action::Down(down) => {
            (one("down", down, &|id, when| nic::link(&snapshot, id, LinkState::Down, when)), &down.consent)
        }
        Action::Remove(gone) => {
            (one("remove", gone, &|id, when| nic::remove(&snapshot, id, when)), &gone.consent)
        }
        Action::Reseat(tap) => {
            (plan(&snapshot, "reseat", &tap.nic, |id| nic::reseat(&snapshot, id)), &tap.consent)
        }
        Action::Apply(now) => {
            (plan(&snapshot, "apply", &now.nic, |id| nic::apply_pending(&snapshot, id)), &now.consent)
        }
        Action::Discard(next) => {
            (plan(&snapshot, "discard", &next.nic, |id| nic::discard_pending(&snapshot, id)), &next.consent)
        }
        Action::Add(new) => (add(&snapshot, new, switch::when(new.next_boot)), &new.consent),
        Action::Attach(new) => (assign(&snapshot, new), &new.consent),
    };
    match planned {
        Ok(Ok(plan)) => switch::carry_out(&plan, consent, &sources).await,
        Ok(Err(refusal)) => {
            preview::refused(&refusal);
            Ok(ExitStatus::Refused)
        }
        Err(sentence) => {
            complain(&sentence);
            Ok(ExitStatus::Usage)
        }
    }
}

/// A plan, a refusal, or a sentence about a word that means nothing here.
type Planned = Result<Result<Plan, Refusal>, String>;

fn plan(
    snapshot: &Snapshot,
    word: &str,
    which: &Which,
    make: impl FnOnce(NicId) -> Result<Plan, Refusal>,
) -> Planned {
    match select::nic(snapshot, &format!("nic {word}"), &which.vm, which.nic.as_deref()) {
        Selection::Found(id) => Ok(make(id)),
        Selection::Unknown(sentence) => Err(sentence),
    }
}

fn assign(snapshot: &Snapshot, new: &Assign) -> Planned {
    let guest = select::guest(snapshot, &new.vm)?.id;
    let Assign { device, mac, vlan, next_boot, .. } = *new;
    Ok(device::attach(snapshot, &NewDevice { guest, device, mac, vlan, when: switch::when(next_boot) }))
}

fn add(snapshot: &Snapshot, new: &New, when: When) -> Planned {
    let guest = select::guest(snapshot, &new.vm)?.id;
    if let Some(sentence) = select::unknown_target(snapshot, &new.to) {
        return Err(sentence);
    }
    let wanted = NewNic { guest, target: new.to.clone(), model: new.model.clone(), mac: new.mac, when };
    Ok(nic::attach(snapshot, &wanted))
}
