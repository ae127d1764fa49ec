//! Settings: one TOML file, read once and checked whole at this border; and where files go.
//!
//! `--config FILE`, else `$XDG_CONFIG_HOME/virt-net/config.toml` (`~/.config/…`), else
//! `/etc/virt-net/config.toml`, else what is built in. Nothing is merged: the first one found counts.

mod raw;

use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;
use tracing::level_filters::LevelFilter;

use crate::app::Keymap;
use crate::app::keymap::KeymapError;
use crate::app::state::Mouse;
use crate::change::Bounce;
use crate::source::packets::listen::Listen;
use crate::ui::glyphs::Glyphs;
use crate::ui::theme::Theme;

/// The settings, all valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Styles; `None`: by `NO_COLOR`.
    pub theme: Option<Theme>,
    /// Characters; `None`: by locale and terminal.
    pub glyphs: Option<Glyphs>,
    /// Whether the mouse is reported from the start.
    pub mouse: Mouse,
    /// The link bounce that the switch form begins with.
    pub bounce: Bounce,
    /// Whether guests' ARP and DHCP packets are listened to for their addresses.
    pub listen: Listen,
    /// What goes into the log.
    pub log: LevelFilter,
    /// Which key does what.
    pub keymap: Keymap,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            theme: None,
            glyphs: None,
            mouse: Mouse::Off,
            bounce: Bounce::default(),
            listen: Listen::Off,
            log: LevelFilter::INFO,
            keymap: Keymap::default(),
        }
    }
}

/// Why the settings cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("read the settings {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is not TOML of this shape.
    #[error("read the settings {}: {reason}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// Where and what.
        reason: String,
    },
    /// A value makes no sense.
    #[error("read the settings {}: link-bounce = {value}: seconds from 0.1 to 60, or 0 for none", path.display())]
    Bounce {
        /// The file.
        path: PathBuf,
        /// What was written.
        value: f64,
    },
    /// Keys make no sense.
    #[error("read the settings {}: {error}", path.display())]
    Keys {
        /// The file.
        path: PathBuf,
        /// Which.
        error: KeymapError,
    },
}

impl Config {
    /// The settings of this file, or of the first file where settings are looked for.
    ///
    /// # Errors
    /// A file that cannot be read, or says what makes no sense. A file looked for that is not there is no error.
    pub fn load(asked: Option<&Path>) -> Result<Self, ConfigError> {
        if let Some(path) = asked {
            let text = read(path)?;
            return Self::parse(path, &text);
        }
        match places().into_iter().find(|path| path.exists()) {
            Some(path) => Self::parse(&path, &read(&path)?),
            None => Ok(Self::default()),
        }
    }

    /// The settings in this text; `path` is named in errors.
    ///
    /// # Errors
    /// What makes no sense, and where.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let path = || path.to_path_buf();
        let raw: raw::Raw = toml::from_str(text).map_err(|error| {
            let place = error.span().map(|span| line_of(text, span.start));
            let place = place.map(|line| format!("line {line}: ")).unwrap_or_default();
            ConfigError::Shape { path: path(), reason: format!("{place}{}", error.message()) }
        })?;
        let bounce = match raw.link_bounce {
            0.0 => Bounce::Off,
            value if (0.1..=60.0).contains(&value) => Bounce::Hold(Duration::from_secs_f64(value)),
            value => return Err(ConfigError::Bounce { path: path(), value }),
        };
        let mut keymap = Keymap::default();
        for (place, actions) in &raw.keys {
            for (action, keys) in actions {
                keymap.set(place, action, keys).map_err(|error| ConfigError::Keys { path: path(), error })?;
            }
        }
        keymap.check().map_err(|error| ConfigError::Keys { path: path(), error })?;
        Ok(Self {
            theme: raw.theme.into(),
            glyphs: raw.glyphs.into(),
            mouse: if raw.mouse { Mouse::On } else { Mouse::Off },
            bounce,
            listen: if raw.listen_for_addresses { Listen::On } else { Listen::Off },
            log: raw.log.into(),
            keymap,
        })
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| ConfigError::Read { path: path.to_path_buf(), error })
}

/// Lines are counted from 1.
fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// Where settings are looked for, in this order.
fn places() -> Vec<PathBuf> {
    vec![
        user_directory("XDG_CONFIG_HOME", ".config").join("config.toml"),
        PathBuf::from("/etc/virt-net/config.toml"),
    ]
}

/// `$XDG_STATE_HOME/virt-net`, else `~/.local/state/virt-net`.
#[must_use]
pub fn state_directory() -> PathBuf {
    user_directory("XDG_STATE_HOME", ".local/state")
}

/// Where changes of the host are noted: `/var/lib/virt-net` for root, else [`state_directory`].
#[must_use]
pub fn changes_directory() -> PathBuf {
    if nix::unistd::geteuid().is_root() { PathBuf::from("/var/lib/virt-net") } else { state_directory() }
}

fn user_directory(variable: &str, below_home: &str) -> PathBuf {
    let base = std::env::var_os(variable).filter(|dir| !dir.is_empty()).map(PathBuf::from);
    base.unwrap_or_else(|| home().join(below_home)).join("virt-net")
}

/// `HOME`; a service or `env -i` has none, and then the table of users knows it.
fn home() -> PathBuf {
    use nix::unistd::{User, geteuid};
    let told = std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let known = || User::from_uid(geteuid()).ok().flatten().map(|user| user.dir);
    told.or_else(known).unwrap_or_else(|| PathBuf::from("/"))
}
