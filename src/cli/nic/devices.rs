//! `virt-net nic devices`: the PCI NICs and VFs that a guest could get, why not, and what the host lacks.

use clap::Args;
use color_eyre::eyre::Result;
use serde::Serialize;

use crate::change::device;
use crate::cli::table::Table;
use crate::cli::{ExitStatus, json_text, print};
use crate::model::pci::{Iommu, PciNic};
use crate::model::{DomainState, Snapshot};
use crate::ui::text::escape;

#[derive(Debug, Args)]
pub(super) struct DevicesArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn show(snapshot: &Snapshot, args: &DevicesArgs) -> Result<ExitStatus> {
    let listing = Listing::of(snapshot);
    print(&if args.json { json_text(&listing)? } else { listing.print() })?;
    Ok(ExitStatus::Done)
}

/// Everything that is printed; the JSON's shape.
#[derive(Debug, Serialize)]
struct Listing {
    iommu: Iommu,
    devices: Vec<Row>,
    missing: Vec<Lack>,
}

#[derive(Debug, Serialize)]
struct Row {
    address: String,
    /// `VF 1 of enp1s0f0`, `card with 4 of 63 VFs` or `NIC`.
    kind: String,
    id: String,
    name: Option<String>,
    links: Vec<String>,
    driver: Option<String>,
    iommu_group: Option<u32>,
    /// The other devices of its group.
    shares_group_with: Vec<String>,
    functions: Vec<String>,
    most_functions: u32,
    /// A guest can have it now.
    available: bool,
    /// Free, or why it cannot be taken.
    state: String,
    way_out: Option<String>,
    guests: Vec<Holder>,
}

#[derive(Debug, Serialize)]
struct Holder {
    guest: String,
    state: DomainState,
    /// It runs with it; else only its next boot has it.
    runs_with_it: bool,
}

#[derive(Debug, Serialize)]
struct Lack {
    reason: String,
    way_out: String,
}

impl Listing {
    fn of(snapshot: &Snapshot) -> Self {
        let lack = |missing: device::Missing| Lack { reason: missing.reason, way_out: missing.way_out };
        Self {
            iommu: snapshot.pci.iommu,
            devices: snapshot.pci_nics().iter().map(|nic| Row::of(snapshot, nic)).collect(),
            missing: device::missing(snapshot).into_iter().map(lack).collect(),
        }
    }

    fn print(&self) -> String {
        let mut out = String::new();
        if !self.devices.is_empty() {
            let mut table = Table::new(&["DEVICE", "KIND", "NAME", "LINK", "DRIVER", "GROUP", "STATE"]);
            for row in &self.devices {
                table.row(row.cells());
            }
            out.push_str(&table.print());
        }
        for lack in &self.missing {
            out.push_str(&format!("{}\n  {}\n", escape(&lack.reason), escape(&lack.way_out)));
        }
        out
    }
}

impl Row {
    fn of(snapshot: &Snapshot, nic: &PciNic) -> Self {
        let obstacle = device::obstacle(snapshot, nic.address);
        let texts = |addresses: &mut dyn Iterator<Item = String>| addresses.collect::<Vec<String>>();
        let holder = |holder: device::Holder<'_>| Holder {
            guest: holder.guest.name.clone(),
            state: holder.guest.state,
            runs_with_it: holder.runs,
        };
        let others = nic.group.iter().flat_map(|group| &group.others);
        Self {
            address: nic.address.to_string(),
            kind: device::kind(snapshot, nic),
            id: nic.id.clone(),
            name: snapshot.pci_name(nic).map(str::to_owned),
            links: texts(&mut nic.links.iter().map(ToString::to_string)),
            driver: nic.driver.clone(),
            iommu_group: nic.group.as_ref().map(|group| group.number),
            shares_group_with: texts(&mut others.map(|other| other.address.to_string())),
            functions: texts(&mut nic.functions.iter().map(ToString::to_string)),
            most_functions: nic.most_functions,
            available: obstacle.is_none(),
            state: device::state(snapshot, nic),
            way_out: obstacle.map(|(_, way_out)| way_out),
            guests: device::holders(snapshot, nic.address).into_iter().map(holder).collect(),
        }
    }

    fn cells(&self) -> Vec<String> {
        let dash = |text: String| if text.is_empty() { "–".to_owned() } else { text };
        let state = match &self.way_out {
            Some(way_out) => format!("{}: {way_out}", self.state),
            None => self.state.clone(),
        };
        vec![
            self.address.clone(),
            self.kind.clone(),
            escape(self.name.as_deref().unwrap_or(&self.id)).into_owned(),
            dash(self.links.join(" ")),
            escape(&dash(self.driver.clone().unwrap_or_default())).into_owned(),
            self.iommu_group.map_or_else(|| "–".to_owned(), |group| group.to_string()),
            escape(&state).into_owned(),
        ]
    }
}
