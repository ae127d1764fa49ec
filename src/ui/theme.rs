//! PURE. Semantic roles → styles. The default is the sixteen ANSI colours, which every terminal has and
//! its owner has chosen; the mono theme uses attributes alone. Colour only adds to what a glyph or word says.

use ratatui::style::{Color, Modifier, Style};

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Ordinary text.
    Text,
    /// Less important.
    Dim,
    /// More important.
    Strong,
    /// The program's name, titles of boxes.
    Title,
    /// Header and footer.
    Bar,
    /// Column headings.
    Heading,
    /// The row with the cursor in the focused pane.
    Selected,
    /// A row that belongs to the selected one.
    Linked,
    /// In order.
    Good,
    /// Wants attention.
    Warn,
    /// Broken.
    Bad,
    /// A key to press.
    Key,
    /// The frame of a pane.
    Border,
    /// The frame of the focused pane.
    Focus,
    /// Figures of a source that is gone.
    Stale,
    /// Removed lines.
    Removed,
    /// Added lines.
    Added,
}

/// Which styles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Theme {
    /// Sixteen ANSI colours.
    #[default]
    Ansi,
    /// Bold, dim and reverse only.
    Mono,
}

impl Theme {
    /// The style of a role.
    #[must_use]
    pub fn style(self, role: Role) -> Style {
        match self {
            Self::Ansi => ansi(role),
            Self::Mono => mono(role),
        }
    }
}

fn ansi(role: Role) -> Style {
    let style = Style::new();
    match role {
        Role::Text | Role::Bar => style,
        Role::Dim | Role::Border => style.fg(Color::DarkGray),
        Role::Strong => style.add_modifier(Modifier::BOLD),
        Role::Title | Role::Linked => style.fg(Color::Cyan).add_modifier(Modifier::BOLD),
        Role::Heading | Role::Focus => style.fg(Color::Cyan),
        Role::Selected => style.add_modifier(Modifier::REVERSED),
        Role::Good | Role::Added => style.fg(Color::Green),
        Role::Warn => style.fg(Color::Yellow).add_modifier(Modifier::BOLD),
        Role::Bad => style.fg(Color::Red).add_modifier(Modifier::BOLD),
        Role::Key => style.fg(Color::Yellow),
        Role::Stale => style.fg(Color::DarkGray).add_modifier(Modifier::ITALIC),
        Role::Removed => style.fg(Color::Red),
    }
}

fn mono(role: Role) -> Style {
    let style = Style::new();
    match role {
        Role::Text | Role::Bar | Role::Border | Role::Good | Role::Removed | Role::Added => style,
        Role::Dim | Role::Stale => style.add_modifier(Modifier::DIM),
        Role::Strong | Role::Title | Role::Linked | Role::Warn | Role::Bad | Role::Key | Role::Focus => {
            style.add_modifier(Modifier::BOLD)
        }
        Role::Heading => style.add_modifier(Modifier::UNDERLINED),
        Role::Selected => style.add_modifier(Modifier::REVERSED),
    }
}
