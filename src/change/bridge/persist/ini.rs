//! PURE. Files in sections of `key=value` lines, kept line by line as they are.

/// A file in sections.
#[derive(Debug, Clone, Default)]
pub(super) struct Ini {
    head: Vec<String>,
    pub(super) sections: Vec<Section>,
}

/// A section with all its lines: keys, comments, empty ones.
#[derive(Debug, Clone, Default)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) lines: Vec<String>,
}

impl Ini {
    pub(super) fn parse(text: &str) -> Self {
        let mut ini = Self::default();
        for line in text.lines() {
            let trimmed = line.trim();
            let name = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            match (name, ini.sections.last_mut()) {
                (Some(name), _) => {
                    ini.sections.push(Section { name: name.to_owned(), lines: Vec::new() });
                }
                (None, Some(section)) => section.lines.push(line.to_owned()),
                (None, None) => ini.head.push(line.to_owned()),
            }
        }
        ini
    }

    pub(super) fn print(&self) -> String {
        let mut lines: Vec<String> = self.head.clone();
        for section in &self.sections {
            lines.push(format!("[{}]", section.name));
            lines.extend(section.lines.iter().cloned());
        }
        lines.iter().map(|line| line.clone() + "\n").collect()
    }

    /// A mark above everything else.
    pub(super) fn marked(mut self, mark: &str) -> Self {
        self.head.insert(0, mark.to_owned());
        self
    }

    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// The section of that name, made at the end when it is not there.
    pub(super) fn section_mut(&mut self, name: &str) -> &mut Section {
        let at = self.sections.iter().position(|section| section.name == name);
        let at = at.unwrap_or_else(|| {
            if let Some(last) = self.sections.last_mut().filter(|last| !last.ends_empty()) {
                last.lines.push(String::new());
            }
            self.sections.push(Section { name: name.to_owned(), lines: Vec::new() });
            self.sections.len() - 1
        });
        &mut self.sections[at]
    }

    pub(super) fn remove(&mut self, mut unwanted: impl FnMut(&Section) -> bool) {
        self.sections.retain(|section| !unwanted(section));
    }
}

impl Section {
    pub(super) fn of(name: &str, lines: &[String]) -> Self {
        Self { name: name.to_owned(), lines: lines.to_vec() }
    }

    fn ends_empty(&self) -> bool {
        self.lines.last().is_some_and(|line| line.trim().is_empty())
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.lines.iter().find_map(|line| value_of(line, key))
    }

    /// Sets a key: in its own line, or at the end of the section.
    pub(super) fn set(&mut self, key: &str, value: &str) {
        let new = format!("{key}={value}");
        match self.lines.iter_mut().find(|line| value_of(line, key).is_some()) {
            Some(line) => *line = new,
            None => self.add(new),
        }
    }

    /// One more line, before the empty ones at the end.
    pub(super) fn add(&mut self, line: String) {
        let at = self.lines.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |at| at + 1);
        self.lines.insert(at, line);
    }

    /// Takes out the lines whose key is unwanted and returns them.
    pub(super) fn take(&mut self, unwanted: impl Fn(&str) -> bool) -> Vec<String> {
        let is_unwanted = |line: &String| key_of(line).is_some_and(&unwanted);
        let (gone, kept) = std::mem::take(&mut self.lines).into_iter().partition(is_unwanted);
        self.lines = kept;
        gone
    }
}

/// The key of a line; `None` for a comment or an empty one.
pub(super) fn key_of(line: &str) -> Option<&str> {
    let line = line.trim();
    if line.starts_with(['#', ';']) {
        return None;
    }
    line.split_once('=').map(|(key, _)| key.trim())
}

fn value_of<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let (_, value) = line.split_once('=').filter(|_| key_of(line) == Some(key))?;
    Some(value.trim())
}
