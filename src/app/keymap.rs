//! PURE. Which key does what: the table's own keys, changed by the settings. One key means one thing
//! in a place; a change that breaks this is refused.

use thiserror::Error;

use super::action::{ACTIONS, Action, Context, Spec};
use super::key::Key;

/// The keys of each line of [`ACTIONS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keymap(Vec<Vec<Key>>);

/// Why keys cannot be set so.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeymapError {
    /// No such place.
    #[error("keys.{0}: there is no such place; the places are {known}", known = contexts().join(", "))]
    Place(String),
    /// No such action there.
    #[error("keys.{place}.{action}: nothing is called so there; {known}", known = nearest(place, action))]
    Action {
        /// The place.
        place: String,
        /// What was asked for.
        action: String,
    },
    /// Not the name of a key.
    #[error("keys.{place}.{action}: {key:?} is no key; keys are written as q, G, Enter, Space, Ctrl-l")]
    Key {
        /// The place.
        place: String,
        /// The action.
        action: String,
        /// What was written.
        key: String,
    },
    /// No key at all would be left.
    #[error("keys.{place}.{action}: at least one key is needed")]
    Keyless {
        /// The place.
        place: String,
        /// The action.
        action: String,
    },
    /// One key for two things.
    #[error("keys.{place}: {key} would mean both {first} and {second}")]
    Twice {
        /// The place.
        place: String,
        /// The key.
        key: Key,
        /// One meaning.
        first: String,
        /// The other.
        second: String,
    },
}

impl Default for Keymap {
    fn default() -> Self {
        let parse = |spec: &Spec| spec.keys.iter().filter_map(|name| Key::parse(name)).collect();
        Self(ACTIONS.iter().map(parse).collect())
    }
}

impl Keymap {
    /// What a key means in a context.
    #[must_use]
    pub fn find(&self, key: Key, context: Context) -> Option<Action> {
        let lines = || ACTIONS.iter().zip(&self.0);
        context.layers().iter().find_map(|layer| {
            let mut here = lines().filter(|(spec, _)| spec.context == *layer);
            here.find(|(_, keys)| keys.contains(&key)).map(|(spec, _)| spec.action)
        })
    }

    /// The keys of a line of the table, the first is the one to show.
    #[must_use]
    pub fn keys(&self, spec: &Spec) -> &[Key] {
        let same = |other: &Spec| other.context == spec.context && other.action == spec.action;
        let at = ACTIONS.iter().position(same);
        at.and_then(|at| self.0.get(at)).map_or(&[], Vec::as_slice)
    }

    /// The key to show for a line of the table.
    #[must_use]
    pub fn shown(&self, spec: &Spec) -> String {
        self.keys(spec).first().map(ToString::to_string).unwrap_or_default()
    }

    /// Gives an action other keys, by the names of the settings.
    ///
    /// # Errors
    /// A name that is not known, or no key at all. Whether two actions share a key is for [`Self::check`].
    pub fn set(&mut self, place: &str, action: &str, names: &[String]) -> Result<(), KeymapError> {
        if !contexts().iter().any(|name| name == place) {
            return Err(KeymapError::Place(place.to_owned()));
        }
        let known = |spec: &Spec| spec.context.name() == place && spec.action.name() == action;
        let here = || (place.to_owned(), action.to_owned());
        let Some(keys) = ACTIONS.iter().position(known).and_then(|at| self.0.get_mut(at)) else {
            let (place, action) = here();
            return Err(KeymapError::Action { place, action });
        };
        let mut parsed = Vec::new();
        for name in names {
            let Some(key) = Key::parse(name) else {
                let (place, action) = here();
                return Err(KeymapError::Key { place, action, key: name.clone() });
            };
            parsed.push(key);
        }
        if parsed.is_empty() {
            let (place, action) = here();
            return Err(KeymapError::Keyless { place, action });
        }
        *keys = parsed;
        Ok(())
    }

    /// One key means one thing in each place.
    ///
    /// # Errors
    /// The first key for which that is not so.
    pub fn check(&self) -> Result<(), KeymapError> {
        for place in ACTIONS.iter().map(|spec| spec.context) {
            let mut meanings: Vec<(Key, Action)> = Vec::new();
            let here = |spec: &Spec| place.layers().contains(&spec.context);
            for (spec, keys) in ACTIONS.iter().zip(&self.0).filter(|(spec, _)| here(spec)) {
                for key in keys {
                    if let Some((_, first)) = meanings.iter().find(|(known, _)| known == key) {
                        let (first, second) = (first.name(), spec.action.name());
                        return Err(KeymapError::Twice { place: place.name(), key: *key, first, second });
                    }
                    meanings.push((*key, spec.action));
                }
            }
        }
        Ok(())
    }
}

/// The places' names in the settings, in the order of the table.
fn contexts() -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for spec in ACTIONS {
        let name = spec.context.name();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// What it may have been meant to be, or all there is.
fn nearest(place: &str, action: &str) -> String {
    let known: Vec<String> =
        ACTIONS.iter().filter(|spec| spec.context.name() == place).map(|spec| spec.action.name()).collect();
    let near = known.iter().max_by(|a, b| {
        let likeness = |name: &str| strsim::jaro_winkler(name, action);
        likeness(a).total_cmp(&likeness(b))
    });
    match near.filter(|near| strsim::jaro_winkler(near, action) > 0.8) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("there are {}", known.join(", ")),
    }
}
