//! DHCP clients in processes of their own: each of root's goes along and comes back, and a process of
//! somebody else is none, whatever it calls itself.

use crate::bridge_owners::{self, IFUPDOWN};
use crate::lab::Lab;

/// Goes into the background as a client does, and keeps what it was started with. The first one has a lease.
const CLIENT: &str = "cp /bin/bash /usr/sbin/dhclient; printf '(while :; do sleep 1; done) & exit 0\\n' >/etc/client; \
    mkdir -p /var/lib/dhcp; \
    printf 'default-duid \"abc\";\\nlease { interface \"eth0\"; fixed-address 10.0.0.8; }\\n' >/var/lib/dhcp/dhclient.eth0.leases; \
    for family in -4 -6; do /usr/sbin/dhclient /etc/client $family -lf /var/lib/dhcp/dhclient.eth0.leases eth0 </dev/null >/dev/null 2>&1; done";
/// Calls itself a client, and marks who runs it; the second one is of a file that nobody can read, so that
/// its files in `/proc` show as root's.
const STRANGERS: &str = "mkdir -p /tmp/evil/b; cp /bin/bash /tmp/evil/dhclient; cp /bin/bash /tmp/evil/b/dhclient; \
    printf 'touch /tmp/evil/by-$(id -u); (while :; do sleep 1; done) & exit 0\\n' >/tmp/evil/script; \
    chmod 711 /tmp/evil/b/dhclient; chmod 777 /tmp/evil; \
    for program in /tmp/evil/dhclient /tmp/evil/b/dhclient; do \
    setpriv --reuid 65534 --clear-groups $program /tmp/evil/script eth0 </dev/null >/dev/null 2>&1; done";
const CREATE: &str = "virt-net bridge create br7 --port eth0 --persist none --yes --confirm 60s";

/// The command lines of all processes of these names, with who runs them.
fn processes(lab: &Lab, name: &str) -> Vec<String> {
    let look = "for p in /proc/[0-9]*; do [ -r $p/cmdline ] && echo $(awk '/^Uid:/ { print $2 }' $p/status) $(tr '\\0' ' ' <$p/cmdline); done 2>/dev/null; true";
    let text = lab.run("kvm1", look);
    let mut lines: Vec<String> = text
        .lines()
        .filter(|line| line.split(' ').nth(1).is_some_and(|program| program.ends_with(name)))
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.sort();
    lines
}

#[test]
#[ignore = "needs root: starts the lab"]
fn clients_of_root_go_along_and_nobody_elses_program_is_run() {
    let lab = Lab::up("bridge-clients", &["--managers"]);
    IFUPDOWN.set_up(&lab);

    lab.run("kvm1", STRANGERS);
    let strangers = processes(&lab, "/dhclient");
    assert_eq!(
        strangers,
        [
            "65534 /tmp/evil/b/dhclient /tmp/evil/script eth0",
            "65534 /tmp/evil/dhclient /tmp/evil/script eth0"
        ]
    );
    let text = lab.run("kvm1", CREATE);
    assert!(!text.contains("DHCP client"), "{text}");
    lab.run("kvm1", "virt-net rollback");
    assert_eq!(processes(&lab, "/dhclient"), strangers, "they are left alone");
    assert_eq!(lab.run("kvm1", "ls /tmp/evil | grep by-"), "by-65534\n", "run as root");
    lab.run("kvm1", "kill -9 $(pidof dhclient)");

    lab.run("kvm1", CLIENT);
    let on = |link: &str| {
        ["-4", "-6"].map(|family| {
            format!(
                "0 /usr/sbin/dhclient /etc/client {family} -lf /var/lib/dhcp/dhclient.{link}.leases {link}"
            )
        })
    };
    assert_eq!(processes(&lab, "/dhclient"), on("eth0"));
    let text = lab.run("kvm1", CREATE);
    assert!(text.contains("let the DHCPv6 client of eth0 run on br7"), "{text}");
    assert_eq!(processes(&lab, "/dhclient"), on("br7"));
    // It is the same client to the server.
    let lease = lab.run("kvm1", "cat /var/lib/dhcp/dhclient.br7.leases");
    assert_eq!(lease, "default-duid \"abc\";\nlease { interface \"br7\"; fixed-address 10.0.0.8; }\n");
    lab.run("kvm1", "virt-net rollback");
    assert_eq!(processes(&lab, "/dhclient"), on("eth0"));

    // Two for the same are not chosen from.
    lab.run("kvm1", "/usr/sbin/dhclient /etc/client eth0 </dev/null >/dev/null 2>&1");
    let text = lab.run("kvm1", &format!("{CREATE} 2>&1; echo status $?"));
    assert!(text.contains("two DHCP clients run on eth0") && text.ends_with("status 3\n"), "{text}");
}

/// Its address says nothing about the link that it is on.
#[test]
#[ignore = "needs root: starts the lab"]
fn a_router_that_announces_itself_answers_over_the_bridge() {
    let lab = Lab::up("bridge-router", &["--managers"]);
    IFUPDOWN.set_up(&lab);
    lab.run(
        "lan",
        "ip -6 address add fd00:7::1/64 dev lan0 nodad; dnsmasq --conf-file=/dev/null --interface=lan0 --bind-dynamic \
         --except-interface=lo --port=0 --enable-ra --dhcp-range=fd00:7::,ra-only --pid-file=/run/lan6.pid",
    );
    bridge_owners::until(&lab, "the router", "ip -6 route | grep '^default via fe80.* dev eth0'");
    let text = lab.run("kvm1", &format!("ping -c 1 -W 5 fd00:7::1 >/dev/null; {CREATE}"));
    let answers = |line: &str| line.starts_with("✔ fe80:") && line.ends_with(" answers");
    assert!(text.lines().any(answers), "{text}");
    lab.run("kvm1", "virt-net rollback");
    bridge_owners::until(&lab, "the router is back", "ip -6 route | grep '^default via fe80.* dev eth0'");
}
