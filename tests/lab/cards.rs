//! VFs and a whole card given to guests for real: in an emulated machine that has an IOMMU, a card with virtual
//! functions and another one on the same cable, by that machine's own kernel, libvirtd and guests.

use crate::machine::Steps;

const SCRIPT: &str = r#"
pci() { virt-net nic devices | awk -v at="0000:$1" '$1 == at'; }
# Who has a device: its driver, and its link if it has one.
has() { echo $(basename "$(readlink /sys/bus/pci/devices/0000:$1/driver)") $(ls /sys/bus/pci/devices/0000:$1/net 2>/dev/null); }
definitions() { virsh -q dumpxml g1; virsh -q dumpxml g1 --inactive; }
# A NIC of a guest by its MAC address: it has a lease, which came through the card.
leased() { guest $1 "for nic in /sys/class/net/eth*; do grep -q $2 \$nic/address && ip -4 -o addr show dev \${nic##*/} | grep 198.51.100; done"; }
pinged() { leased $1 $2 && guest $1 'ping -c 3 -W 10 198.51.100.1'; }
define() {
    bash /mnt/lab __define $1 initrd ""
    [ ! -e /dev/kvm ] || virsh -q dumpxml $1 | sed "s/type='qemu'/type='kvm'/" | virsh -q define /dev/stdin
}

step no-functions virt-net nic devices
ip link set enp2s0 up; ip link set enp3s0 up; ip addr add 198.51.100.1/24 dev enp2s0
dnsmasq --conf-file=/dev/null --interface=enp2s0 --bind-interfaces --except-interface=lo --port=0 --dhcp-authoritative \
    --dhcp-range=198.51.100.100,198.51.100.200,2h --dhcp-leasefile=/run/leases
echo 4 >/sys/bus/pci/devices/0000:02:00.0/sriov_numvfs; udevadm settle
define g1; define g2
step devices virt-net nic devices
SSH_CONNECTION='192.0.2.2 5000 192.0.2.15 22' step session virt-net nic attach g1 --device 01:00.0 --yes
step card-with-functions virt-net nic attach g1 --device 02:00.0 --yes

step cold virt-net nic attach g1 --device 02:10.0 --mac 52:54:00:5a:00:00 --yes
step cold-has has 02:10.0
step start virt-net guest start g1 --yes
step start-has has 02:10.0
step start-lease until_so leased g1 52:54:00:5a:00:00
step start-ping pinged g1 52:54:00:5a:00:00
step held pci 02:10.0
step taken virt-net nic attach g2 --device 02:10.0 --yes
step gone virt-net nic remove g1 52:54:00:5a:00:00 --yes
step gone-has has 02:10.0

definitions >/tmp/before
# The device is with vfio-pci already when the guest's emulator finds that its memory cannot be mapped.
limit=/sys/module/vfio_iommu_type1/parameters/dma_entry_limit
old=$(cat $limit); echo 1 >$limit
step middle virt-net nic attach g1 --device 02:10.2 --yes
echo $old >$limit
step middle-has has 02:10.2
definitions >/tmp/after
step middle-definitions diff /tmp/before /tmp/after
step live virt-net nic attach g1 --device 02:10.2 --mac 52:54:00:5a:00:02 --yes
step live-has has 02:10.2
step live-lease until_so leased g1 52:54:00:5a:00:02
step live-shown virt-net show nics
step twice virt-net nic attach g1 --device 02:10.2 --yes
step remove virt-net nic remove g1 52:54:00:5a:00:02 --yes
step remove-has has 02:10.2
step undo virt-net undo --yes
step undo-has has 02:10.2
step undo-lease until_so leased g1 52:54:00:5a:00:02
step back virt-net undo --yes
step back-has has 02:10.2

step whole virt-net nic attach g1 --device 03:00.0 --yes
step whole-has has 03:00.0
step whole-lease until_so leased g1 52:54:00:77:00:03
step whole-shown virt-net show nics
step whole-remove virt-net nic remove g1 52:54:00:77:00:03 --yes
step whole-removed has 03:00.0
definitions >/tmp/after
step definitions diff /tmp/before /tmp/after

step pool virt-net network create pool --mode sriov --forward-dev enp2s0 --yes
step pool-told pci 02:10.0
step pool-cold virt-net nic add g2 --to network=pool --mac 52:54:00:5a:00:10 --yes
step pool-start virt-net guest start g2 --yes
step pool-lease until_so leased g2 52:54:00:5a:00:10
step pool-ping pinged g2 52:54:00:5a:00:10
step pool-held pci 02:10.0
step pool-taken virt-net nic attach g1 --device 02:10.0 --yes
step pool-shown virt-net show nics
step pool-delete virt-net network delete pool --yes
step pool-live virt-net nic add g1 --to network=pool --mac 52:54:00:5a:00:11 --yes
step pool-live-has has 02:10.2
step pool-live-ports virsh -q net-port-list pool
step pool-remove virt-net nic remove g1 52:54:00:5a:00:11 --yes
step pool-remove-has has 02:10.2
step pool-undo virt-net undo --yes
step pool-undo-ports virsh -q net-port-list pool
step pool-back virt-net undo --yes
step pool-blocked-by virt-net nic attach g1 --device 02:10.2 --yes
step pool-blocked virt-net nic add g1 --to network=pool --yes
step pool-unblock virt-net undo --yes
step pool-off virt-net guest force-off g2 --yes
step pool-off-has until_so test -e /sys/class/net/enp2s0v0

step off virt-net guest force-off g1 --yes
virsh -q attach-device g1 /dev/stdin --config <<'XML'
<interface type='hostdev' managed='yes'><mac address='52:54:00:5a:00:00'/>
<source><address type='pci' domain='0' bus='2' slot='0x10' function='0'/></source></interface>
XML
ip addr add 203.0.113.9/24 dev enp2s0v0
step lost virt-net guest start g1 --yes
step lost-doctor virt-net doctor
step lost-has has 02:10.0
"#;

#[test]
#[ignore = "needs root and an emulated machine; assets/test runs it"]
fn virtual_functions_and_a_card_go_to_guests_and_come_back() {
    let steps = Steps::of(SCRIPT);
    let (host, guest) = ("igbvf enp2s0v1\n", "vfio-pci\n");

    steps.ended("no-functions", 0, &["0000:02:00.0  card with 0 of 7 VFs", "igb ", "0000:03:00.0  NIC"]);
    steps.ended(
        "devices",
        0,
        &[
            "card with 4 of 7 VFs",
            "0000:02:10.0  VF 0 of enp2s0",
            "enp2s0v0  igbvf",
            "0000:02:10.6  VF 3 of enp2s0",
        ],
    );
    steps.ended("session", 3, &["enp1s0 carries your own session from 192.0.2.2"]);
    steps.ended("card-with-functions", 3, &["the host has 198.51.100.1/24 on enp2s0"]);

    steps.ended("cold", 0, &["The guest is off", "verified"]);
    steps.says("cold-has", "igbvf enp2s0v0\n");
    steps.ended("start", 0, &["0000:02:10.0 with vfio-pci"]);
    steps.says("start-has", guest);
    steps.ended("start-lease", 0, &[]);
    steps.ended("start-ping", 0, &["3 packets received"]);
    steps.ended("held", 0, &["vfio-pci", "g1 has it and runs"]);
    steps.ended("taken", 3, &["g1 has it and runs", "virt-net nic remove g1"]);

    steps.ended("gone", 0, &["0000:02:10.0 is with igbvf again", "verified"]);
    steps.says("gone-has", "igbvf enp2s0v0\n");

    steps.ended("middle", 1, &["vfio_dma_map", "put back as it was"]);
    steps.says("middle-has", host);
    steps.ended("middle-definitions", 0, &[]);

    // libvirt's success is not taken for it: the kernel has the device with the guest's driver.
    steps.ended("live", 0, &["0000:02:10.2 with vfio-pci", "verified"]);
    steps.says("live-has", guest);
    steps.ended("live-lease", 0, &[]);
    steps.ended("live-shown", 0, &["VF 0000:02:10.2 of enp2s0", "52:54:00:5a:00:02", "198.51.100."]);
    steps.ended("twice", 3, &["the guest has it already"]);
    steps.ended("remove", 0, &["0000:02:10.2 is with igbvf again", "verified"]);
    steps.says("remove-has", host);
    steps.ended("undo", 0, &["0000:02:10.2 with vfio-pci", "verified"]);
    steps.says("undo-has", guest);
    steps.ended("undo-lease", 0, &[]);
    steps.ended("back", 0, &["is with igbvf again", "verified"]);
    steps.says("back-has", host);

    steps.ended("whole", 0, &["0000:03:00.0 with vfio-pci", "verified"]);
    steps.says("whole-has", guest);
    steps.ended("whole-lease", 0, &[]);
    steps.ended("whole-shown", 0, &["hostdev 0000:03:00.0", "52:54:00:77:00:03"]);
    steps.ended("whole-remove", 0, &["0000:03:00.0 is with e1000e again", "verified"]);
    steps.says("whole-removed", "e1000e enp3s0\n");
    steps.ended("definitions", 0, &[]);

    steps.ended("pool", 0, &["verified"]);
    steps.ended("pool-told", 0, &["free; network pool hands it out"]);
    steps.ended("pool-cold", 0, &["network pool", "verified"]);
    steps.ended("pool-start", 0, &["0000:02:10.0 with vfio-pci"]);
    steps.ended("pool-lease", 0, &[]);
    steps.ended("pool-ping", 0, &["3 packets received"]);
    // The definition that is running does not name the pool: it is the pool's all the same, and held.
    steps.ended("pool-held", 0, &["g2 has it and runs"]);
    steps.ended("pool-taken", 3, &["g2 has it and runs"]);
    steps.ended("pool-shown", 0, &["network pool, VF 0000:02:10.0 of enp2s0 "]);
    steps.ended("pool-delete", 3, &["g2 is plugged into it"]);
    steps.ended("pool-live", 0, &["0000:02:10.2 with vfio-pci", "verified"]);
    steps.says("pool-live-has", guest);
    steps.ended("pool-remove", 0, &["0000:02:10.2 is with igbvf again", "verified"]);
    steps.says("pool-remove-has", host);
    steps.ended("pool-undo", 0, &["0000:02:10.2 with vfio-pci", "verified"]);
    let ports = |name| steps.said(name).lines().filter(|line| !line.trim().is_empty()).count();
    assert_eq!(
        (ports("pool-live-ports"), ports("pool-undo-ports")),
        (2, 2),
        "undone, it is the pool's again"
    );
    steps.ended("pool-back", 0, &["verified"]);
    steps.ended("pool-blocked-by", 0, &["network pool hands it out too", "verified"]);
    steps.ended("pool-blocked", 3, &["libvirt would give it 0000:02:10.2, but g1 has it and runs"]);
    steps.ended("pool-unblock", 0, &["verified"]);
    steps.ended("pool-off", 0, &["verified"]);
    steps.ended("pool-off-has", 0, &[]);

    steps.ended("off", 0, &["verified"]);
    steps.ended("lost", 3, &["the host has 203.0.113.9/24 on enp2s0v0"]);
    steps.ended("lost-doctor", 2, &["g1 takes 0000:02:10.0 from the host when it starts"]);
    steps.says("lost-has", "igbvf enp2s0v0\n");
}
