//! What the notes read with `virsh`, `brctl`, `bridge`, `ip` and `iptables`, one after the other, is what
//! `virt-net show` has: compared on a real host, value by value.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::lab::Lab;

#[test]
#[ignore = "needs root and the lab; assets/test runs it"]
fn show_has_what_the_commands_of_the_notes_print() {
    let lab = Lab::up("reading", &["--bridge"]);
    domiflist(&lab);
    domifaddr(&lab);
    domifstat(&lab);
    bridges_and_ports(&lab);
    nat_rules(&lab);
    networks_and_leases(&lab);
    legacy_rules(&lab);
    // As in the notes: the guest's port goes with the guest, and is there again when it starts.
    lab.run("kvm1", "virsh destroy centos7");
    domiflist(&lab);
    bridges_and_ports(&lab);
    lab.run("kvm1", "virsh start centos7");
    domiflist(&lab);
    bridges_and_ports(&lab);
}

fn show(lab: &Lab, section: &str) -> Vec<Value> {
    lab.json("kvm1", &format!("virt-net show {section} --json"))[section].as_array().unwrap().clone()
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or("-")
}

/// The cells of a table of virsh, without its heading.
fn virsh(lab: &Lab, command: &str) -> Vec<Vec<String>> {
    let printed = lab.run("kvm1", &format!("virsh {command}"));
    let rows = printed.lines().skip(2).filter(|line| !line.trim().is_empty());
    rows.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

fn domiflist(lab: &Lab) {
    let nics = show(lab, "nics");
    for guest in ["centos7", "web01", "db01"] {
        let mine = nics.iter().filter(|nic| nic["guest"] == guest);
        let keys = ["nic", "source_kind", "source", "model", "mac"];
        let mine: Vec<Vec<String>> =
            mine.map(|nic| keys.map(|key| text(nic, key).to_owned()).to_vec()).collect();
        assert_eq!(mine, virsh(lab, &format!("domiflist {guest}")), "domiflist {guest}");
    }
}

/// With the answers of all agents; on a busy machine one may take longer than `show` waits, and is told as silent.
fn nics_with_agents(lab: &Lab) -> Vec<Value> {
    for _ in 0..10 {
        let nics = show(lab, "nics");
        if nics.iter().all(|nic| nic["agent_silent"] == false) {
            return nics;
        }
    }
    panic!("an agent never answers");
}

fn domifaddr(lab: &Lab) {
    let nics = nics_with_agents(lab);
    for (guest, origin, source) in [
        ("centos7", "DHCP lease", "lease"),
        ("web01", "DHCP lease", "lease"),
        ("web01", "guest agent", "agent"),
    ] {
        let seen = |mac: &str, address: &str| {
            let mut nics = nics.iter().filter(|nic| nic["guest"] == guest && nic["mac"] == mac);
            nics.any(|nic| {
                let addresses = nic["addresses"].as_array().unwrap();
                addresses.iter().any(|seen| {
                    // The best source of an address is the one that is named.
                    let named = seen["origin"] == origin || seen["origin"] == "guest agent";
                    named && format!("{}/{}", text(seen, "address"), seen["prefix"]) == address
                })
            })
        };
        let mut mac = String::new();
        let mut compared = 0;
        for row in virsh(lab, &format!("domifaddr {guest} --source {source}")) {
            if row[1] != "-" {
                mac.clone_from(&row[1]);
            }
            if mac != "00:00:00:00:00:00" {
                assert!(seen(&mac, &row[3]), "{guest} {mac} {} by {source}\n{nics:#?}", row[3]);
                compared += 1;
            }
        }
        assert!(compared > 0, "virsh domifaddr {guest} --source {source} prints something");
    }
}

/// rx and tx as the guest has them: virsh, this program and the guest itself agree.
fn domifstat(lab: &Lab) {
    // A quiet guest: what it sends between two readings is at most a few packets.
    lab.guest("kvm1", "centos7", "ping -c 20 -i 0.1 -s 1000 192.168.122.1");
    let counters = |printed: &str| -> BTreeMap<String, u64> {
        let lines = printed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines
            .filter(|cells| cells.len() == 3)
            .map(|cells| (cells[1].to_owned(), cells[2].parse().unwrap()))
            .collect()
    };
    let before = counters(&lab.run("kvm1", "virsh domifstat centos7 vnet0"));
    let nics = show(lab, "nics");
    let after = counters(&lab.run("kvm1", "virsh domifstat centos7 vnet0"));
    let mine = &nics.iter().find(|nic| nic["nic"] == "vnet0").unwrap()["counters"];
    for (theirs, key) in [
        ("rx_bytes", "rx_bytes"),
        ("rx_packets", "rx_packets"),
        ("rx_errs", "rx_errors"),
        ("rx_drop", "rx_dropped"),
        ("tx_bytes", "tx_bytes"),
        ("tx_packets", "tx_packets"),
        ("tx_errs", "tx_errors"),
        ("tx_drop", "tx_dropped"),
    ] {
        let value = mine[key].as_u64().unwrap();
        assert!((before[theirs]..=after[theirs]).contains(&value), "{key} {value}: {before:?} {after:?}");
    }
    let sent: u64 =
        lab.guest("kvm1", "centos7", "cat /sys/class/net/eth0/statistics/tx_bytes").trim().parse().unwrap();
    assert!(mine["tx_bytes"].as_u64().unwrap() <= sent && sent > 20_000, "{sent} {mine}");
}

/// `brctl show`, `bridge link`, `ip link show master`.
fn bridges_and_ports(lab: &Lab) {
    let ports = show(lab, "ports");
    let mut mine: Vec<[&str; 3]> =
        ports.iter().map(|port| ["bridge", "port", "state"].map(|key| text(port, key))).collect();
    mine.sort_unstable();
    let theirs = lab.json("kvm1", "bridge -j link show");
    let theirs = theirs.as_array().unwrap();
    let mut theirs: Vec<[&str; 3]> =
        theirs.iter().map(|link| ["master", "ifname", "state"].map(|key| text(link, key))).collect();
    theirs.sort_unstable();
    // A port that has just come goes from listening to forwarding between the two readings.
    let plugs = |rows: &[[&str; 3]]| -> Vec<String> {
        rows.iter().map(|[bridge, port, _]| format!("{bridge} {port}")).collect()
    };
    assert_eq!(plugs(&mine), plugs(&theirs));
    let guest_ports = mine.iter().filter(|[_, _, state]| *state == "forwarding").count();
    assert!(guest_ports > 0, "{mine:?}");

    let bridges = show(lab, "bridges");
    let mut rows = Vec::new();
    for line in lab.run("kvm1", "brctl show").lines().skip(1) {
        let cells: Vec<&str> = line.split_whitespace().collect();
        match cells.as_slice() {
            [port] => rows.last_mut().map_or((), |(_, _, _, ports): &mut (_, _, _, Vec<String>)| {
                ports.push((*port).to_owned());
            }),
            [name, id, stp, ports @ ..] => rows.push((
                (*name).to_owned(),
                (*id).to_owned(),
                *stp == "yes",
                ports.iter().map(|port| (*port).to_owned()).collect(),
            )),
            [] | [_, _] => panic!("brctl show: {line}"),
        }
    }
    for (name, id, stp, ports) in rows {
        let bridge = bridges.iter().find(|bridge| bridge["bridge"] == *name).expect("the bridge is shown");
        assert_eq!((bridge["id"].as_str(), bridge["stp"].as_bool()), (Some(id.as_str()), Some(stp)));
        let mut mine: Vec<&str> =
            bridge["ports"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        mine.sort_unstable();
        let mut ports: Vec<&str> = ports.iter().map(String::as_str).collect();
        ports.sort_unstable();
        assert_eq!(mine, ports, "ports of {name}");
        let master = lab.json("kvm1", &format!("ip -j link show master {name}"));
        let mut master: Vec<&str> =
            master.as_array().unwrap().iter().map(|link| text(link, "ifname")).collect();
        master.sort_unstable();
        assert_eq!(mine, master, "ip link show master {name}");
    }
}

/// `iptables -t nat -vnL LIBVIRT_PRT`: the same rules, in the same order, with the same counters.
fn nat_rules(lab: &Lab) {
    let rules = show(lab, "nat");
    let mine = rules.iter().filter(|rule| rule["table"] == "nat" && rule["chain"] == "LIBVIRT_PRT");
    let mine: Vec<(u64, u64, String)> = mine
        .map(|rule| {
            let action = text(rule, "action").split(' ').next().unwrap().to_uppercase();
            (rule["packets"].as_u64().unwrap(), rule["bytes"].as_u64().unwrap(), action)
        })
        .collect();
    let printed = lab.run("kvm1", "iptables -t nat -vxnL LIBVIRT_PRT");
    let theirs: Vec<(u64, u64, String)> = printed
        .lines()
        .skip(2)
        .map(|line| {
            let cells: Vec<&str> = line.split_whitespace().collect();
            (cells[0].parse().unwrap(), cells[1].parse().unwrap(), cells[2].to_owned())
        })
        .collect();
    assert_eq!(theirs.len(), 5, "{printed}");
    assert_eq!(mine, theirs);
}

/// A table of the old iptables beside nf_tables: its rules about guests are among the others, with counters.
fn legacy_rules(lab: &Lab) {
    let rule = "POSTROUTING -s 192.168.122.0/24 -o eth9 -c 5 300 -j MASQUERADE";
    lab.run("kvm1", &format!("iptables-legacy -t nat -A {rule}"));
    let rules = show(lab, "nat");
    let mine = |rule: &&Value| rule["packets"] == 5 && text(rule, "action") == "masquerade";
    assert_eq!(rules.iter().filter(mine).count(), 1, "{rules:#?}");
    assert!(rules.iter().any(|rule| rule["chain"] == "LIBVIRT_PRT"), "nf_tables' own are there too");
    lab.run("kvm1", &format!("iptables-legacy -t nat -D {}", rule.replace("-c 5 300 ", "")));
}

/// `virsh net-list`, `net-dumpxml`, `net-dhcp-leases`.
fn networks_and_leases(lab: &Lab) {
    let networks = show(lab, "networks");
    for row in virsh(lab, "net-list --all") {
        let mine =
            networks.iter().find(|network| network["network"] == row[0]).expect("the network is shown");
        let yes =
            |key: &str, word: &str| assert_eq!(mine[key].as_bool(), Some(word == "yes" || word == "active"));
        yes("active", &row[1]);
        yes("autostart", &row[2]);
        yes("persistent", &row[3]);
    }
    let dump = lab.json("kvm1", "virt-net dump");
    let read = &dump["frames"][0]["libvirt"];
    let network =
        read["networks"].as_array().unwrap().iter().find(|network| network["name"] == "default").unwrap();
    let theirs = lab.run("kvm1", "virsh net-dumpxml default");
    assert_eq!(network["live"].as_str().unwrap().trim(), theirs.trim());
    let theirs = lab.run("kvm1", "virsh net-dumpxml default --inactive");
    assert_eq!(network["next"].as_str().unwrap().trim(), theirs.trim());
    let guest = read["guests"].as_array().unwrap().iter().find(|guest| guest["name"] == "web01").unwrap();
    assert_eq!(guest["live"].as_str().unwrap().trim(), lab.run("kvm1", "virsh dumpxml web01").trim());

    let mut mine: Vec<Vec<String>> = show(lab, "leases")
        .iter()
        .map(|lease| ["mac", "address", "hostname"].map(|key| text(lease, key).to_owned()).to_vec())
        .collect();
    mine.sort();
    let mut theirs: Vec<Vec<String>> = virsh(lab, "net-dhcp-leases default")
        .iter()
        .map(|row| vec![row[2].clone(), row[4].clone(), row[5].clone()])
        .collect();
    theirs.sort();
    assert_eq!(mine, theirs);
    assert_eq!(mine.len(), 2);
}

/// Anybody who may define a guest or ask DHCP for an address chooses these texts.
#[test]
#[ignore = "needs root and the lab; assets/test runs it"]
fn hostile_names_come_out_escaped() {
    let lab = Lab::up("hostile", &[]);
    // C1 control CSI, right-to-left override, and a wide character that must survive.
    let name = "evil\u{9b}31m\u{202e}漢";
    let xml = format!(
        "<domain type='qemu'><name>{name}</name><memory>1024</memory><os><type>hvm</type></os><devices>\
         <interface type='network'><source network='default'/></interface></devices></domain>"
    );
    lab.run("kvm1", &format!("cat > /tmp/evil.xml <<'XML'\n{xml}\nXML\nvirsh define /tmp/evil.xml"));
    let network = format!("<network><name>{name}</name></network>");
    lab.run("kvm1", &format!("cat > /tmp/evil.xml <<'XML'\n{network}\nXML\nvirsh net-define /tmp/evil.xml"));
    // dnsmasq refuses such a host name; its state file is where a worse one would put it.
    let lease = r#"[{"ip-address": "192.168.122.66", "mac-address": "52:54:00:00:00:66",
        "hostname": "h\u001b[31m\u009bx", "expiry-time": 4000000000}]"#;
    lab.run("kvm1", &format!("cat > /var/lib/libvirt/dnsmasq/virbr0.status <<'JSON'\n{lease}\nJSON\n"));
    for command in ["virt-net show", "virt-net show --json", "virt-net dump"] {
        let printed = lab.run("kvm1", command);
        let raw = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!printed.contains(raw), "{command}: {:?}", printed.lines().find(|line| line.contains(raw)));
        assert!(printed.contains('漢'), "{command}: {printed}");
    }
    let shown = lab.run("kvm1", "virt-net show");
    assert!(shown.contains("evil\\u{9b}31m\\u{202e}漢"), "{shown}");
    assert!(shown.contains("h\\x1b[31m\\u{9b}x"), "{shown}");
    let leases = show(&lab, "leases");
    assert_eq!(leases[0]["hostname"], "h\u{1b}[31m\u{9b}x", "JSON keeps the value");
}
