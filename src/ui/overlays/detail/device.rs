//! PURE. What the host knows of a device that a guest has: little, because its packets do not pass here.

use ratatui::text::Line;

use super::{field, heading};
use crate::change::device;
use crate::model::{PciAddress, Snapshot};
use crate::ui::text::escape;
use crate::ui::theme::{Role, Theme};

/// Its place, driver and group, in place of link and bridge.
pub(super) fn lines<'a>(snapshot: &Snapshot, address: PciAddress, theme: Theme) -> Vec<Line<'a>> {
    let Some(nic) = snapshot.pci_nic(address) else {
        return vec![
            field("device", address.to_string(), theme),
            Line::styled("  ▲ this host has no such PCI NIC", theme.style(Role::Warn)),
        ];
    };
    let name = snapshot.pci_name(nic).unwrap_or(&nic.id);
    let driver = nic.driver.as_deref().unwrap_or("none");
    let mut lines = vec![
        field("device", format!("{address}, {}", device::kind(snapshot, nic)), theme),
        field("name", escape(name).into_owned(), theme),
        field("driver", escape(driver).into_owned(), theme),
    ];
    if !nic.links.is_empty() {
        let names: Vec<String> = nic.links.iter().map(ToString::to_string).collect();
        lines.push(field("link", format!("{}: it is with the host now", names.join(" ")), theme));
    }
    if let Some(group) = &nic.group {
        lines.push(field("IOMMU group", group.number.to_string(), theme));
    }
    lines
}

/// In place of graphs and counters.
pub(super) fn traffic<'a>(theme: Theme) -> Vec<Line<'a>> {
    vec![
        heading("traffic", theme),
        Line::styled(
            "  not counted here: its packets go by the card, past this host",
            theme.style(Role::Dim),
        ),
    ]
}
