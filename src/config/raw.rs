//! PURE. The settings as they are written; what they mean is decided one level up.

use std::collections::BTreeMap;

use serde::Deserialize;
use tracing::level_filters::LevelFilter;

use crate::ui::glyphs::Glyphs;
use crate::ui::theme::Theme;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Raw {
    pub(super) theme: ThemeWord,
    pub(super) glyphs: GlyphsWord,
    pub(super) mouse: bool,
    pub(super) link_bounce: f64,
    pub(super) listen_for_addresses: bool,
    pub(super) log: LogWord,
    pub(super) keys: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            theme: ThemeWord::Auto,
            glyphs: GlyphsWord::Auto,
            mouse: false,
            link_bounce: 6.0,
            listen_for_addresses: false,
            log: LogWord::Info,
            keys: BTreeMap::new(),
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ThemeWord {
    Auto,
    Ansi,
    Mono,
}

impl From<ThemeWord> for Option<Theme> {
    fn from(word: ThemeWord) -> Self {
        match word {
            ThemeWord::Auto => None,
            ThemeWord::Ansi => Some(Theme::Ansi),
            ThemeWord::Mono => Some(Theme::Mono),
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum GlyphsWord {
    Auto,
    Unicode,
    Ascii,
}

impl From<GlyphsWord> for Option<Glyphs> {
    fn from(word: GlyphsWord) -> Self {
        match word {
            GlyphsWord::Auto => None,
            GlyphsWord::Unicode => Some(Glyphs::Unicode),
            GlyphsWord::Ascii => Some(Glyphs::Ascii),
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum LogWord {
    Off,
    Error,
    Warn,
    Info,
    Debug,
}

impl From<LogWord> for LevelFilter {
    fn from(word: LogWord) -> Self {
        match word {
            LogWord::Off => Self::OFF,
            LogWord::Error => Self::ERROR,
            LogWord::Warn => Self::WARN,
            LogWord::Info => Self::INFO,
            LogWord::Debug => Self::DEBUG,
        }
    }
}
