//! PURE. What configuration files keep secret is left out of what is shown of them. Hiding too much does
//! no harm: the file itself is written as it is.

/// Part of the name of a setting whose value is secret.
const PARTS: [&str; 8] =
    ["password", "passwd", "psk", "secret", "wep-key", "wireless-key", "private", "preshared"];
/// Such a name as a whole; `key` is WireGuard's in netplan.
const NAMES: [&str; 2] = ["key", "shared"];

/// The text with the rest of each line that names a secret as dots, and the lines that go on with it.
pub(super) fn hidden(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // In YAML, lines that are further in than this one belong to its value.
    let mut secret: Option<usize> = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        if secret.is_some_and(|outer| indent > outer) {
            continue;
        }
        secret = None;
        match value_at(line) {
            Some(at) => {
                let shown = line.get(..at).unwrap_or_default();
                out.push_str(shown);
                out.push_str("•••");
                secret = shown.ends_with(':').then_some(indent);
            }
            None => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

/// Where in the line the first secret value begins: `psk=…`, `"password": …`, also inside of braces, and
/// ifupdown's `wpa-psk …`.
fn value_at(line: &str) -> Option<usize> {
    let is_of_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let mut at = 0;
    let mut is_first = true;
    while let Some(rest) = line.get(at..) {
        let begin = at + rest.find(is_of_name)?;
        let name = line.get(begin..)?;
        let name = name.get(..name.find(|c| !is_of_name(c)).unwrap_or(name.len()))?;
        let end = begin + name.len();
        if is_secret(name) {
            let behind = line.get(end..)?;
            let bare = behind.trim_start_matches(['"', '\'', ' ', '\t']);
            if bare.starts_with([':', '=']) {
                return Some(line.len() - bare.len() + 1);
            }
            if is_first && line.trim_start().starts_with(name) && behind.starts_with([' ', '\t']) {
                return Some(end + 1);
            }
        }
        is_first = false;
        at = end;
    }
    None
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    PARTS.iter().any(|part| name.contains(part)) || NAMES.contains(&name.as_str())
}
