//! PURE. Lines of a YAML text in blocks, as they are: keys by their depth, no values.

/// A line of a block: its indentation and its key; `None` for an empty line or a comment.
pub(super) fn key(line: &str) -> Option<(usize, &str)> {
    let trimmed = line.trim_start();
    if trimmed.is_empty() || trimmed.starts_with('#') {
        return None;
    }
    let key = trimmed.split_once(':').map_or("", |(key, _)| key.trim_matches(['"', '\'']));
    Some((line.len() - trimmed.len(), key))
}

/// The lines `from..` that are deeper than `indent`, with the comments and empty lines between them.
pub(super) fn block_end(lines: &[&str], from: usize, indent: usize) -> usize {
    let mut end = from;
    for (at, line) in lines.iter().enumerate().skip(from) {
        match key(line) {
            Some((depth, _)) if depth <= indent && !is_item(line, depth, indent) => break,
            Some(_) => end = at + 1,
            None => {}
        }
    }
    end
}

/// `- 10.0.0.8/16` at the depth of its key is still that key's.
fn is_item(line: &str, depth: usize, indent: usize) -> bool {
    depth == indent && line.trim_start().starts_with("- ")
}

/// The position and depth of `name:` as an opened block within `from..to`.
pub(super) fn find(lines: &[&str], from: usize, to: usize, name: &str) -> Option<(usize, usize)> {
    let depth = lines.get(from..to)?.iter().find_map(|line| key(line))?.0;
    (from..to).find_map(|at| {
        let line = lines.get(at)?;
        let opens = line.split('#').next().unwrap_or_default().trim_end().ends_with(':');
        (key(line) == Some((depth, name)) && opens).then_some((at, depth))
    })
}

/// A line without its comment.
pub(super) fn code(line: &str) -> &str {
    let line = line.split_once(" #").map_or(line, |(code, _)| code).trim_end();
    if line.trim_start().starts_with('#') { "" } else { line }
}

/// What stands behind the key of a line; empty where a block follows.
pub(super) fn value(line: &str) -> &str {
    code(line).split_once(':').map_or("", |(_, value)| value.trim())
}

/// Whether the text has anchors, aliases or merges, so that a line may count in several places.
pub(super) fn has_anchors(text: &str) -> bool {
    text.lines().any(|line| {
        let code = code(line).trim_start();
        let value = code.strip_prefix("- ").unwrap_or_else(|| value(line));
        code.starts_with("<<") || value.trim_start().starts_with(['&', '*'])
    })
}

/// The keys directly below the line `at`: their positions and their depth.
pub(super) fn children(lines: &[&str], at: usize, end: usize) -> Vec<usize> {
    let below = || (at + 1..end).filter_map(|at| Some((at, key(lines.get(at)?)?.0)));
    let Some((_, depth)) = below().next() else { return Vec::new() };
    let is_key = |at: usize| lines.get(at).is_some_and(|line| !line.trim_start().starts_with("- "));
    below().filter(|(at, found)| *found == depth && is_key(*at)).map(|(at, _)| at).collect()
}
