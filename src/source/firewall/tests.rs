//! Records a namespace's whole rule set as the kernel sends it, for `tests/pure/firewall.rs`.

use super::socket::Reader;

/// A part of a recording: its kind, its family, and the payload as the kernel sent it.
fn part(out: &mut Vec<u8>, kind: u8, family: u8, payload: &[u8]) {
    out.extend([kind, family]);
    out.extend(u32::try_from(payload.len()).unwrap().to_le_bytes());
    out.extend(payload);
}

/// With `VIRT_NET_RECORD=FILE` the rules of this namespace are written there (tests/fixtures/firewall/setup
/// does so); without it, those of a new one, which has none, are read.
#[test]
#[ignore = "needs root: reads the rules of a network namespace"]
fn record() {
    let file = std::env::var_os("VIRT_NET_RECORD");
    if file.is_none() {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
    }
    let raw = Reader::open().unwrap().raw().unwrap();
    let Some(file) = file else {
        assert!(raw.tables.is_empty() && raw.chains.is_empty() && raw.rules.is_empty());
        return;
    };
    let mut out = Vec::new();
    for (kind, objects) in [(1, &raw.tables), (2, &raw.chains), (3, &raw.rules)] {
        for (family, payload) in objects {
            part(&mut out, kind, *family, payload);
        }
    }
    for (family, table, set, elements) in &raw.sets {
        part(&mut out, 4, *family, format!("{table}\0{set}").as_bytes());
        for (family, payload) in elements {
            part(&mut out, 5, *family, payload);
        }
    }
    for link in &nix::net::if_::if_nameindex().unwrap() {
        let payload = [&link.index().to_le_bytes(), link.name().to_bytes()].concat();
        part(&mut out, 6, 0, &payload);
    }
    std::fs::write(file, out).unwrap();
}
