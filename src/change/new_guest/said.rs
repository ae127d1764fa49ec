//! PURE. What virt-install says, and what is made of it when it fails.

use super::PROGRAM;

/// A piece of what it says, without line breaks. Hostile text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A line that is whole.
    Line(String),
    /// How the line under way looks now: it may be written over, as figures of progress are.
    Part(String),
}

/// Longest line that is kept, in bytes: more than that is no text for people.
const LONGEST: usize = 4096;

/// Cuts what comes through a pipe into lines. A carriage return begins the line anew.
#[derive(Debug, Default)]
pub struct Lines {
    line: Vec<u8>,
    begins_anew: bool,
}

impl Lines {
    /// Takes bytes in; what is new to tell.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Said> {
        let mut said = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' => {
                    self.begins_anew = false;
                    said.push(Said::Line(text(&std::mem::take(&mut self.line))));
                }
                b'\r' => self.begins_anew = true,
                byte => {
                    if std::mem::take(&mut self.begins_anew) {
                        self.line.clear();
                    }
                    if self.line.len() < LONGEST {
                        self.line.push(*byte);
                    }
                }
            }
        }
        if !self.line.is_empty() {
            said.push(Said::Part(text(&self.line)));
        }
        said
    }

    /// The last line, if nothing ended it.
    #[must_use]
    pub fn end(self) -> Option<Said> {
        (!self.line.is_empty()).then(|| Said::Line(text(&self.line)))
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).replace('\t', "    ").trim_end().to_owned()
}

/// Its last words: the errors, else its last lines.
#[must_use]
pub fn last_words(lines: &[String]) -> String {
    const MOST: usize = 4;
    // It says this after every failure, whether or not the guest was ever there.
    let told = |line: &&String| {
        !line.is_empty()
            // A secret is shown once and kept nowhere.
            && !line.starts_with("Password for")
            && !line.starts_with("Domain installation does not appear")
            && !line.starts_with("If it was, you can restart your domain")
            && !line.starts_with("otherwise, please restart your installation")
            && !line.trim_start().starts_with("virsh --connect")
    };
    let kept: Vec<&str> = lines.iter().filter(told).map(String::as_str).collect();
    let first = kept.iter().position(|line| line.starts_with("ERROR"));
    let first = first.unwrap_or(kept.len().saturating_sub(MOST));
    let words: Vec<&str> = kept.into_iter().skip(first).take(MOST).flat_map(str::split_whitespace).collect();
    let words = words.join(" ");
    words.strip_prefix("ERROR ").unwrap_or(&words).trim_end_matches('.').to_owned()
}

/// What to do about it; `None` when its words are all that is known.
#[must_use]
pub fn advice(words: &str) -> Option<&'static str> {
    let table = [
        ("Permission denied", "the emulator's user must get at the file and every directory above it"),
        ("No space left", "make room, or put the disk elsewhere"),
        ("nknown OS name", "osinfo-query os lists the names; or leave it to be guessed"),
        ("nknown OS variant", "osinfo-query os lists the names; or leave it to be guessed"),
        ("domain type kvm", "choose qemu, or make /dev/kvm work"),
        ("in use by other guests", "choose another disk"),
        ("is in use by another", "choose another name"),
        ("unsupported configuration", "choose another NIC model or graphics"),
        ("uthentication", "run as root or as a member of group libvirt"),
    ];
    table.iter().find(|(part, _)| words.contains(part)).map(|(_, advice)| *advice)
}

/// Why it failed, in one sentence with what to do.
#[must_use]
pub fn why(ended: &str, lines: &[String]) -> String {
    let words = last_words(lines);
    let advice = advice(&words).map(|advice| format!("; {advice}")).unwrap_or_default();
    if words.is_empty() {
        return format!("{PROGRAM} ended with {ended} and without a word");
    }
    format!("{PROGRAM} ended with {ended}: {words}{advice}")
}
