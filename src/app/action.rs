//! PURE. The one table of actions: it feeds the keymap, the footer, the help, the README and the man page.

/// Everything a key can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// End.
    Quit,
    /// Help.
    Help,
    /// Cursor up.
    Up,
    /// Cursor down.
    Down,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// First row.
    First,
    /// Last row.
    Last,
    /// Next pane.
    NextPane,
    /// Previous pane.
    PreviousPane,
    /// The NICs.
    Nics,
    /// The bridges.
    Bridges,
    /// The rules.
    Rules,
    /// The networks.
    Networks,
    /// Detail of the row.
    Detail,
    /// Switch the NIC.
    Switch,
    /// Take the last change back.
    Undo,
    /// The running or last change.
    Change,
    /// Filter.
    Filter,
    /// Another sort column.
    Sort,
    /// The other sort direction.
    Reverse,
    /// Stop the figures.
    Freeze,
    /// Read again.
    Refresh,
    /// Messages.
    Messages,
    /// Everything that can be done with the row.
    Menu,
    /// Mark the NIC.
    Mark,
    /// Mark all NICs of the same place.
    MarkAll,
    /// Next field of a form.
    NextField,
    /// Previous field of a form.
    PreviousField,
    /// Another value of a field.
    NextValue,
    /// The value before.
    PreviousValue,
    /// Mouse on and off.
    Mouse,
    /// Draw anew.
    Repaint,
    /// Suspend.
    Suspend,
    /// Close.
    Close,
    /// Apply the plan.
    Apply,
    /// When it takes effect.
    When,
    /// Macvtap mode.
    Mode,
    /// NIC model.
    Model,
    /// Link bounce.
    Bounce,
    /// What is wrong.
    Doctor,
    /// The way of the NIC's packets.
    Path,
    /// Ask for real.
    Probe,
    /// From a finding to its row.
    Jump,
    /// What mends it.
    Fix,
    /// Keep the change of a bridge that waits.
    Keep,
    /// Take it back now.
    PutBack,
    /// A new bridge.
    NewBridge,
    /// Whole diff.
    Diff,
    /// Commands.
    Commands,
    /// Stop the program that makes a guest.
    Stop,
}

impl Action {
    /// Its name in the settings: `page-up`.
    #[must_use]
    pub fn name(self) -> String {
        kebab(&format!("{self:?}"))
    }
}

/// `PageUp` → `page-up`.
fn kebab(variant: &str) -> String {
    let mut name = String::new();
    for c in variant.chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

/// Where keys mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Context {
    /// Everywhere but in a text field.
    Everywhere,
    /// The panes.
    Panes,
    /// A box with text to scroll.
    Scroll,
    /// A box that is only read.
    Text,
    /// The list of what can be done.
    Menu,
    /// A form.
    Form,
    /// The switch form.
    Switch,
    /// A question about a plan.
    Confirm,
    /// The steps of a change.
    Steps,
    /// What is wrong.
    Doctor,
    /// The way of a packet.
    Path,
}

impl Context {
    /// Its name in the settings.
    #[must_use]
    pub fn name(self) -> String {
        kebab(&format!("{self:?}"))
    }

    /// The heading in the help.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Everywhere => "everywhere",
            Self::Panes => "panes",
            Self::Scroll => "a box with text",
            Self::Text => "help, details, messages",
            Self::Menu => "the list of what can be done",
            Self::Form => "a form",
            Self::Switch => "the switch form",
            Self::Confirm => "a question",
            Self::Steps => "a change and its steps",
            Self::Doctor => "the doctor's findings",
            Self::Path => "the path of a NIC's packets",
        }
    }
}

impl Context {
    /// Itself and those whose keys count there too.
    #[must_use]
    pub const fn layers(self) -> &'static [Self] {
        match self {
            Self::Everywhere => &[Self::Everywhere],
            Self::Panes => &[Self::Panes, Self::Everywhere],
            Self::Scroll | Self::Text => &[Self::Text, Self::Scroll, Self::Everywhere],
            Self::Menu => &[Self::Menu, Self::Everywhere],
            // Its keys are letters of a text; only those with control count everywhere.
            Self::Form => &[Self::Form],
            Self::Switch => &[Self::Switch, Self::Everywhere],
            Self::Confirm => &[Self::Confirm, Self::Scroll, Self::Everywhere],
            Self::Steps => &[Self::Steps, Self::Scroll, Self::Everywhere],
            Self::Doctor => &[Self::Doctor, Self::Everywhere],
            Self::Path => &[Self::Path, Self::Everywhere],
        }
    }
}

/// One line of the table.
#[derive(Debug)]
pub struct Spec {
    /// What.
    pub action: Action,
    /// Where.
    pub context: Context,
    /// Default keys, the first is the one shown.
    pub keys: &'static [&'static str],
    /// A word or two for the footer; empty when it is not worth its room there.
    pub short: &'static str,
    /// One line for the help.
    pub doc: &'static str,
}

const fn spec(
    context: Context,
    action: Action,
    keys: &'static [&'static str],
    short: &'static str,
    doc: &'static str,
) -> Spec {
    Spec { action, context, keys, short, doc }
}

/// The table.
pub const ACTIONS: &[Spec] = &[
    spec(
        Context::Panes,
        Action::Switch,
        &["s"],
        "switch",
        "plug the NIC into another network, bridge or macvtap",
    ),
    spec(Context::Panes, Action::Detail, &["Enter"], "details", "all about the row"),
    spec(Context::Panes, Action::Menu, &["a"], "actions", "all that can be done with the row"),
    spec(Context::Panes, Action::Doctor, &["d"], "doctor", "what is wrong, why, and what mends it"),
    spec(
        Context::Panes,
        Action::Path,
        &["p"],
        "path",
        "the way of the NIC's packets, rule by rule, and who reaches whom",
    ),
    spec(Context::Panes, Action::NewBridge, &["b"], "", "make a bridge over a NIC of the host"),
    spec(
        Context::Panes,
        Action::Undo,
        &["u"],
        "undo",
        "take the last change of a NIC or shim back, with a preview",
    ),
    spec(Context::Panes, Action::Mark, &["x"], "", "mark the NIC; s switches all marked ones together"),
    spec(Context::Panes, Action::MarkAll, &["X"], "", "mark all NICs of the same place, or none"),
    spec(
        Context::Panes,
        Action::Filter,
        &["/"],
        "filter",
        "show only rows with this text; Esc shows all again",
    ),
    spec(Context::Panes, Action::Sort, &["o"], "", "sort the NICs by the next column"),
    spec(Context::Panes, Action::Reverse, &["O"], "", "turn the order round"),
    spec(Context::Panes, Action::Freeze, &["Space"], "freeze", "stop the figures where they are, and go on"),
    spec(Context::Panes, Action::Up, &["Up", "k"], "", "up"),
    spec(Context::Panes, Action::Down, &["Down", "j"], "", "down"),
    spec(Context::Panes, Action::PageUp, &["PageUp", "Ctrl-b"], "", "a page up"),
    spec(Context::Panes, Action::PageDown, &["PageDown", "Ctrl-f"], "", "a page down"),
    spec(Context::Panes, Action::First, &["Home", "g"], "", "first row"),
    spec(Context::Panes, Action::Last, &["End", "G"], "", "last row"),
    spec(Context::Panes, Action::NextPane, &["Tab", "Right", "l"], "pane", "next pane"),
    spec(Context::Panes, Action::PreviousPane, &["Shift-Tab", "Left", "h"], "", "previous pane"),
    spec(Context::Panes, Action::Nics, &["1"], "", "NICs"),
    spec(Context::Panes, Action::Bridges, &["2"], "", "bridges and ports"),
    spec(Context::Panes, Action::Rules, &["3"], "", "NAT rules"),
    spec(Context::Panes, Action::Networks, &["4"], "", "networks"),
    spec(Context::Panes, Action::Change, &["c"], "", "the running or last change and its steps"),
    spec(Context::Panes, Action::Messages, &["m"], "", "messages so far"),
    spec(Context::Panes, Action::Refresh, &["r"], "", "read everything again now"),
    spec(Context::Panes, Action::Mouse, &["M"], "", "mouse wheel on, or off so that copying works"),
    spec(Context::Everywhere, Action::Help, &["?"], "all keys", "this list"),
    spec(Context::Everywhere, Action::Keep, &["K"], "", "keep the change of a bridge that waits for it"),
    spec(Context::Everywhere, Action::PutBack, &["R"], "", "put everything back that waits to be kept, now"),
    spec(Context::Everywhere, Action::Repaint, &["Ctrl-l"], "", "draw the screen anew"),
    spec(Context::Everywhere, Action::Suspend, &["Ctrl-z"], "", "suspend; fg comes back"),
    spec(Context::Panes, Action::Quit, &["q", "Ctrl-c"], "quit", "quit; a running change is finished first"),
    spec(Context::Doctor, Action::Fix, &["f"], "fix", "mend it: preview first"),
    spec(Context::Doctor, Action::Jump, &["Enter"], "go there", "to the row it is about; d comes back"),
    spec(Context::Doctor, Action::Close, &["Esc", "q", "d"], "close", "close"),
    spec(Context::Doctor, Action::Up, &["Up", "k"], "", "finding above"),
    spec(Context::Doctor, Action::Down, &["Down", "j"], "", "finding below"),
    spec(Context::Doctor, Action::PageUp, &["PageUp", "Ctrl-b"], "", "its text: a page up"),
    spec(Context::Doctor, Action::PageDown, &["PageDown", "Ctrl-f", "Space"], "", "its text: a page down"),
    spec(Context::Path, Action::NextField, &["Tab", "Down", "j"], "other end", "the next other end"),
    spec(Context::Path, Action::PreviousField, &["Shift-Tab", "Up", "k"], "", "the other end before"),
    spec(Context::Path, Action::Probe, &["p"], "probe", "ask for real, by ARP and ping, and compare"),
    spec(Context::Path, Action::Close, &["Esc", "q"], "close", "close"),
    spec(Context::Path, Action::PageUp, &["PageUp", "Ctrl-b"], "", "the way: a page up"),
    spec(Context::Path, Action::PageDown, &["PageDown", "Ctrl-f", "Space"], "more", "the way: a page down"),
    spec(Context::Text, Action::Close, &["Esc", "q", "Enter"], "close", "close"),
    spec(Context::Scroll, Action::Up, &["Up", "k"], "scroll", "scroll up"),
    spec(Context::Scroll, Action::Down, &["Down", "j"], "", "scroll down"),
    spec(Context::Scroll, Action::PageUp, &["PageUp", "Ctrl-b"], "", "a page up"),
    spec(Context::Scroll, Action::PageDown, &["PageDown", "Ctrl-f", "Space"], "", "a page down"),
    spec(Context::Scroll, Action::First, &["Home", "g"], "", "to the top"),
    spec(Context::Scroll, Action::Last, &["End", "G"], "", "to the end"),
    spec(Context::Menu, Action::Apply, &["Enter"], "choose", "do it; its letter does it at once"),
    spec(Context::Menu, Action::Close, &["Esc", "q"], "close", "close; nothing is changed"),
    spec(Context::Menu, Action::Up, &["Up"], "", "line above"),
    spec(Context::Menu, Action::Down, &["Down"], "", "line below"),
    spec(Context::Form, Action::Apply, &["Enter"], "apply", "do what the preview says"),
    spec(Context::Form, Action::Close, &["Esc"], "leave everything as it is", "close; nothing is changed"),
    spec(Context::Form, Action::NextField, &["Down", "Tab"], "field", "next field"),
    spec(Context::Form, Action::PreviousField, &["Up", "Shift-Tab"], "", "previous field"),
    spec(Context::Form, Action::NextValue, &["Right"], "value", "next value of a choice"),
    spec(Context::Form, Action::PreviousValue, &["Left"], "", "previous value of a choice"),
    spec(Context::Form, Action::Diff, &["Ctrl-x"], "diff", "the whole text before and after"),
    spec(Context::Form, Action::Commands, &["Ctrl-o"], "commands", "the same by hand"),
    spec(Context::Form, Action::PageUp, &["PageUp"], "", "preview: a page up"),
    spec(Context::Form, Action::PageDown, &["PageDown"], "", "preview: a page down"),
    spec(Context::Form, Action::Keep, &["Ctrl-k"], "", "keep the change of a bridge that waits for it"),
    spec(Context::Form, Action::PutBack, &["Ctrl-r"], "", "put everything back that waits to be kept, now"),
    spec(Context::Switch, Action::Apply, &["Enter"], "apply", "do what the preview says"),
    spec(
        Context::Switch,
        Action::Close,
        &["Esc", "q"],
        "leave everything as it is",
        "close; nothing is changed",
    ),
    spec(Context::Switch, Action::Up, &["Up", "k"], "", "target above"),
    spec(Context::Switch, Action::Down, &["Down", "j"], "", "target below"),
    spec(Context::Switch, Action::When, &["w"], "when", "now and at next boot, or next boot only"),
    spec(Context::Switch, Action::Mode, &["m"], "", "macvtap mode: bridge, vepa, private, passthrough"),
    spec(Context::Switch, Action::Model, &["M"], "", "NIC model"),
    spec(Context::Switch, Action::Bounce, &["b"], "", "how long the link goes down, or not at all"),
    spec(Context::Switch, Action::Diff, &["x"], "diff", "the whole definition before and after"),
    spec(Context::Switch, Action::Commands, &["c"], "commands", "the same with virsh"),
    spec(Context::Switch, Action::PageUp, &["PageUp", "Ctrl-b"], "", "preview: a page up"),
    spec(Context::Switch, Action::PageDown, &["PageDown", "Ctrl-f"], "", "preview: a page down"),
    spec(Context::Confirm, Action::Apply, &["Enter"], "do it", "do what the preview says"),
    spec(
        Context::Confirm,
        Action::Close,
        &["Esc", "q"],
        "leave everything as it is",
        "close; nothing is changed",
    ),
    spec(Context::Confirm, Action::Diff, &["x"], "diff", "the whole text before and after"),
    spec(Context::Confirm, Action::Commands, &["c"], "commands", "the same by hand"),
    spec(Context::Steps, Action::Undo, &["u"], "undo", "take this change back, with a preview"),
    spec(Context::Steps, Action::Stop, &["S"], "", "stop virt-install; what it leaves is told"),
    spec(
        Context::Steps,
        Action::Close,
        &["Esc", "q", "Enter"],
        "close",
        "close; a running change goes on in the background",
    ),
];
