//! PURE. The list of what can be done with a row.
//!
//! ```text
//! ╭ centos7 · 52:54:00:aa:fc:1c ──────────────────────────────────────────────╮
//! │▸ s  NIC: switch it to another network, bridge or macvtap                  │
//! │  y  NIC: apply what the next boot has, now    now and next boot are equal │
//! ╰───────────────────────────────────────────────────────────────────────────╯
//! ```

use ratatui::text::{Line, Span};

use crate::app::menu::Menu;
use crate::ui::text::{escape, fit, truncate, width};
use crate::ui::theme::{Role, Theme};

pub(super) fn lines<'a>(menu: &Menu, theme: Theme, room: usize) -> Vec<Line<'a>> {
    let longest = menu.items.iter().map(|item| width(&item.text)).max().unwrap_or(0);
    let line = |(at, item): (usize, &crate::app::menu::Item)| {
        let selected = at == menu.cursor;
        let style = match (selected, &item.obstacle) {
            (true, _) => theme.style(Role::Selected),
            (false, Some(_)) => theme.style(Role::Dim),
            (false, None) => theme.style(Role::Text),
        };
        let left = room.saturating_sub(longest + 9);
        let why = item.obstacle.as_deref().unwrap_or_default();
        Line::from(vec![
            Span::styled(if selected { "▸ " } else { "  " }, theme.style(Role::Key)),
            Span::styled(format!("{}  ", item.key), theme.style(Role::Key)),
            Span::styled(fit(&item.text, longest, '…'), style),
            Span::styled(format!("  {}", truncate(&escape(why), left, '…')), theme.style(Role::Dim)),
        ])
    };
    menu.items.iter().enumerate().map(line).collect()
}
