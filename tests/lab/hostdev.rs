//! PCI NICs and VFs before a real libvirtd. No machine of the lab has a card or an IOMMU, so what is shown is how
//! the program tells that, what libvirt makes of the definitions, and how a refusal of libvirt's is taken back. To
//! get past its own refusals it is shown a tree in place of `/sys` that has cards; libvirt sees the real one.

use crate::lab::Lab;

/// A tree with a card, two functions of which one is ready for a guest, and a NIC without a driver.
const TREE: &str = r"root=/tmp/tree; bus=$root/sys/bus/pci
    device() { # ADDRESS DRIVER GROUP LINK
        d=$bus/devices/$1; mkdir -p $d; echo 0x020000 >$d/class; echo 0x8086 >$d/vendor; echo 0x10ed >$d/device
        [ $2 = - ] || ln -s ../../drivers/$2 $d/driver
        g=$root/sys/kernel/iommu_groups/$3; mkdir -p $g/devices; ln -s $d $g/devices/$1; ln -s $g $d/iommu_group
        [ $4 = - ] || mkdir -p $d/net/$4
    }
    mkdir -p $root/proc; echo 'vendor_id : GenuineIntel' >$root/proc/cpuinfo; echo quiet >$root/proc/cmdline
    device 0000:01:00.0 ixgbe 15 eth1
    device 0000:01:10.0 vfio-pci 20 -
    device 0000:02:00.0 e1000e 30 eth0
    device 0000:03:00.0 - 31 -
    card=$bus/devices/0000:01:00.0; echo 63 >$card/sriov_totalvfs
    ln -s ../0000:01:10.0 $card/virtfn0; ln -s ../0000:01:00.0 $bus/devices/0000:01:10.0/physfn";

#[test]
#[ignore = "needs root and the lab; assets/test runs it"]
fn devices_are_assigned_as_far_as_libvirt_goes_along() {
    let lab = Lab::up("hostdev", &[]);
    lab.run("kvm1", TREE);
    what_there_really_is(&lab);
    refused_before_libvirt_is_asked(&lab);
    defined_and_removed(&lab);
    live_is_refused_by_libvirt(&lab);
    handed_over_by_others(&lab);
}

impl Lab {
    /// `virt-net` that sees the tree's cards.
    fn with_cards(&self, arguments: &str) -> (i32, String) {
        let command =
            format!("VIRT_NET_TEST_ROOT=/tmp/tree virt-net {arguments} 2>&1 </dev/null; echo \"status $?\"");
        let text = self.run("kvm1", &command);
        let (text, status) = text.rsplit_once("status ").expect("a status");
        (status.trim().parse().expect("a number"), text.to_owned())
    }

    #[track_caller]
    fn ends(&self, arguments: &str, status: i32, says: &[&str]) {
        let (ended, text) = self.with_cards(arguments);
        assert_eq!(ended, status, "{arguments}\n{text}");
        for words in says {
            assert!(text.contains(words), "{words:?} is not in\n{text}");
        }
    }

    fn definition(&self, options: &str) -> String {
        self.run("kvm1", &format!("virsh dumpxml {options}"))
    }
}

/// The listing agrees with what the machine's own sysfs and libvirt's node devices say.
fn what_there_really_is(lab: &Lab) {
    let told = lab.json("kvm1", "virt-net nic devices --json");
    let classes = lab.run("kvm1", "cat /sys/bus/pci/devices/*/class");
    let nics = classes.lines().filter(|class| class.starts_with("0x02")).count();
    let devices = told["devices"].as_array().expect("devices");
    assert_eq!(devices.len(), nics, "{told:#}");
    for device in devices {
        let address = device["address"].as_str().expect("an address");
        let driver = lab.run("kvm1", &format!("basename $(readlink /sys/bus/pci/devices/{address}/driver)"));
        assert_eq!(device["driver"].as_str(), Some(driver.trim()), "{told:#}");
        let name = address.replace([':', '.'], "_");
        let node = lab.run("kvm1", &format!("virsh nodedev-dumpxml pci_{name}"));
        assert!(node.contains(&format!("<name>{}</name>", driver.trim())), "{node}");
    }
    let groups: usize =
        lab.run("kvm1", "ls /sys/kernel/iommu_groups | wc -l").trim().parse().expect("a number");
    assert_eq!(told["iommu"] == "on", groups > 0, "{told:#}");
    if groups == 0 {
        let text = lab.run("kvm1", "virt-net nic devices");
        assert!(text.contains("the IOMMU is off"), "{text}");
        for device in devices {
            assert_eq!(device["available"], false, "{told:#}");
        }
    }
}

fn refused_before_libvirt_is_asked(lab: &Lab) {
    let before = lab.definition("db01 --inactive");
    lab.ends(
        "nic devices",
        0,
        &["0000:01:10.0  VF 0 of eth1", "free", "the host has 10.0.0.8/16 on eth0", "sits on eth1"],
    );
    lab.ends("nic attach db01 --device 0000:02:00.0 --yes", 3, &["the host has 10.0.0.8/16 on eth0"]);
    lab.ends("nic attach db01 --device 09:00.0 --yes", 3, &["no such PCI NIC", "nic devices"]);
    lab.ends("nic attach db01 --device nothing --yes", 2, &["PCI address"]);
    lab.ends("nic attach db01 --device 01:10.0 --vlan 42 --dry-run", 0, &["VF 0 of eth1", "VLAN 42"]);
    assert_eq!(lab.definition("db01 --inactive"), before);
}

/// A guest that is off: in the definition, shown as it is, refused at the start in libvirt's words, and out of it
/// again.
fn defined_and_removed(lab: &Lab) {
    let mac = "52:54:00:6d:90:02";
    for (arguments, says, name) in [
        (format!("0000:01:10.0 --mac {mac} --vlan 42"), "<tag id='42'/>", mac),
        ("0000:03:00.0".to_owned(), "<alias name='ua-nic-pci-0000-03-00-0'/>", "pci@0000:03:00.0"),
    ] {
        let before = lab.definition("db01 --inactive");
        lab.ends(&format!("nic attach db01 --device {arguments} --yes"), 0, &["verified"]);
        let defined = lab.definition("db01 --inactive");
        assert!(defined.contains(says), "{defined}");
        let address = arguments.split(' ').next().expect("an address");
        let source =
            if address == "0000:01:10.0" { "VF 0000:01:10.0 of eth1" } else { "hostdev 0000:03:00.0" };
        lab.ends("show nics", 0, &[source]);
        // The machine itself has no such device.
        let doctor = lab.run("kvm1", "virt-net doctor --json || test $? = 2");
        assert!(doctor.contains(&format!("this host has no PCI NIC {address}")), "{doctor}");
        lab.ends("nic devices", 0, &["db01 (off) has it in its definition"]);
        lab.ends(&format!("nic down db01 {name} --yes"), 3, &["no hold on its cable"]);
        lab.ends("guest start db01 --yes", 1, &["host doesn't support passthrough of host PCI devices"]);
        assert_eq!(lab.run("kvm1", "virsh domstate db01").trim(), "shut off");
        lab.ends(&format!("nic remove db01 {name} --yes"), 0, &["verified"]);
        lab.ends("undo --yes", 0, &["verified"]);
        assert!(lab.definition("db01 --inactive").contains(says), "it is back");
        lab.ends(&format!("nic remove db01 {name} --yes"), 0, &["verified"]);
        // libvirt made a port for it on the guest's PCI bus, which it keeps.
        assert_eq!(
            without_pci_controllers(&lab.definition("db01 --inactive")),
            without_pci_controllers(&before)
        );
    }
}

/// The text without the guest's PCI controllers: libvirt adds a port for a device, sorts them, and never takes one
/// away.
fn without_pci_controllers(definition: &str) -> String {
    let mut kept = String::new();
    let mut within = false;
    for line in definition.lines() {
        within |= line.contains("<controller type='pci'");
        if !within {
            kept.push_str(line);
            kept.push('\n');
        }
        within &= !line.contains("</controller>") && !line.ends_with("pcie-root'/>");
    }
    kept
}

/// libvirt looks at the real machine, which has no such device: both definitions are as they were.
fn live_is_refused_by_libvirt(lab: &Lab) {
    let (live, next) = (lab.definition("centos7"), lab.definition("centos7 --inactive"));
    for device in ["0000:01:10.0", "0000:03:00.0"] {
        let command = format!("nic attach centos7 --device {device} --yes");
        // The card is up, so that the refusal is libvirt's.
        lab.ends(&command, 1, &["host doesn't support passthrough of host PCI devices"]);
        assert_eq!(lab.definition("centos7"), live);
        assert_eq!(
            without_pci_controllers(&lab.definition("centos7 --inactive")),
            without_pci_controllers(&next)
        );
    }
    // Nothing is left to be put right, and an undo is of the change before.
    let (_, text) = lab.with_cards("undo --dry-run");
    assert!(text.contains("take back: remove the NIC") && !text.contains("half way"), "{text}");
}

/// A `<hostdev>` of somebody else is a row without a MAC address, and is removed by its place.
fn handed_over_by_others(lab: &Lab) {
    let before = lab.definition("db01 --inactive");
    lab.run(
        "kvm1",
        "printf '%s' \"<hostdev mode='subsystem' type='pci' managed='yes'><source><address domain='0' bus='3' slot='0' \
         function='0'/></source></hostdev>\" >/tmp/own.xml && virsh attach-device db01 /tmp/own.xml --config",
    );
    lab.ends("show nics", 0, &["hostdev 0000:03:00.0"]);
    lab.ends("nic remove db01 pci@0000:03:00.0 --yes", 0, &["verified"]);
    assert_eq!(without_pci_controllers(&lab.definition("db01 --inactive")), without_pci_controllers(&before));
}
