//! What is written in one place and shown in many is the same everywhere: the table of actions, the help,
//! the README, the man page, the completions, the sample settings; and the dependency rule of the crate.
//!
//! After a wanted change `VIRT_NET_WRITE=1 cargo test --test pure registry::` writes the files anew.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use clap::{Command, CommandFactory as _};
use virt_net::app::keymap::KeymapError;
use virt_net::app::{ACTIONS, Action, Code, Context, Key, Keymap};
use virt_net::cli::Cli;
use virt_net::config::Config;
use virt_net::ui::words::SIGNS;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The file has this text, or gets it where that was asked for.
#[track_caller]
fn is_in_sync(path: &str, wanted: &str) {
    let file = here(path);
    if std::env::var_os("VIRT_NET_WRITE").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, wanted).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = found.lines().zip(wanted.lines()).position(|(found, wanted)| found != wanted);
    assert!(
        found == wanted,
        "{path} is out of date (line {differs:?}): VIRT_NET_WRITE=1 cargo test --test pure registry::"
    );
}

/// The places in the order of the table.
fn places() -> Vec<Context> {
    let mut places = Vec::new();
    for spec in ACTIONS {
        if !places.contains(&spec.context) {
            places.push(spec.context);
        }
    }
    places
}

#[test]
fn every_line_of_the_table_says_what_it_does() {
    for spec in ACTIONS {
        let what = format!("{:?} in {:?}", spec.action, spec.context);
        assert!(!spec.keys.is_empty(), "{what} has a key");
        assert!(spec.doc.len() >= 2 && !spec.doc.ends_with('.'), "{what} has its doc: {:?}", spec.doc);
        for name in spec.keys {
            let key = Key::parse(name).unwrap_or_else(|| panic!("{what}: {name} is a key"));
            assert_eq!(key.to_string(), *name, "{what}: the name is the one that is shown");
        }
        let same = ACTIONS.iter().filter(|one| (one.action, one.context) == (spec.action, spec.context));
        assert_eq!(same.count(), 1, "{what} stands once");
    }
}

#[test]
fn one_key_means_one_thing_in_each_place() {
    Keymap::default().check().unwrap();
    let map = Keymap::default();
    for spec in ACTIONS {
        for name in spec.keys {
            let key = Key::parse(name).unwrap();
            assert_eq!(map.find(key, spec.context), Some(spec.action), "{name} in {:?}", spec.context);
        }
    }
}

#[test]
fn keys_are_changed_by_name_and_mistakes_are_told() {
    let keys = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut map = Keymap::default();
    map.set("panes", "quit", &keys(&["Ctrl-q"])).unwrap();
    map.check().unwrap();
    let ctrl_q = Key { code: Code::Char('q'), ctrl: true };
    assert_eq!(map.find(ctrl_q, Context::Panes), Some(Action::Quit));
    assert_eq!(map.find(Key::plain(Code::Char('q')), Context::Panes), None);

    let told = |place: &str, action: &str, names: &[&str]| {
        let mut map = Keymap::default();
        map.set(place, action, &keys(names)).and_then(|()| map.check()).unwrap_err().to_string()
    };
    assert!(told("pains", "quit", &["q"]).contains("the places are"));
    assert!(told("panes", "quitt", &["q"]).ends_with("did you mean quit?"));
    assert!(told("panes", "quit", &["F99"]).contains("\"F99\" is no key"));
    assert!(told("panes", "quit", &[]).contains("at least one key"));
    assert!(told("panes", "quit", &["s"]).contains("s would mean both"));
    let mut map = Keymap::default();
    map.set("everywhere", "help", &keys(&["j"])).unwrap();
    assert!(matches!(map.check(), Err(KeymapError::Twice { .. })), "a key of everywhere counts in the panes");
}

/// `assets/config.toml` as it must be.
fn sample() -> String {
    let mut text = String::from(
        "# virt-net: the settings and what they are without a file. Copy it to ~/.config/virt-net/config.toml\n\
         # (or /etc/virt-net/config.toml) and keep the lines that you change.\n\n\
         # auto: as NO_COLOR says; ansi: the sixteen colours of the terminal; mono: bold, dim and reverse\n\
         theme = \"auto\"\n\
         # auto: as the locale and the terminal say; unicode; ascii\n\
         glyphs = \"auto\"\n\
         # the wheel moves the cursor; copying with the mouse then needs the terminal's own key\n\
         mouse = false\n\
         # seconds for which a guest's link goes down after a switch, so that it asks for a new address; 0: not at all\n\
         link-bounce = 6.0\n\
         # true: addresses that nothing else tells, from guests' own ARP and DHCP packets; hears those of every link\n\
         listen-for-addresses = false\n\
         # into ~/.local/state/virt-net/virt-net.log: off, error, warn, info, debug\n\
         log = \"info\"\n",
    );
    for place in places() {
        let _ = write!(text, "\n# {}\n[keys.{}]\n", place.title(), place.name());
        for spec in ACTIONS.iter().filter(|spec| spec.context == place) {
            let keys: Vec<String> = spec.keys.iter().map(|key| format!("{key:?}")).collect();
            let line = format!("{} = [{}]", spec.action.name(), keys.join(", "));
            let _ = writeln!(text, "{line:<44}# {}", spec.doc);
        }
    }
    text
}

#[test]
fn the_sample_settings_are_the_defaults() {
    is_in_sync("assets/config.toml", &sample());
    let path = here("assets/config.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(Config::parse(&path, &text).unwrap(), Config::default());
    assert_eq!(Config::parse(&path, "").unwrap(), Config::default());
}

#[test]
fn settings_that_make_no_sense_are_told_with_their_place() {
    let told = |text: &str| Config::parse(Path::new("/x/config.toml"), text).unwrap_err().to_string();
    for (text, words) in [
        ("thme = 'mono'", &["/x/config.toml", "line 1", "thme", "theme"][..]),
        ("\n\ntheme = 'pink'", &["line 3", "pink", "mono"]),
        ("link-bounce = 600.0", &["link-bounce = 600", "60"]),
        ("link-bounce = -1.0", &["link-bounce = -1"]),
        ("[keys.panes]\nquit = 'q'", &["line 2"]),
        ("[keys.panes]\nquit = ['s']", &["keys.panes", "s would mean both"]),
        ("theme = ", &["line 1"]),
    ] {
        let message = told(text);
        assert!(words.iter().all(|word| message.contains(word)), "{text:?}: {message}");
    }
}

#[test]
fn the_readme_has_the_keys() {
    let mut table = String::from("| where | keys | what |\n| --- | --- | --- |\n");
    for place in places() {
        for spec in ACTIONS.iter().filter(|spec| spec.context == place) {
            let keys: Vec<String> = spec.keys.iter().map(|key| format!("`{key}`")).collect();
            let _ = writeln!(table, "| {} | {} | {} |", place.title(), keys.join(" "), spec.doc);
        }
    }
    readme_has("keys", &table);
}

#[test]
fn the_readme_has_the_signs() {
    let mut table = String::from("| sign | meaning |\n| --- | --- |\n");
    for (sign, meaning) in SIGNS {
        let _ = writeln!(table, "| `{sign}` | {meaning} |");
    }
    readme_has("signs", &table);
}

/// The README has this table between its marks.
#[track_caller]
fn readme_has(name: &str, table: &str) {
    // Two tests may write it.
    static WRITER: Mutex<()> = Mutex::new(());
    let _alone = WRITER.lock();
    let readme = std::fs::read_to_string(here("README.md")).unwrap();
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let before = readme.split(&begin).next().unwrap();
    let behind = readme.split(&end).nth(1).unwrap();
    is_in_sync("README.md", &format!("{before}{begin}{table}{end}{behind}"));
}

fn command() -> Command {
    let mut command = Cli::command();
    command.build();
    command
}

#[test]
fn the_completions_know_every_command() {
    use clap_complete::Shell;
    for (shell, file) in
        [(Shell::Bash, "virt-net.bash"), (Shell::Zsh, "_virt-net"), (Shell::Fish, "virt-net.fish")]
    {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "virt-net", &mut text);
        is_in_sync(&format!("assets/completions/{file}"), &String::from_utf8(text).unwrap());
    }
}

/// One section of a man page, its heading made a lower one.
fn section(render: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut text = Vec::new();
    render(&mut text).unwrap();
    String::from_utf8(text).unwrap().replace(".SH ", ".SS ")
}

fn of_command(text: &mut String, command: &Command) {
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        let name = sub.get_bin_name().unwrap_or_default().to_uppercase();
        let man = clap_mangen::Man::new(sub.clone());
        let _ = writeln!(text, ".SH \"{name}\"");
        let about = sub.get_long_about().or_else(|| sub.get_about()).map(ToString::to_string);
        let _ = writeln!(text, "{}", about.unwrap_or_default().replace('-', "\\-"));
        text.push_str(&section(|out| man.render_synopsis_section(out)));
        text.push_str(&section(|out| man.render_options_section(out)));
        of_command(text, sub);
    }
}

#[test]
fn the_man_page_has_every_command_option_and_key() {
    let command = command();
    let man = clap_mangen::Man::new(command.clone()).section("1");
    let mut page = Vec::new();
    man.render_title(&mut page).unwrap();
    man.render_name_section(&mut page).unwrap();
    man.render_synopsis_section(&mut page).unwrap();
    man.render_description_section(&mut page).unwrap();
    man.render_options_section(&mut page).unwrap();
    let mut page = String::from_utf8(page).unwrap();
    of_command(&mut page, &command);
    page.push_str(".SH KEYS\nThey can be changed in the settings.\n");
    for place in places() {
        let _ = writeln!(page, ".SS \"{}\"", place.title());
        for spec in ACTIONS.iter().filter(|spec| spec.context == place) {
            let keys = spec.keys.join(" ").replace('\\', "\\e").replace('-', "\\-");
            let _ = writeln!(page, ".TP\n\\fB{keys}\\fR\n{}", spec.doc.replace('-', "\\-"));
        }
    }
    page.push_str(
        ".SH \"EXIT STATUS\"\n.TP\n0\ndone and verified\n.TP\n1\nfailed; what had been changed was put back, or it is \
         said what is left\n.TP\n2\nwrong usage, wrong settings, or no terminal\n.TP\n3\nrefused, with the reason; \
         nothing was changed\n.TP\n101\na bug of the program; the terminal was given back\n.TP\n129, 130, 143\nthe \
         terminal went away, SIGINT, SIGTERM\n.SH FILES\n.TP\n~/.config/virt\\-net/config.toml, \
         /etc/virt\\-net/config.toml\nthe settings; the first one found counts\n.TP\n~/.local/state/virt\\-net/\nthe \
         log and the journal of changes\n.SH ENVIRONMENT\n.TP\nLIBVIRT_DEFAULT_URI\nlibvirt to talk to\n.TP\n\
         NO_COLOR\nno colour, if set and not empty\n",
    );
    assert!(!page.contains("bridge\\-agent"), "what is started by the program itself is not for people");
    is_in_sync("assets/virt-net.1", &page);
}

/// A part of the crate, and what must not be named there.
struct Rule {
    parts: &'static [&'static str],
    forbidden: &'static [&'static str],
}

/// The rule of `src/lib.rs`.
const RULES: &[Rule] = &[
    Rule { parts: &["model", "path"], forbidden: &["crate::source", "crate::change", "crate::doctor"] },
    Rule { parts: &["model"], forbidden: &["crate::path"] },
    Rule { parts: &["model", "path", "doctor", "change", "source"], forbidden: &["crate::app"] },
    Rule {
        parts: &["model", "path", "doctor", "change", "source", "app", "ui"],
        forbidden: &["crate::term", "crate::run", "crate::cli", "crate::logging", "crossterm::"],
    },
    Rule { parts: &["doctor", "app", "ui"], forbidden: &["crate::source"] },
    Rule { parts: &["source"], forbidden: &["crate::change", "crate::ui", "crate::doctor"] },
    Rule { parts: &["model", "path", "doctor", "change"], forbidden: &["crate::ui"] },
    Rule {
        parts: &["model", "path", "doctor", "change", "source", "app", "run", "cli", "config", "logging"],
        forbidden: &["ratatui::", "crossterm::"],
    },
    Rule {
        parts: &["model", "path", "doctor", "app", "ui", "term", "run", "cli", "config", "logging"],
        forbidden: &["virt::", "virt_sys::", "rtnetlink::"],
    },
    Rule {
        parts: &["model", "path", "doctor", "app", "ui"],
        forbidden: &[
            "std::fs",
            "std::io",
            "std::process",
            "std::env",
            "std::thread",
            "SystemTime",
            "Instant",
            "tokio::",
            "nix::",
            "libc::",
        ],
    },
];

/// A module's source without its tests and comments, by file.
fn sources(part: &str) -> Vec<(PathBuf, String)> {
    let mut waiting = vec![here(&format!("src/{part}.rs")), here(&format!("src/{part}"))];
    let mut found = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.file_name().is_some_and(|name| name != "tests.rs") {
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            found.push((path, lines.collect::<Vec<_>>().join("\n")));
        }
    }
    found
}

/// `virt::` in `use virt::connect`, not in `libvirt::`.
fn names(code: &str, forbidden: &str) -> bool {
    code.match_indices(forbidden).any(|(at, _)| {
        !code
            .get(..at)
            .unwrap_or_default()
            .ends_with(|before: char| before.is_alphanumeric() || before == '_')
    })
}

#[test]
fn the_parts_depend_on_each_other_as_the_crate_says() {
    for rule in RULES {
        for part in rule.parts {
            let files = sources(part);
            assert!(!files.is_empty(), "src/{part}.rs is there");
            for (path, code) in files {
                // Text helpers know no terminal and serve every part.
                let code = code.replace("crate::ui::text", "").replace("crate::ui::words", "");
                for forbidden in rule.forbidden {
                    assert!(!names(&code, forbidden), "{} names {forbidden}", path.display());
                }
            }
        }
    }
}

/// Of `change` only these touch the host.
#[test]
fn planning_a_change_touches_nothing() {
    const WRITERS: [&str; 5] = [
        "src/change/apply",
        "src/change/bridge",
        "src/change/journal",
        "src/change/journal.rs",
        "src/change/bridge.rs",
    ];
    for (path, code) in sources("change") {
        if WRITERS.iter().any(|writer| path.starts_with(here(writer))) || path == here("src/change/apply.rs")
        {
            continue;
        }
        for forbidden in
            ["std::fs", "std::process", "tokio::", "nix::", "virt::", "rtnetlink::", "crate::source"]
        {
            assert!(!names(&code, forbidden), "{} names {forbidden}", path.display());
        }
    }
}

#[test]
fn every_file_says_what_it_is() {
    let mut waiting = vec![here("src")];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//!"), "{} opens with //!", path.display());
    }
}
