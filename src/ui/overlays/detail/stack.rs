//! PURE. A NIC of the host below macvtaps, and the shim by which the host reaches them.

use ratatui::text::Line;

use super::{Lines, counter_lines, field, heading, optional};
use crate::app::rows::stack::{self, Upper};
use crate::change::shim;
use crate::model::Snapshot;
use crate::model::kernel::{Link, LinkKind, Route};
use crate::ui::text::escape;
use crate::ui::theme::{Role, Theme};

/// Its addresses, and who is on it.
pub(super) fn lower_lines<'a>(snapshot: &Snapshot, link: &Link, theme: Theme) -> Lines<'a> {
    let mut lines = of_link(snapshot, link, theme);
    lines.extend([Line::raw(""), heading("on it", theme)]);
    let on_it = stack::all(snapshot).find(|found| found.lower.index == link.index);
    let mut has_shim = false;
    for upper in on_it.into_iter().flat_map(stack::Stack::uppers) {
        let (name, what) = (upper.link().name.to_string(), words(upper));
        has_shim |= matches!(upper, Upper::Shim(_));
        lines.push(Line::raw(format!("  {name:<16}{what}")));
    }
    if !has_shim {
        let text = "  this host and these guests do not hear each other; a, then m: a shim lets them talk";
        lines.push(Line::styled(text, theme.style(Role::Dim)));
    }
    lines
}

/// Where it leads to.
pub(super) fn shim_lines<'a>(snapshot: &Snapshot, link: &Link, theme: Theme) -> Lines<'a> {
    let mut lines = of_link(snapshot, link, theme);
    lines.extend([Line::raw(""), heading("routes by it", theme)]);
    // An address of its own brings a route that leads nowhere else.
    let now = shim::After::now(link.name, &snapshot.kernel);
    let to_guests = |route: &&Route| now.routes().contains(&route.destination);
    for route in shim::routes_by(&snapshot.kernel, link).filter(to_guests) {
        let to = route.destination.addr();
        let owner = snapshot.nics.iter().find(|nic| nic.addresses.iter().any(|seen| seen.address == to));
        let source = route.prefsrc.map_or_else(String::new, |source| format!("from {source}"));
        let owner = optional(owner.map(|nic| nic.guest.as_str()));
        lines.push(Line::raw(format!("  {:<28}{owner:<20}{source}", route.destination.to_string())));
    }
    if let Some(counters) = snapshot.counters(link.index) {
        lines.extend([Line::raw(""), heading("counters, the host's side", theme)]);
        lines.extend(counter_lines(counters, theme));
    }
    lines
}

fn of_link<'a>(snapshot: &Snapshot, link: &Link, theme: Theme) -> Lines<'a> {
    let of_it = snapshot.kernel.addresses.iter().filter(|own| own.index == link.index && own.is_global());
    let addresses: Vec<String> = of_it.map(|own| own.address.to_string()).collect();
    let state = if link.up { link.oper_state.clone() } else { "down".to_owned() };
    vec![
        field("kind", link.kind.word().to_owned(), theme),
        field("state", escape(&state).into_owned(), theme),
        field("mac", link.mac.map_or_else(|| "–".to_owned(), |mac| mac.to_string()), theme),
        field("mtu", link.mtu.to_string(), theme),
        field("addresses", if addresses.is_empty() { "–".to_owned() } else { addresses.join(" ") }, theme),
    ]
}

fn words(upper: Upper<'_>) -> String {
    match upper {
        Upper::Macvtap(link, nic) => {
            let mode = match link.kind {
                LinkKind::Macvtap { mode } => mode.word(),
                _ => "–",
            };
            format!("macvtap {mode:<12}{}", escape(&nic.guest))
        }
        Upper::Shim(_) => "shim: this host's own end".to_owned(),
    }
}
