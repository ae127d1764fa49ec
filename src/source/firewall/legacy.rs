//! READS. Tables of the old iptables, which nf_tables does not show: `iptables-legacy-save -c`, asked only
//! where the kernel says that there are such tables. Its text → chains and rules, by a pure parser: what it
//! does not know it keeps as text (`Match::Opaque`), so that half a rule is never taken for the whole.

use std::process::{Command, Stdio};

use super::raw;
use crate::model::firewall::{
    Action, BaseHook, Chain, ChainId, Family, Hook, Match, Rule, RuleCounter, Verdict,
};

/// What the old iptables has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Legacy {
    /// Its chains.
    pub chains: Vec<Chain>,
    /// Its rules, in order within their chain.
    pub rules: Vec<Rule>,
    /// Tables that are there and could not be read.
    pub unread: Vec<String>,
}

/// Handles of rules that have none: their place in the text, beyond every handle that nf_tables gives.
const HANDLES: u64 = 1 << 62;

/// Reads the tables that the kernel names.
pub(super) fn read() -> Legacy {
    let mut all = Legacy::default();
    for (names, programs, family) in [
        ("/proc/self/net/ip_tables_names", ["iptables-legacy-save", "iptables-save"], Family::Ip),
        ("/proc/self/net/ip6_tables_names", ["ip6tables-legacy-save", "ip6tables-save"], Family::Ip6),
    ] {
        let names = std::fs::read_to_string(names).unwrap_or_default();
        if names.trim().is_empty() {
            continue;
        }
        let text = programs.iter().find_map(|program| save(program)).unwrap_or_default();
        let read = parse(family, &text);
        // A save program of the other kind answers as well, and knows nothing of these.
        let missing = |table: &&str| !read.chains.iter().any(|chain| chain.id.table == named(table));
        all.unread.extend(names.lines().filter(missing).map(str::to_owned));
        all.chains.extend(read.chains);
        all.rules.extend(read.rules);
    }
    all.unread.sort_unstable();
    all.unread.dedup();
    all
}

/// What a save program prints; nothing when it is not there, fails, or is the one for nf_tables, whose rules
/// are read already.
fn save(program: &str) -> Option<String> {
    let run = |option| Command::new(program).arg(option).stdin(Stdio::null()).stderr(Stdio::null()).output();
    if !program.contains("legacy") {
        let version = run("--version").ok()?;
        if String::from_utf8_lossy(&version.stdout).contains("nf_tables") {
            return None;
        }
    }
    let output = run("-c").ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Chains and rules in the text of `iptables-save -c`.
#[must_use]
pub fn parse(family: Family, text: &str) -> Legacy {
    let mut read = Legacy::default();
    let mut table = "";
    for (number, line) in text.lines().enumerate() {
        if let Some(name) = line.strip_prefix('*') {
            table = name;
        } else if let Some(rest) = line.strip_prefix(':') {
            read.chains.extend(chain(family, table, rest));
        } else if line.starts_with('[') {
            let handle = HANDLES + u64::try_from(number).unwrap_or(0);
            read.rules.extend(rule(family, table, line, handle));
        }
    }
    read
}

/// nf_tables may have a table of the same name: it is another one.
fn named(table: &str) -> String {
    format!("legacy {table}")
}

/// `FORWARD DROP [12:3456]`
fn chain(family: Family, table: &str, rest: &str) -> Option<Chain> {
    let mut words = rest.split_whitespace();
    let (name, policy) = (words.next()?, words.next()?);
    let id = ChainId { family, table: named(table), chain: name.to_owned() };
    let hook = hook(table, name).map(|(hook, kind, priority)| BaseHook {
        hook,
        kind: kind.to_owned(),
        priority,
        devices: Vec::new(),
        policy: if policy == "DROP" { Verdict::Drop } else { Verdict::Accept },
    });
    let policy_counter = hook.as_ref().and(words.next()).and_then(counter);
    Some(Chain { id, hook, policy_counter })
}

/// Where a built-in chain is attached (`NF_IP_PRI_*`).
fn hook(table: &str, chain: &str) -> Option<(Hook, &'static str, i32)> {
    let hook = match chain {
        "PREROUTING" => Hook::Prerouting,
        "INPUT" => Hook::Input,
        "FORWARD" => Hook::Forward,
        "OUTPUT" => Hook::Output,
        "POSTROUTING" => Hook::Postrouting,
        _ => return None,
    };
    Some(match (table, hook) {
        ("raw", _) => (hook, "filter", -300),
        ("mangle", Hook::Output) => (hook, "route", -150),
        ("mangle", _) => (hook, "filter", -150),
        ("nat", Hook::Prerouting | Hook::Output) => (hook, "nat", -100),
        ("nat", _) => (hook, "nat", 100),
        ("security", _) => (hook, "filter", 50),
        _ => (hook, "filter", 0),
    })
}

/// `[packets:bytes]`
fn counter(text: &str) -> Option<RuleCounter> {
    let (packets, bytes) = text.strip_prefix('[')?.strip_suffix(']')?.split_once(':')?;
    Some(RuleCounter { packets: packets.parse().ok()?, bytes: bytes.parse().ok()? })
}

fn rule(family: Family, table: &str, line: &str, handle: u64) -> Option<Rule> {
    let words = words(line);
    let mut words = words.iter().map(String::as_str).peekable();
    let counter = counter(words.next()?);
    let ("-A", chain) = (words.next()?, words.next()?) else { return None };
    let mut parts = Parts { matches: Vec::new(), action: None, comment: None };
    let mut negated = false;
    while let Some(word) = words.next() {
        if word == "!" {
            negated = true;
            continue;
        }
        // An option's values go on to the next option.
        let mut values = Vec::new();
        while let Some(value) = words.next_if(|next| !next.starts_with('-') && *next != "!") {
            values.push(value);
        }
        if matches!(word, "-j" | "-g") {
            parts.action = Some(target(word, &values, &words.by_ref().collect::<Vec<_>>()));
        } else {
            parts.take(word, &values, negated);
        }
        negated = false;
    }
    let id = ChainId { family, table: named(table), chain: chain.to_owned() };
    let Parts { matches, action, comment } = parts;
    let (also, raw) = (Vec::new(), String::new());
    let mut rule = Rule { chain: id, handle, matches, also, action, counter, comment, raw };
    rule.raw = raw::line(&rule);
    Some(rule)
}

/// Splits at spaces; quoted text is one word, and `\"` in it a quote.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut is_quoted, mut is_open) = (String::new(), false, false);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => (is_quoted, is_open) = (!is_quoted, true),
            '\\' if is_quoted => word.extend(chars.next()),
            ' ' if !is_quoted => {
                if is_open {
                    words.push(std::mem::take(&mut word));
                }
                is_open = false;
            }
            _ => {
                is_open = true;
                word.push(c);
            }
        }
    }
    if is_open {
        words.push(word);
    }
    words
}

/// A rule while it is read.
struct Parts {
    matches: Vec<Match>,
    action: Option<Action>,
    comment: Option<String>,
}

impl Parts {
    fn take(&mut self, option: &str, values: &[&str], negated: bool) {
        let value = values.first().copied().unwrap_or_default();
        // The names of matches say nothing by themselves; what they ask for follows.
        if option == "-m" && matches!(value, "tcp" | "udp" | "comment" | "conntrack" | "state" | "multiport")
        {
            return;
        }
        if option == "--comment" {
            self.comment = Some(value.to_owned());
            return;
        }
        let known = if values.len() == 1 { known(option, value, negated) } else { None };
        self.matches.push(known.unwrap_or_else(|| {
            let not = if negated { "! " } else { "" };
            Match::Opaque { text: format!("{not}{option} {}", values.join(" ")).trim_end().to_owned() }
        }));
    }
}

fn known(option: &str, value: &str, negated: bool) -> Option<Match> {
    Some(match option {
        "-i" => Match::InInterface { name: interface(value), negated },
        "-o" => Match::OutInterface { name: interface(value), negated },
        "-s" => Match::Source { nets: vec![value.parse().ok()?], negated },
        "-d" => Match::Destination { nets: vec![value.parse().ok()?], negated },
        "-p" => Match::Protocol { protocols: vec![protocol(value)?], negated },
        "--sport" | "--sports" => Match::SourcePort { ranges: ranges(value)?, negated },
        "--dport" | "--dports" => Match::DestinationPort { ranges: ranges(value)?, negated },
        "--ctstate" | "--state" => {
            Match::CtState { states: value.split(',').map(str::to_ascii_lowercase).collect(), negated }
        }
        _ => return None,
    })
}

/// iptables' `+` is `*` here.
fn interface(name: &str) -> String {
    name.strip_suffix('+').map_or_else(|| name.to_owned(), |prefix| format!("{prefix}*"))
}

fn protocol(word: &str) -> Option<u8> {
    Some(match word {
        "icmp" => 1,
        "tcp" => 6,
        "udp" => 17,
        "gre" => 47,
        "esp" => 50,
        "ah" => 51,
        "ipv6-icmp" => 58,
        "sctp" => 132,
        "udplite" => 136,
        number => number.parse().ok()?,
    })
}

/// `80,443,8000:8010`
fn ranges(text: &str) -> Option<Vec<(u16, u16)>> {
    let port = |text: &str, open: u16| if text.is_empty() { Some(open) } else { text.parse().ok() };
    let range = |part: &str| match part.split_once(':') {
        Some((first, last)) => Some((port(first, 0)?, port(last, u16::MAX)?)),
        None => Some((part.parse().ok()?, part.parse().ok()?)),
    };
    text.split(',').map(range).collect()
}

/// What `-j` or `-g` names, with the options behind it.
fn target(option: &str, values: &[&str], options: &[&str]) -> Action {
    let name = values.first().copied().unwrap_or_default();
    let option_of = |wanted: &str| {
        let at = options.iter().position(|option| *option == wanted)?;
        options.get(at + 1).copied()
    };
    let opaque = || Action::Opaque { text: [&[name], options].concat().join(" ") };
    if option == "-g" {
        return Action::Goto { chain: name.to_owned() };
    }
    match name {
        "ACCEPT" => Action::Verdict { verdict: Verdict::Accept },
        "DROP" => Action::Verdict { verdict: Verdict::Drop },
        "RETURN" => Action::Verdict { verdict: Verdict::Return },
        "QUEUE" | "NFQUEUE" => Action::Verdict { verdict: Verdict::Queue },
        "REJECT" => Action::Reject { with: option_of("--reject-with").map(str::to_owned) },
        "MASQUERADE" => Action::Masquerade { ports: option_of("--to-ports").and_then(span) },
        "REDIRECT" => Action::Redirect { ports: option_of("--to-ports").and_then(span) },
        "SNAT" => option_of("--to-source")
            .and_then(to)
            .map_or_else(opaque, |(address, ports)| Action::Snat { address: Some(address), ports }),
        "DNAT" => option_of("--to-destination")
            .and_then(to)
            .map_or_else(opaque, |(address, ports)| Action::Dnat { address: Some(address), ports }),
        // Targets of the kernel are written in capitals, and so are libvirt's chains: those are known by name.
        _ if options.is_empty() && !is_target(name) => Action::Jump { chain: name.to_owned() },
        _ => opaque(),
    }
}

/// Targets that may stand without options.
fn is_target(name: &str) -> bool {
    ["LOG", "TRACE", "NOTRACK", "CHECKSUM", "NFLOG", "CT", "TCPMSS", "NETMAP", "AUDIT", "IDLETIMER"]
        .contains(&name)
}

/// `1024-65535`
fn span(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some((first.parse().ok()?, last.parse().ok()?))
}

type To = ((std::net::IpAddr, std::net::IpAddr), Option<(u16, u16)>);

/// `192.168.122.208:22`, `10.0.0.8-10.0.0.9`, `[2001:db8::1]:80`
fn to(text: &str) -> Option<To> {
    let (addresses, ports) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((addresses, rest)) => (addresses, rest.strip_prefix(':')),
        None if text.matches(':').count() == 1 => {
            text.split_once(':').map(|(addresses, ports)| (addresses, Some(ports)))?
        }
        None => (text, None),
    };
    let (first, last) = addresses.split_once('-').unwrap_or((addresses, addresses));
    let ports = match ports {
        Some(ports) => Some(span(ports)?),
        None => None,
    };
    Some(((first.parse().ok()?, last.parse().ok()?), ports))
}
