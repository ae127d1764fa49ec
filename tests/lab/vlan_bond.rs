//! A VLAN and a bond as ports of a bridge, which only a kernel with both can show: systemd-networkd makes them, and
//! makes the bridge over them again out of its files.

use crate::machine::Steps;

const SCRIPT: &str = r#"
modprobe -a 8021q bonding bridge veth
ip netns add lan
for n in 1 2 3; do
    ip link add eth$n type veth peer name p$n netns lan; ip link set eth$n up; ip -n lan link set p$n up
done
ip -n lan link add link p1 name p1.7 type vlan id 7; ip -n lan addr add 10.7.0.2/24 dev p1.7; ip -n lan link set p1.7 up
ip -n lan link add bl type bridge; ip -n lan link set p2 master bl; ip -n lan link set p3 master bl
ip -n lan link set bl up; ip -n lan addr add 10.9.0.2/24 dev bl
cd /etc/systemd/network
printf '[Match]\nName=eth1\n[Network]\nVLAN=eth1.7\nLinkLocalAddressing=no\n' >30-eth1.network
printf '[NetDev]\nName=eth1.7\nKind=vlan\n[VLAN]\nId=7\n' >30-eth1.7.netdev
printf '# mine\n[Match]\nName=eth1.7\n[Network]\nAddress=10.7.0.8/24\nLinkLocalAddressing=no\n' >30-eth1.7.network
printf '[NetDev]\nName=bond0\nKind=bond\n[Bond]\nMode=active-backup\n' >40-bond0.netdev
printf '[Match]\nName=bond0\n[Network]\nAddress=10.9.0.8/24\nLinkLocalAddressing=no\n' >40-bond0.network
printf '[Match]\nName=eth2 eth3\n[Network]\nBond=bond0\n' >40-ports.network
networkctl reload
has() { ip -4 -o addr show dev $1 | grep -q " $2/"; }
answers() { ip netns exec lan ping -c 1 -W 1 $1; }
# The kernel says of a VLAN that it is up a moment after its NIC is.
look() { { ip -o link show type $1; ip -4 -br addr; } | sed 's/ UNKNOWN / UP /; s/ UP  */ UP /'; ip route; head -50 /etc/systemd/network/*; }
ports() { ip -o link show master br7 | cut -d: -f2; }

# over NIC KIND ADDRESS
over() {
    until_so has $1 $3; until_so answers $3
    look $2 >/tmp/before
    step $1-try virt-net bridge create br7 --port $1 --yes --confirm 300s
    step $1-try-ports ports
    step $1-try-answers until_so answers $3
    step $1-rollback virt-net rollback
    until_so has $1 $3; look $2 >/tmp/after
    step $1-back diff /tmp/before /tmp/after
    virt-net bridge create br7 --port $1 --yes --confirm 300s
    step $1-confirm virt-net confirm
    # Nothing but the files is left, as after a boot.
    systemctl stop systemd-networkd.socket systemd-networkd
    ip link del br7; ip link del $1
    systemctl start systemd-networkd.socket systemd-networkd
    step $1-again until_so has br7 $3
    step $1-again-answers until_so answers $3
    step $1-again-ports ports
}

over eth1.7 vlan 10.7.0.8
# A VLAN beside it comes and goes.
ip link add link eth1 name eth1.9 type vlan id 9; ip link set eth1.9 up
step add virt-net bridge add-port br7 eth1.9 --yes --confirm 300s
step add-confirm virt-net confirm
step added ports
step remove virt-net bridge remove-port br7 eth1.9 --yes --confirm 300s
step remove-confirm virt-net confirm
step removed ports
step still-answers until_so answers 10.7.0.8
step delete virt-net bridge delete br7 --yes --confirm 300s
step delete-confirm virt-net confirm
step deleted until_so has eth1.7 10.7.0.8
step deleted-answers until_so answers 10.7.0.8
over bond0 bond 10.9.0.8
"#;

#[test]
#[ignore = "needs root and an emulated machine; assets/test runs it"]
fn a_vlan_and_a_bond_are_ports_like_others() {
    let steps = Steps::of(SCRIPT);
    for nic in ["eth1.7", "bond0"] {
        let step = |what: &str| format!("{nic}-{what}");
        steps.ended(&step("try"), 0, &["done, and seen in the kernel", "systemd-networkd"]);
        steps.ended(&step("try-ports"), 0, &[nic]);
        for done in ["try-answers", "rollback", "back", "confirm", "again", "again-answers"] {
            steps.ended(&step(done), 0, &[]);
        }
        steps.ended(&step("again-ports"), 0, &[nic]);
    }
    for done in
        ["add", "add-confirm", "remove", "remove-confirm", "still-answers", "delete", "delete-confirm"]
    {
        steps.ended(done, 0, &[]);
    }
    steps.ended("added", 0, &["eth1.7", "eth1.9"]);
    steps.ended("removed", 0, &["eth1.7"]);
    assert!(!steps.said("removed").contains("eth1.9"), "{}", steps.said("removed"));
    steps.ended("deleted", 0, &[]);
    steps.ended("deleted-answers", 0, &[]);
}
