//! PURE. netplan: a port more or less in the `interfaces` of a bridge, whoever wrote them.
//!
//! ```text
//!  ethernets:                       ethernets:
//!    eth2:                            eth2:
//!      dhcp4: true                      # virt-net: port eth2 of br7: dhcp4: true
//!                                       dhcp4: false # virt-net: port eth2 of br7
//!  bridges:                         bridges:
//!    br7:                             br7:
//!                                       # virt-net: port eth2 of br7
//!      interfaces: [eth0]               interfaces: [eth0, eth2]
//! ```
//! What a port cannot use becomes a comment, and a line again when the port is taken out.

use std::collections::BTreeMap;

use super::blocks::{block_end, children, code, find, has_anchors, key, value};
use super::{ADDRESSING, Renderer, Setting, Text, apply, checkpoint, end};
use crate::change::bridge::persist::ports::{PortSpec, PortWant};
use crate::change::bridge::step::{FileChange, OnFailure, Step};

/// Keys of [`ADDRESSING`] that a port can use as well.
const OF_LINKS: [&str; 5] = ["activation-mode", "critical", "ignore-carrier", "ipv6-mtu", "neigh-suppress"];

/// One port more or less.
///
/// # Errors
/// Why the files cannot be changed safely, and what to write by hand.
pub(in super::super) fn change(
    files: &[&Text],
    renderer: Renderer,
    generate: &[String],
    spec: PortSpec,
) -> Result<Setting, String> {
    let by_hand = |reason| format!("change the interfaces of {} in netplan by hand: {reason}", spec.bridge);
    let sheets: Vec<Sheet> = files.iter().map(|file| Sheet::of(file)).collect();
    let mut edited = edited(&sheets, spec).map_err(by_hand)?;
    let mut lasting: Vec<FileChange> = Vec::new();
    for (at, sheet) in sheets.iter().enumerate() {
        let after = edited.of_sheet(at, sheet);
        if after != sheet.file.text {
            let (path, before) = (sheet.file.path.clone(), Some(sheet.file.text.clone()));
            lasting.push(FileChange { path, before, after: Some(after), mode: 0o600 });
        }
    }
    // The bridge's own file, which comes first, is the last: until then the port is only without addresses.
    lasting.reverse();
    if lasting.is_empty() {
        return Ok(Setting { told: vec!["netplan's files say so already".to_owned()], ..Setting::default() });
    }
    let shadow = |file: &FileChange| {
        let name = file.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        FileChange { path: format!("/run/netplan/{name}").into(), before: None, ..file.clone() }
    };
    let volatile: Vec<FileChange> = lasting.iter().map(shadow).collect();
    let back = volatile.iter().map(|file| Step::PutBack { file: file.clone() });
    let carry_out = |id: &Option<String>, failure| apply(renderer, generate, id.as_slice(), failure);
    let mut steps = checkpoint(renderer);
    steps.extend(volatile.iter().map(|file| Step::Put { file: file.clone() }));
    let mut undo: Vec<Step> = back.clone().collect();
    undo.extend(carry_out(&edited.was, OnFailure::GoOn));
    // Neither renderer frees a port that no file names any more.
    match spec.want {
        PortWant::Add => {
            steps.extend(carry_out(&edited.becomes, OnFailure::Stop));
            undo.push(Step::Detach { port: spec.port });
        }
        PortWant::Remove => {
            steps.extend(carry_out(&edited.becomes, OnFailure::GoOn));
            steps.push(Step::Detach { port: spec.port });
        }
    }
    if edited.becomes.is_none() && renderer != Renderer::Networkd {
        edited.told.push(format!(
            "no file names {} then: unless no-auto-default is set, NetworkManager asks a DHCP server for it",
            spec.port
        ));
    }
    undo.extend(end(renderer));
    let keep = end(renderer).into_iter().chain(back).collect();
    Ok(Setting { steps, undo, lasting, keep, told: edited.told, ..Setting::default() })
}

/// A file in lines.
struct Sheet<'a> {
    file: &'a Text,
    lines: Vec<&'a str>,
}

impl<'a> Sheet<'a> {
    fn of(file: &'a Text) -> Self {
        Self { file, lines: file.text.lines().collect() }
    }

    fn says(&self, what: &str) -> String {
        format!("{} {what}", self.file.path.display())
    }

    /// What is below `network:`, as far as it is in blocks.
    fn definitions(&self, sheet: usize) -> Result<Vec<Definition>, String> {
        if has_anchors(&self.file.text) {
            return Err(self.says("has anchors or aliases"));
        }
        let lines = self.lines.as_slice();
        let Some((network, depth)) = find(lines, 0, lines.len(), "network") else {
            let names = lines.iter().any(|line| code(line).contains("network"));
            return if names { Err(self.says("is not in blocks of lines")) } else { Ok(Vec::new()) };
        };
        let mut found = Vec::new();
        for section in children(lines, network, block_end(lines, network + 1, depth)) {
            let Some((depth, name)) = key(lines[section]) else { continue };
            let end = block_end(lines, section + 1, depth);
            if value(lines[section]).starts_with('{') && value(lines[section]) != "{}" {
                return Err(self.says(&format!("has {name} in braces")));
            }
            for at in children(lines, section, end) {
                let Some((depth, id)) = key(lines[at]) else { continue };
                let end = block_end(lines, at + 1, depth);
                let id = id.to_owned();
                found.push(Definition { sheet, section: name.to_owned(), id, at, end, depth });
            }
        }
        Ok(found)
    }

    /// The value of a key directly below a definition.
    fn get(&self, of: &Definition, name: &str) -> Option<(usize, &'a str)> {
        let is_it = |at: &usize| key(self.lines[*at]).is_some_and(|(_, key)| key == name);
        let at = children(&self.lines, of.at, of.end).into_iter().find(is_it)?;
        Some((at, value(self.lines[at])))
    }
}

/// `eth2:` and what is below it.
#[derive(Clone)]
struct Definition {
    sheet: usize,
    section: String,
    id: String,
    at: usize,
    end: usize,
    depth: usize,
}

impl Definition {
    /// Whether it is of this link; `None` where that cannot be told from the text.
    fn is_of(&self, sheet: &Sheet, link: &str) -> Option<bool> {
        if let Some((_, name)) = sheet.get(self, "set-name") {
            return Some(bare(name) == link);
        }
        let Some((at, _)) = sheet.get(self, "match") else { return Some(self.id == link) };
        if self.id == link {
            return Some(true);
        }
        let end = block_end(&sheet.lines, at + 1, key(sheet.lines[at])?.0);
        let names = |at: &usize| key(sheet.lines[*at]).is_some_and(|(_, key)| key == "name");
        let name = children(&sheet.lines, at, end).into_iter().find(names)?;
        let name = bare(value(sheet.lines[name]));
        (!name.contains(['*', '?', '['])).then_some(name == link)
    }
}

fn bare(word: &str) -> &str {
    word.trim().trim_matches(['"', '\''])
}

/// New lines in the place of old ones, and what is to be said of it.
#[derive(Default)]
struct Edits {
    lines: BTreeMap<(usize, usize), Vec<String>>,
    /// What netplan calls the link now, if it knows it.
    was: Option<String>,
    /// The same afterwards.
    becomes: Option<String>,
    told: Vec<String>,
}

impl Edits {
    fn of_sheet(&self, number: usize, sheet: &Sheet) -> String {
        let mut text = String::new();
        for (at, line) in sheet.lines.iter().enumerate() {
            match self.lines.get(&(number, at)) {
                Some(lines) => lines.iter().for_each(|line| text.extend([line, "\n"])),
                None => text.extend([line, "\n"]),
            }
        }
        text
    }
}

fn edited(sheets: &[Sheet], spec: PortSpec) -> Result<Edits, String> {
    let (bridge, port) = (spec.bridge.to_string(), spec.port.to_string());
    let mut definitions = Vec::new();
    for (number, sheet) in sheets.iter().enumerate() {
        definitions.extend(sheet.definitions(number)?);
    }
    let (bridges, others): (Vec<_>, Vec<_>) =
        definitions.iter().partition(|found| found.section == "bridges");
    let bridges: Vec<_> = bridges.into_iter().filter(|found| found.id == bridge).collect();
    let mut ports = Vec::new();
    for found in others {
        let sheet = &sheets[found.sheet];
        match found.is_of(sheet, &port) {
            Some(true) => ports.push(found),
            Some(false) => {}
            None => {
                return Err(
                    sheet.says(&format!("matches NICs by more than a name: {} may be {port}", found.id))
                );
            }
        }
    }
    let bridge = match bridges.as_slice() {
        [bridge] => *bridge,
        [] => return Err(format!("no file has it in blocks of lines, {}", in_files(sheets))),
        _ => return Err(format!("several files have {bridge}")),
    };
    if ports.len() > 1 {
        return Err(format!("several places have {port}"));
    }
    let mut edits = Edits::default();
    let port = ports.first().copied();
    match spec.want {
        PortWant::Add => add(sheets, bridge, port, spec, &mut edits)?,
        PortWant::Remove => remove(sheets, spec, port, &mut edits),
    }
    let id = port.map_or_else(|| spec.port.to_string(), |port| port.id.clone());
    interfaces(&sheets[bridge.sheet], bridge, &id, spec, &mut edits)?;
    let goes = |port: &&Definition| edits.lines.get(&(port.sheet, port.at)).is_some_and(Vec::is_empty);
    edits.becomes = match (spec.want, port) {
        (PortWant::Add, _) => Some(id),
        (PortWant::Remove, port) => port.filter(|port| !goes(port)).map(|port| port.id.clone()),
    };
    edits.was = port.map(|port| port.id.clone());
    Ok(edits)
}

fn in_files(sheets: &[Sheet]) -> String {
    let paths: Vec<String> = sheets.iter().map(|sheet| sheet.file.path.display().to_string()).collect();
    format!("of {}", paths.join(", "))
}

fn indent(depth: usize) -> String {
    " ".repeat(depth)
}

/// The port's own definition without addressing; a new one where it has none.
fn add(
    sheets: &[Sheet],
    bridge: &Definition,
    port: Option<&Definition>,
    spec: PortSpec,
    edits: &mut Edits,
) -> Result<(), String> {
    let Some(port) = port else { return define(&sheets[bridge.sheet], bridge, spec, edits) };
    let sheet = &sheets[port.sheet];
    let head = sheet.lines[port.at];
    if !value(head).is_empty() {
        let inside = value(head).trim_matches(['{', '}']).split(',');
        let gives =
            |part: &str| part.split_once(':').is_some_and(|(key, value)| gives(bare(key), value.trim()));
        if inside.into_iter().any(gives) {
            return Err(sheet.says(&format!("has the addresses of {} in braces", port.id)));
        }
        return Ok(());
    }
    let keys = children(&sheet.lines, port.at, port.end);
    let mark = spec.mark();
    let mut stays = false;
    for (number, at) in keys.iter().enumerate() {
        let (_, name) = key(sheet.lines[*at]).unwrap_or_default();
        let until = keys.get(number + 1).copied().unwrap_or(port.end);
        if !gives(name, value(sheet.lines[*at])) {
            stays = true;
            continue;
        }
        edits.told.push(format!(
            "{name} of {} stays as a comment in {}, which bridge remove-port undoes",
            port.id,
            sheet.file.path.display()
        ));
        for at in *at..until {
            let line = sheet.lines[at];
            let content = line.trim_start();
            if key(line).is_some() {
                let depth = line.len() - content.len();
                edits.lines.insert((port.sheet, at), vec![format!("{}{mark}: {content}", indent(depth))]);
            }
        }
    }
    if !stays {
        let depth =
            keys.first().and_then(|at| key(sheet.lines[*at])).map_or(port.depth + 2, |(depth, _)| depth);
        let line = format!("{}dhcp4: false {mark}", indent(depth));
        edits.lines.insert((port.sheet, port.at), vec![head.to_owned(), line]);
    }
    Ok(())
}

/// Whether a key gives the link an address, or what goes with one.
fn gives(name: &str, value: &str) -> bool {
    let is_off = matches!(value, "false" | "no" | "off" | "[]" | "{}");
    ADDRESSING.contains(&name) && !OF_LINKS.contains(&name) && !is_off
}

/// netplan must know a port; what is not there yet is only a NIC.
fn define(sheet: &Sheet, bridge: &Definition, spec: PortSpec, edits: &mut Edits) -> Result<(), String> {
    if spec.is_made {
        return Err(format!("no file says how {} is made", spec.port));
    }
    let lines = sheet.lines.as_slice();
    let Some((network, depth)) = find(lines, 0, lines.len(), "network") else { return Ok(()) };
    let sections = children(lines, network, block_end(lines, network + 1, depth));
    let (port, mark) = (spec.port, spec.mark());
    // As deep as the bridge is.
    let section_depth = sections.first().and_then(|at| key(lines[*at])).map_or(2, |(depth, _)| depth);
    let step = bridge.depth.saturating_sub(section_depth).max(1);
    let (outer, inner) = (indent(bridge.depth), indent(bridge.depth + step));
    let mut new = vec![format!("{outer}{port}: {mark}"), format!("{inner}dhcp4: false {mark}")];
    if let Some((_, renderer)) = sheet.get(bridge, "renderer") {
        new.push(format!("{inner}renderer: {renderer} {mark}"));
    }
    let ethernets = sections.iter().find(|at| key(lines[**at]).is_some_and(|(_, name)| name == "ethernets"));
    let at = match ethernets {
        Some(at) if !value(lines[*at]).is_empty() => return Err(sheet.says("has ethernets in braces")),
        Some(at) => *at,
        None => {
            new.insert(0, format!("{}ethernets: {mark}", indent(section_depth)));
            network
        }
    };
    new.insert(0, lines[at].to_owned());
    edits.lines.insert((bridge.sheet, at), new);
    Ok(())
}

/// Everything with the mark of this port becomes what it was.
fn remove(sheets: &[Sheet], spec: PortSpec, port: Option<&Definition>, edits: &mut Edits) {
    let mark = spec.mark();
    let own = |line: &str| line.trim_end().ends_with(&format!(" {mark}"));
    for (number, sheet) in sheets.iter().enumerate() {
        for (at, line) in sheet.lines.iter().enumerate() {
            let content = line.trim_start();
            let depth = line.len() - content.len();
            if let Some(rest) = content.strip_prefix(&format!("{mark}: ")) {
                edits.lines.insert((number, at), vec![format!("{}{rest}", indent(depth))]);
                if port.is_some_and(|port| children_depth(sheet, port) == Some(depth)) {
                    edits.told.push(format!("{} has {rest} of its own again", spec.port));
                }
            } else if content.trim_end() == mark {
                edits.lines.insert((number, at), Vec::new());
            } else if own(line) {
                let end = block_end(&sheet.lines, at + 1, depth);
                let below = sheet.lines.get(at + 1..end).unwrap_or_default();
                let is_empty = below.iter().all(|line| key(line).is_none() || own(line));
                let bare = line.trim_end().trim_end_matches(&mark).trim_end().to_owned();
                edits.lines.insert((number, at), if is_empty { Vec::new() } else { vec![bare] });
            }
        }
    }
}

/// How deep the keys of a definition are, which may all be comments.
fn children_depth(sheet: &Sheet, of: &Definition) -> Option<usize> {
    let below = sheet.lines.get(of.at + 1..)?.iter().find(|line| !line.trim().is_empty())?;
    Some(below.len() - below.trim_start().len())
}

/// The list of ports, in brackets or in lines.
fn interfaces(
    sheet: &Sheet,
    bridge: &Definition,
    id: &str,
    spec: PortSpec,
    edits: &mut Edits,
) -> Result<(), String> {
    let lines = sheet.lines.as_slice();
    let head = lines[bridge.at];
    if !value(head).is_empty() {
        return Err(sheet.says(&format!("has {} in braces", bridge.id)));
    }
    let mut put = |at: usize, new: Vec<String>| edits.lines.insert((bridge.sheet, at), new);
    let is_add = spec.want == PortWant::Add;
    let Some((at, value)) = sheet.get(bridge, "interfaces") else {
        if is_add {
            let keys = children(lines, bridge.at, bridge.end);
            let depth =
                keys.first().and_then(|at| key(lines[*at])).map_or(bridge.depth + 2, |(depth, _)| depth);
            let new = format!("{}interfaces: [{id}] {}", indent(depth), spec.mark());
            put(bridge.at, vec![head.to_owned(), new]);
        }
        return Ok(());
    };
    let line = lines[at];
    let depth = line.len() - line.trim_start().len();
    let marked = |line: String| vec![format!("{}{}", indent(depth), spec.mark()), line];
    if value.is_empty() {
        let end = block_end(lines, at + 1, depth);
        let items: Vec<usize> = (at + 1..end).filter(|at| key(lines[*at]).is_some()).collect();
        let item = |at: &usize| code(lines[*at]).trim_start().strip_prefix('-').map(bare);
        let found = items.iter().copied().find(|at| item(at) == Some(id));
        match (found, items.last()) {
            (Some(_), _) if is_add => {}
            (Some(only), _) if items.len() == 1 => {
                put(only, Vec::new());
                put(at, vec![line.replacen(':', ": []", 1)]);
            }
            (Some(found), _) => {
                put(found, Vec::new());
            }
            (None, Some(last)) if is_add => {
                let depth = lines[*last].len() - lines[*last].trim_start().len();
                put(*last, vec![lines[*last].to_owned(), format!("{}- {id}", indent(depth))]);
                put(at, marked(line.to_owned()));
            }
            (None, None) if is_add => {
                put(at, marked(line.replacen(':', &format!(": [{id}]"), 1)));
            }
            (None, _) => {}
        }
        return Ok(());
    }
    let Some(inside) = value.strip_prefix('[').and_then(|list| list.strip_suffix(']')) else {
        return Err(sheet.says("has the list over several lines in brackets"));
    };
    let items: Vec<&str> = inside.split(',').filter(|item| !item.trim().is_empty()).collect();
    let has = items.iter().any(|item| bare(item) == id);
    let joined = if is_add && !has {
        let own = if items.is_empty() { id.to_owned() } else { format!(" {id}") };
        items.iter().map(|item| (*item).to_owned()).chain([own]).collect::<Vec<_>>().join(",")
    } else if !is_add && has {
        let others: Vec<&str> = items.into_iter().filter(|item| bare(item) != id).collect();
        others.join(",").trim_start().to_owned()
    } else {
        return Ok(());
    };
    let new = line.replacen(value, &format!("[{joined}]"), 1);
    let own = new.strip_suffix(&format!(" {}", spec.mark()));
    let new = match own {
        _ if is_add => marked(new),
        Some(_) if joined.is_empty() => Vec::new(),
        own => vec![own.unwrap_or(&new).to_owned()],
    };
    put(at, new);
    Ok(())
}
