//! The customer's notes, done safely: virbr1 over eth0 on two hosts, a guest of each plugged into it,
//! addresses from the LAN's DHCP, and the guests reach each other.

use crate::lab::Lab;

#[test]
#[ignore = "needs root: starts the lab"]
fn guests_of_two_hosts_meet_on_bridges_over_their_nics() {
    let lab = Lab::up("bridge-guests", &["--hosts", "2"]);
    for host in ["kvm1", "kvm2"] {
        lab.run(host, "virt-net bridge create virbr1 --port eth0 --yes && virt-net confirm");
        let text = lab.run(host, "virt-net switch centos7 --to bridge=virbr1 --yes");
        assert!(text.contains("verified"), "{text}");
    }
    for (host, address, other) in [("kvm1", "10.0.0.208", "10.0.0.210"), ("kvm2", "10.0.0.210", "10.0.0.208")]
    {
        let own = lab.guest(host, "centos7", "ip -4 -o address show dev eth0");
        assert!(own.contains(&format!("{address}/")), "{host}: {own}");
        let text = lab.guest(host, "centos7", &format!("ping -c 3 -W 3 {other}"));
        assert!(text.contains(" 0% packet loss"), "{host}: {text}");
        let resolver = lab.guest(host, "centos7", "cat /etc/resolv.conf; ping -c 1 -W 3 198.51.100.1");
        assert!(
            resolver.contains("nameserver 10.0.0.2") && resolver.contains(" 0% packet loss"),
            "{resolver}"
        );
        let ports = lab.run(host, "ip -br link show master virbr1");
        assert!(ports.contains("eth0") && ports.contains("vnet0"), "{ports}");
    }
    // A bridge with guests on it is not deleted under them.
    let text = lab.run("kvm1", "virt-net bridge delete virbr1 --yes 2>&1; echo status $?");
    assert!(text.contains("centos7 is plugged into it") && text.contains("status 3"), "{text}");
}
