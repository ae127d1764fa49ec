//! NIC models: what emulators and libvirt list, and what is refused for which guest.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use virt_net::change::nic::{self, NewNic};
use virt_net::change::{Bounce, Target, Want, When, models, plan};
use virt_net::model::emulator::{DomainCapabilities, Emulator, EmulatorKey, models_of_device_help};
use virt_net::model::facts::Recording;
use virt_net::model::rates::History;
use virt_net::model::{Snapshot, topology};

/// QEMU 7.2 of Debian 12, shortened.
const HELP: &str = r#"Controller/Bridge/Hub devices:
name "i82801b11-bridge", bus PCI

Network devices:
name "e1000", bus PCI, alias "e1000-82540em", desc "Intel Gigabit Ethernet"
name "e1000-82544gc", bus PCI, desc "Intel Gigabit Ethernet"
name "e1000e", bus PCI, desc "Intel 82574L GbE Controller"
name "ne2k_isa", bus ISA
name "pvrdma", bus PCI, desc "RDMA Device"
name "rocker", bus PCI, desc "Rocker Switch"
name "rtl8139", bus PCI
name "usb-net", bus usb-bus
name "virtio-net-device", bus virtio-bus
name "virtio-net-pci", bus PCI, alias "virtio-net"
name "virtio-net-pci-non-transitional", bus PCI
name "virtio-net-pci-transitional", bus PCI

Input devices:
name "ccid-card-emulated", bus ccid-bus, desc "emulated smartcard"
"#;

#[test]
fn an_emulators_own_list_gives_libvirts_names_with_the_usual_ones_first() {
    assert_eq!(
        models_of_device_help(HELP),
        [
            "virtio",
            "e1000e",
            "e1000",
            "rtl8139",
            "e1000-82544gc",
            "usb-net",
            "virtio-non-transitional",
            "virtio-transitional"
        ]
    );
    assert!(models_of_device_help("qemu: could not start").is_empty());
}

#[test]
fn domain_capabilities_are_taken_where_they_list_models() {
    let without =
        "<domainCapabilities><path>/usr/bin/qemu-system-x86_64</path><devices><interface supported='yes'>
        <enum name='backendType'><value>default</value></enum></interface></devices></domainCapabilities>";
    let read = DomainCapabilities::parse(without).unwrap();
    assert_eq!((read.path.as_deref(), read.models.len()), (Some("/usr/bin/qemu-system-x86_64"), 0));
    let with = without
        .replace("backendType", "model")
        .replace("default</value>", "rtl8139</value><value>virtio</value>");
    assert_eq!(DomainCapabilities::parse(&with).unwrap().models, ["virtio", "rtl8139"]);
    assert!(DomainCapabilities::parse("not xml").is_err());
}

/// The recorded host, where every emulator has these models.
fn host(models: &[&str]) -> Snapshot {
    let recording: Recording = serde_json::from_str(include_str!("../fixtures/kvm1.json")).unwrap();
    let mut facts = recording.frames.into_iter().next().unwrap();
    let libvirt = Arc::make_mut(&mut facts.libvirt);
    let keys =
        libvirt.guests.iter().filter_map(|guest| guest.current()).map(|it| EmulatorKey::of(&it.machine));
    let models: Vec<String> = models.iter().map(|model| (*model).to_owned()).collect();
    libvirt.emulators = keys.map(|key| Emulator { key, models: models.clone() }).collect();
    topology::join(facts, Arc::new(History::default()), None)
}

#[test]
fn a_guest_is_offered_and_given_what_its_emulator_has() {
    let try_model = |host: &Snapshot, model: &str| {
        let nic = host.nics.iter().find(|nic| nic.guest == "db01").unwrap().id;
        let target = Target::Bridge { bridge: "virbr1".parse().unwrap() };
        let new = NewNic {
            guest: nic.domain,
            target: target.clone(),
            model: model.to_owned(),
            mac: None,
            when: When::NextBoot,
        };
        let want =
            Want { nic, target, model: Some(model.to_owned()), when: When::NextBoot, bounce: Bounce::Off };
        let (switched, added) = (plan::plan(host, &want), nic::attach(host, &new));
        assert_eq!(switched.is_ok(), added.is_ok(), "{model}");
        switched.map(drop).map_err(|refusal| (refusal.reason, refusal.way_out))
    };
    let known = host(&["virtio", "e1000", "rtl8139"]);
    let guest = known.libvirt.guests.iter().find(|guest| guest.name == "db01").unwrap().id;
    assert_eq!(models::offered(&known, guest), ["virtio", "e1000", "rtl8139"]);
    assert_eq!(try_model(&known, "rtl8139"), Ok(()));
    let (reason, way_out) = try_model(&known, "e1000e").unwrap_err();
    assert_eq!(reason, "the guest's emulator has no NIC model e1000e");
    assert!(way_out.starts_with("nearest: e1000"), "{way_out}");

    // Nobody says what it has: what QEMU has had for years is taken, a word that it never had is not.
    let mut nobody = known.facts.clone();
    Arc::make_mut(&mut nobody.libvirt).emulators.clear();
    let nobody = topology::join(nobody, Arc::new(History::default()), None);
    for unknown in [host(&[]), nobody] {
        assert_eq!(try_model(&unknown, "e1000e"), Ok(()));
        assert!(try_model(&unknown, "virtoi").unwrap_err().1.starts_with("nearest: virtio"));
    }
}
