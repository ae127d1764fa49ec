//! PURE. Which packets are wanted, as a program for the kernel's packet filter (classic BPF).

use clap::ValueEnum;

/// A kind of packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Only {
    /// Who has an address
    Arp,
    /// Requests for an address and their answers (IPv4)
    Dhcp,
    /// Pings and errors, of IPv4 and IPv6
    Icmp,
    /// TCP over IPv4 and IPv6
    Tcp,
    /// UDP over IPv4 and IPv6
    Udp,
    /// All of IPv6
    Ip6,
}

/// One instruction: code, jumps if true and if false, operand (`linux/filter.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// What it does.
    pub code: u16,
    /// Instructions skipped when the condition holds.
    pub jt: u8,
    /// Instructions skipped when it does not.
    pub jf: u8,
    /// Its operand.
    pub k: u32,
}

const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF_INDEXED: u16 = 0x48;
/// X = 4 × (byte & 15): the length of an IPv4 header.
const LOAD_HEADER_LENGTH: u16 = 0xb1;
const JUMP_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

const IP: u32 = 0x0800;
const IP6: u32 = 0x86dd;
const ARP: u32 = 0x0806;

const fn load(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k }
}

/// Continues when equal, else skips `rest` instructions.
const fn must_be(k: u32, rest: u8) -> Instruction {
    Instruction { code: JUMP_EQUAL, jt: 0, jf: rest, k }
}

/// The program: the first `keep` bytes of what is wanted, nothing of the rest. Without a wish everything is wanted.
#[must_use]
pub fn program(only: &[Only], keep: u32) -> Vec<Instruction> {
    let keep = load(RETURN, keep);
    if only.is_empty() {
        return vec![keep];
    }
    let mut program = Vec::new();
    for wish in only {
        match wish {
            Only::Arp => program.extend([load(LOAD_HALF, 12), must_be(ARP, 1), keep]),
            Only::Ip6 => program.extend([load(LOAD_HALF, 12), must_be(IP6, 1), keep]),
            Only::Icmp => program.extend([ip_protocol(1, keep), ip6_protocol(58, keep)].concat()),
            Only::Tcp => program.extend([ip_protocol(6, keep), ip6_protocol(6, keep)].concat()),
            Only::Udp => program.extend([ip_protocol(17, keep), ip6_protocol(17, keep)].concat()),
            Only::Dhcp => program.extend(dhcp(keep)),
        }
    }
    program.push(load(RETURN, 0));
    program
}

fn ip_protocol(protocol: u32, keep: Instruction) -> Vec<Instruction> {
    vec![load(LOAD_HALF, 12), must_be(IP, 3), load(LOAD_BYTE, 23), must_be(protocol, 1), keep]
}

fn ip6_protocol(protocol: u32, keep: Instruction) -> Vec<Instruction> {
    vec![load(LOAD_HALF, 12), must_be(IP6, 3), load(LOAD_BYTE, 20), must_be(protocol, 1), keep]
}

/// UDP from or to port 67 or 68: the ports are told apart by the one that a server has.
fn dhcp(keep: Instruction) -> Vec<Instruction> {
    let port = |offset| load(LOAD_HALF_INDEXED, offset);
    let is_67 = |found: u8| Instruction { code: JUMP_EQUAL, jt: found, jf: 0, k: 67 };
    vec![
        load(LOAD_HALF, 12),
        must_be(IP, 8),
        load(LOAD_BYTE, 23),
        must_be(17, 6),
        load(LOAD_HEADER_LENGTH, 14),
        port(14),
        is_67(2),
        port(16),
        must_be(67, 1),
        keep,
    ]
}
