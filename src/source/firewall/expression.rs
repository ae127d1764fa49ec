//! PURE. A rule's expressions in order → matches and an action: a small machine with registers, as
//! the kernel's own, that remembers where each register's value came from.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::attributes::{find, find_be32, find_string, string};
use super::decode::{Names, SetElement, counter, verdict};
use super::stateful::{self, Step};
use super::values::{
    Value, address, hex, interface, ip, meta_word, nets_between, payload_base, ports, prefix_of,
    reject_words, set_match, slot, state_words, status_words, width,
};
use super::xt;
use crate::model::firewall::{Action, Family, MapArm, Match, RuleCounter, Side, Verdict};
use crate::model::ids::{IfIndex, Mac};

/// What a rule's expressions say.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    pub(super) matches: Vec<Match>,
    pub(super) also: Vec<String>,
    pub(super) action: Option<Action>,
    pub(super) counter: Option<RuleCounter>,
    pub(super) comment: Option<String>,
}

/// The machine.
pub(super) struct Expressions<'a> {
    family: u8,
    table: &'a str,
    names: &'a mut dyn Names,
    registers: BTreeMap<u32, Value>,
    out: Decoded,
}

impl<'a> Expressions<'a> {
    pub(super) fn new(family: u8, table: &'a str, names: &'a mut dyn Names) -> Self {
        Self { family, table, names, registers: BTreeMap::new(), out: Decoded::default() }
    }

    pub(super) fn finish(self) -> Decoded {
        self.out
    }

    /// Takes the next expression.
    pub(super) fn take(&mut self, name: &str, data: &[u8]) {
        let understood = match name {
            "meta" => self.meta(data),
            "payload" => self.payload(data),
            "ct" => self.ct(data),
            "fib" => self.fib(data),
            "bitwise" => self.bitwise(data),
            "cmp" => self.cmp(data),
            "range" => self.range(data),
            "lookup" => self.lookup(data),
            "immediate" => self.immediate(data),
            "counter" => {
                self.out.counter = Some(counter(data));
                Some(())
            }
            "masq" => self.act(Action::Masquerade { ports: self.port_registers(data, 2, 3) }),
            "redir" => self.act(Action::Redirect { ports: self.port_registers(data, 1, 2) }),
            "nat" => self.nat(data),
            "reject" => self.act(Action::Reject { with: reject_words(data) }),
            "queue" => self.act(Action::Verdict { verdict: Verdict::Queue }),
            "dynset" => self.step(name, stateful::dynset(data)),
            "objref" => self.step(name, stateful::objref(data)),
            "match" => self.xt_match(data),
            "target" => self.xt_target(data),
            _ => None,
        };
        if understood.is_none() {
            self.opaque(name, data);
        }
    }

    fn opaque(&mut self, name: &str, data: &[u8]) {
        let hex = hex(data.get(..24).unwrap_or(data));
        let text = if hex.is_empty() { name.to_owned() } else { format!("{name} 0x{hex}") };
        let source_register = match name {
            "meta" | "ct" => find(data, if name == "meta" { 3 } else { 4 }),
            "payload" => find(data, 5),
            _ => None,
        };
        if source_register.is_some() {
            let harmless = name == "payload" && self.spares_addresses(data);
            self.note(format!("{} set", if harmless { "header" } else { name }));
        } else if matches!(name, "log" | "notrack" | "dup" | "secmark" | "flow_offload" | "last") {
            // These only note something; the packet goes on.
            self.note(name.to_owned());
        } else if matches!(name, "fwd" | "tproxy" | "synproxy") {
            self.out.action = Some(Action::Opaque { text });
        } else {
            // It may have loaded a register: what was there before must not be taken for it.
            self.registers.clear();
            self.out.matches.push(Match::Opaque { text });
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "every step answers whether it was understood")]
    fn act(&mut self, action: Action) -> Option<()> {
        // What was taken for the rule's action comes before its verdict.
        if let Some(Action::Opaque { text }) = self.out.action.replace(action) {
            self.out.also.push(text);
        }
        Some(())
    }

    /// The rule does this and goes on.
    fn note(&mut self, text: String) {
        match self.out.action {
            None => self.out.action = Some(Action::Opaque { text }),
            Some(_) => self.out.also.push(text),
        }
    }

    /// It writes into a header where there are neither addresses nor ports (`ip dscp set`).
    fn spares_addresses(&self, data: &[u8]) -> bool {
        let (Some(base), Some(offset), Some(length)) =
            (find_be32(data, 2), find_be32(data, 3), find_be32(data, 4))
        else {
            return false;
        };
        let v4 = self.family == 2 || self.out.matches.contains(&Match::NfProto { family: Family::Ip });
        match base {
            1 => offset.saturating_add(length) <= if v4 { 12 } else { 8 },
            2 => offset >= 4,
            _ => false,
        }
    }

    fn step(&mut self, name: &str, step: Step) -> Option<()> {
        match step {
            Step::Notes => {}
            Step::Asks(text) => self.out.matches.push(Match::Opaque { text }),
            Step::Takes(text) => return self.act(Action::Opaque { text }),
        }
        self.note(name.to_owned());
        Some(())
    }

    fn load(&mut self, register: Option<u32>, value: Value) -> Option<()> {
        self.registers.insert(slot(register?), value);
        Some(())
    }

    fn register(&self, register: Option<u32>) -> Option<Value> {
        self.registers.get(&slot(register?)).cloned()
    }

    fn meta(&mut self, data: &[u8]) -> Option<()> {
        let key = find_be32(data, 2)?;
        if find(data, 3).is_some() {
            return None;
        }
        let value = match key {
            4 => Value::InIndex,
            5 => Value::OutIndex,
            1 => Value::EtherType,
            3 => Value::Mark,
            6 => Value::InName,
            7 => Value::OutName,
            19 => Value::PacketType,
            15 => Value::NfProto,
            16 => Value::L4Proto,
            other => Value::Opaque(meta_word(other)),
        };
        self.load(find_be32(data, 1), value)
    }

    fn payload(&mut self, data: &[u8]) -> Option<()> {
        if find(data, 5).is_some() {
            return None;
        }
        let (base, offset, length) = (find_be32(data, 2)?, find_be32(data, 3)?, find_be32(data, 4)?);
        let bytes = usize::try_from(length).ok()?;
        let ip6 = self.family == 10 || (self.family != 2 && length > 4);
        let value = match (base, offset, length, ip6) {
            (1, 9, 1, false) | (1, 6, 1, true) => Value::L4Proto,
            (1, 12, 1..=4, false) | (1, 8, 1..=16, true) => Value::Source(bytes),
            (1, 16, 1..=4, false) | (1, 24, 1..=16, true) => Value::Destination(bytes),
            (0, 12, 2, _) => Value::EtherType,
            (0, 0, 6, _) => Value::EtherAddress(Side::Destination),
            (0, 6, 6, _) => Value::EtherAddress(Side::Source),
            (2, 0, 1, _) if self.icmp() => Value::IcmpType,
            (2, 0, 2, _) => Value::SourcePort,
            (2, 2, 2, _) => Value::DestinationPort,
            (2, 0, 4, _) => Value::Ports,
            _ => Value::Opaque(format!(
                "@{},{},{}",
                payload_base(base),
                offset.saturating_mul(8),
                length.saturating_mul(8)
            )),
        };
        self.load(find_be32(data, 1), value)
    }

    /// The rule has asked for ICMP, so the first byte of layer 4 is its type.
    fn icmp(&self) -> bool {
        self.out.matches.iter().any(|part| match part {
            Match::Protocol { protocols, negated: false } => {
                protocols.iter().all(|protocol| matches!(protocol, 1 | 58))
            }
            _ => false,
        })
    }

    /// `fib daddr type`: result 3, of one address, with nothing else looked at.
    fn fib(&mut self, data: &[u8]) -> Option<()> {
        let value = match (find_be32(data, 2)?, find_be32(data, 3)?) {
            (3, 1) => Value::AddressKind(Side::Source),
            (3, 2) => Value::AddressKind(Side::Destination),
            _ => Value::Opaque("fib".to_owned()),
        };
        self.load(find_be32(data, 1), value)
    }

    fn ct(&mut self, data: &[u8]) -> Option<()> {
        let value = match find_be32(data, 2)? {
            0 => Value::CtState,
            2 => Value::CtStatus,
            other => Value::Opaque(format!("ct key {other}")),
        };
        self.load(find_be32(data, 1), value)
    }

    fn bitwise(&mut self, data: &[u8]) -> Option<()> {
        let value = self.register(find_be32(data, 1))?;
        let mask = find(data, 4).and_then(|nested| find(nested, 1))?.to_vec();
        let xor = find(data, 5).and_then(|nested| find(nested, 1)).unwrap_or_default();
        let value = if xor.iter().all(|byte| *byte == 0) {
            Value::Masked(Box::new(value), mask)
        } else {
            Value::Opaque("bitwise".to_owned())
        };
        self.load(find_be32(data, 2), value)
    }

    fn cmp(&mut self, data: &[u8]) -> Option<()> {
        let value = self.register(find_be32(data, 1))?;
        let constant = find(data, 3).and_then(|nested| find(nested, 1))?;
        let operator = find_be32(data, 2)?;
        let negated = operator == 1;
        let part = match (&value, operator) {
            (Value::Ports, 0) => {
                let [a, b, c, d] = *constant.first_chunk()?;
                let (source, destination) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                self.out.matches.extend(ports(&Value::SourcePort, vec![(source, source)], false));
                ports(&Value::DestinationPort, vec![(destination, destination)], false)?
            }
            (Value::Opaque(text), 0 | 1) => {
                let word = if negated { "!=" } else { "==" };
                Match::Opaque { text: format!("{text} {word} 0x{}", hex(constant)) }
            }
            (_, 0 | 1) => self.equals(&value, constant, negated)?,
            (Value::SourcePort | Value::DestinationPort, 2..=5) => {
                let port = u16::from_be_bytes(*constant.first_chunk()?);
                let range = match operator {
                    2 => (0, port.saturating_sub(1)),
                    3 => (0, port),
                    4 => (port.saturating_add(1), u16::MAX),
                    _ => (port, u16::MAX),
                };
                ports(&value, vec![range], false)?
            }
            _ => return None,
        };
        self.out.matches.push(part);
        Some(())
    }

    /// `value == constant`, or not.
    fn equals(&self, value: &Value, constant: &[u8], negated: bool) -> Option<Match> {
        Some(match value {
            Value::InName => Match::InInterface { name: interface(constant), negated },
            Value::OutName => Match::OutInterface { name: interface(constant), negated },
            Value::InIndex => Match::InInterface { name: self.link(constant)?, negated },
            Value::OutIndex => Match::OutInterface { name: self.link(constant)?, negated },
            Value::NfProto if !negated => match constant.first()? {
                2 => Match::NfProto { family: Family::Ip },
                10 => Match::NfProto { family: Family::Ip6 },
                _ => return None,
            },
            Value::L4Proto => Match::Protocol { protocols: vec![*constant.first()?], negated },
            Value::Source(_) | Value::Destination(_) => {
                let bits = constant.len().checked_mul(8)?;
                address(value, vec![self.net(constant, bits)?], negated)?
            }
            Value::Masked(inner, mask) => match inner.as_ref() {
                Value::Source(_) | Value::Destination(_) => {
                    let net = self.net(constant, prefix_of(mask)?)?;
                    address(inner, vec![net], negated)?
                }
                Value::Mark => Match::Mark {
                    value: u32::from_ne_bytes(*constant.first_chunk()?),
                    mask: u32::from_ne_bytes(*mask.first_chunk()?),
                    negated,
                },
                // `ct state & mask != 0` is how "any of these" is written.
                Value::CtState if constant.iter().all(|byte| *byte == 0) => {
                    Match::CtState { states: state_words(mask), negated: !negated }
                }
                Value::CtStatus if constant.iter().all(|byte| *byte == 0) => {
                    Match::CtState { states: status_words(mask), negated: !negated }
                }
                _ => return None,
            },
            Value::CtState => Match::CtState { states: state_words(constant), negated },
            Value::SourcePort | Value::DestinationPort => {
                let port = u16::from_be_bytes(*constant.first_chunk()?);
                ports(value, vec![(port, port)], negated)?
            }
            Value::Mark => {
                let value = u32::from_ne_bytes(*constant.first_chunk()?);
                Match::Mark { value, mask: u32::MAX, negated }
            }
            Value::EtherType => {
                Match::EtherType { types: vec![u16::from_be_bytes(*constant.first_chunk()?)], negated }
            }
            Value::EtherAddress(of) => {
                Match::EtherAddress { of: *of, mac: Mac::from_slice(constant)?, negated }
            }
            Value::IcmpType => {
                let kind = *constant.first()?;
                Match::IcmpType { ranges: vec![(kind, kind)], negated }
            }
            Value::PacketType => {
                Match::PacketType { types: vec![xt::packet_type(*constant.first()?)?.to_owned()], negated }
            }
            Value::AddressKind(of) => {
                let kind = u32::from_ne_bytes(*constant.first_chunk()?);
                let kinds = vec![xt::address_kind(kind)?.to_owned()];
                Match::AddressKind { of: *of, kinds, negated }
            }
            _ => return None,
        })
    }

    fn range(&mut self, data: &[u8]) -> Option<()> {
        let value = self.register(find_be32(data, 1))?;
        let negated = find_be32(data, 2)? == 1;
        let end = |kind| find(data, kind).and_then(|nested| find(nested, 1));
        let (from, to) = (end(3)?, end(4)?);
        let part = match &value {
            Value::SourcePort | Value::DestinationPort => {
                let port = |bytes: &[u8]| Some(u16::from_be_bytes(*bytes.first_chunk()?));
                ports(&value, vec![(port(from)?, port(to)?)], negated)?
            }
            Value::Source(_) | Value::Destination(_) => address(&value, nets_between(from, to)?, negated)?,
            _ => return None,
        };
        self.out.matches.push(part);
        Some(())
    }

    fn lookup(&mut self, data: &[u8]) -> Option<()> {
        let set = find_string(data, 1)?;
        let value = self.register(find_be32(data, 2))?;
        let negated = find_be32(data, 5).unwrap_or(0) & 1 == 1;
        if let Some(destination) = find_be32(data, 3) {
            // A map: its result is a verdict (register 0) or a value nobody can tell in advance.
            let text = format!("map @{set}");
            if destination != 0 {
                return self.load(Some(destination), Value::Opaque(text));
            }
            let arms = self.names.set(self.family, self.table, &set);
            let arms = arms.and_then(|elements| self.arms(&value, &elements));
            return self.act(match arms {
                Some(arms) => Action::Map { arms },
                None => Action::Opaque { text: format!("verdict {text}") },
            });
        }
        let part = self
            .names
            .set(self.family, self.table, &set)
            .and_then(|elements| self.set_match(&value, &elements, negated))
            .unwrap_or_else(|| Match::Opaque {
                text: format!("{}in @{set}", if negated { "not " } else { "" }),
            });
        self.out.matches.push(part);
        Some(())
    }

    /// The arms of a verdict map with one key per element.
    fn arms(&self, value: &Value, elements: &[SetElement]) -> Option<Vec<MapArm>> {
        let arm = |element: &SetElement| {
            let fits = width(value)? == element.key.len() && !element.end;
            let when = fits.then(|| self.equals(value, &element.key, false)).flatten()?;
            Some(MapArm { when, then: element.verdict.clone()? })
        };
        elements.iter().map(arm).collect()
    }

    /// A condition on a value that must be in a set; `None` where the set's key is more than that value.
    fn set_match(&self, value: &Value, elements: &[SetElement], negated: bool) -> Option<Match> {
        let width = width(value)?;
        if elements.iter().any(|element| element.key.len() != width) {
            return None;
        }
        if let Some(part) = set_match(value, elements, negated) {
            return Some(part);
        }
        if elements.iter().any(|element| element.end) {
            return None;
        }
        let any = elements.iter().map(|element| self.equals(value, &element.key, false));
        Some(Match::AnyOf { any: any.collect::<Option<_>>()?, negated })
    }

    fn immediate(&mut self, data: &[u8]) -> Option<()> {
        let nested = find(data, 2)?;
        if let Some(value) = find(nested, 1) {
            return self.load(find_be32(data, 1), Value::Constant(value.to_vec()));
        }
        self.act(verdict(find(nested, 2)?)?)
    }

    fn nat(&mut self, data: &[u8]) -> Option<()> {
        let constant = |kind| match self.register(find_be32(data, kind)) {
            Some(Value::Constant(bytes)) => Some(bytes),
            _ => None,
        };
        let first = constant(3);
        let last = constant(4).or_else(|| first.clone());
        let address = first.zip(last).and_then(|(first, last)| Some((ip(&first)?, ip(&last)?)));
        let ports = self.port_registers(data, 5, 6);
        match find_be32(data, 1)? {
            0 => self.act(Action::Snat { address, ports }),
            1 => self.act(Action::Dnat { address, ports }),
            _ => None,
        }
    }

    fn port_registers(&self, data: &[u8], first: u16, last: u16) -> Option<(u16, u16)> {
        let port = |kind| match self.register(find_be32(data, kind)) {
            Some(Value::Constant(bytes)) => Some(u16::from_be_bytes(*bytes.first_chunk()?)),
            _ => None,
        };
        let from = port(first)?;
        Some((from, port(last).unwrap_or(from)))
    }

    fn xt_match(&mut self, data: &[u8]) -> Option<()> {
        let name = find_string(data, 1)?;
        let info = find(data, 3)?;
        if name == "comment" {
            self.out.comment = Some(string(info));
            return Some(());
        }
        let parts = xt::matches(&name, find_be32(data, 2)?, info)?;
        self.out.matches.extend(parts);
        Some(())
    }

    fn xt_target(&mut self, data: &[u8]) -> Option<()> {
        let name = find_string(data, 1)?;
        let info = find(data, 3)?;
        let action = xt::target(&name, find_be32(data, 2)?, info).unwrap_or(Action::Opaque { text: name });
        self.act(action)
    }

    fn link(&self, constant: &[u8]) -> Option<String> {
        let index = u32::from_ne_bytes(*constant.first_chunk()?);
        Some(self.names.link(IfIndex(index)).unwrap_or_else(|| format!("#{index}")))
    }

    /// A net of the first `prefix` bits of these bytes; fewer bytes than an address were compared
    /// when the prefix ends at a byte.
    fn net(&self, bytes: &[u8], prefix: usize) -> Option<IpNet> {
        let ip6 = self.family == 10 || (self.family != 2 && bytes.len() > 4);
        let prefix = u8::try_from(prefix).ok()?;
        let mut whole = [0_u8; 16];
        whole.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        let address = if ip6 {
            IpAddr::V6(Ipv6Addr::from(whole))
        } else {
            IpAddr::V4(Ipv4Addr::from(*whole.first_chunk::<4>()?))
        };
        IpNet::new(address, prefix).ok()
    }
}
