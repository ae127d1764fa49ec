//! The calls of other programs: a new guest by virt-install, a console by virsh.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use virt_net::change::new_guest::{self, Boot, Disk, Graphics, NewGuest};
use virt_net::change::{Target, console};
use virt_net::model::facts::Recording;
use virt_net::model::rates::History;
use virt_net::model::{MacvtapMode, Snapshot, topology};

fn host() -> Snapshot {
    let recording: Recording = serde_json::from_str(include_str!("../fixtures/kvm1.json")).unwrap();
    topology::join(recording.frames.into_iter().next().unwrap(), Arc::new(History::default()), None)
}

/// The guest of the customer's notes.
fn notes() -> NewGuest {
    NewGuest {
        name: "centos7-pxe".to_owned(),
        memory: 2048,
        vcpus: 2,
        disk: Disk::Existing("/var/lib/libvirt/images/centos7-pxe.qcow2".into()),
        network: Target::Bridge { bridge: "virbr1".parse().unwrap() },
        model: "virtio".to_owned(),
        boot: Boot::Pxe,
        graphics: Graphics::Vnc("0.0.0.0".parse().unwrap()),
        virt_type: Some("kvm".to_owned()),
        os: None,
    }
}

fn call(new: &NewGuest) -> String {
    let words = new_guest::plan(&host(), new).unwrap();
    words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_guest_of_the_notes_is_made_as_in_the_notes() {
    assert_eq!(
        call(&notes()),
        "virt-install --connect qemu:///system --virt-type kvm --name centos7-pxe --memory 2048 --vcpus 2 \
         --disk path=/var/lib/libvirt/images/centos7-pxe.qcow2,bus=virtio --network bridge:virbr1,model=virtio \
         --os-variant detect=on,require=off --graphics vnc,listen=0.0.0.0 --pxe --noautoconsole"
    );
}

#[test]
fn each_disk_network_and_first_boot_is_said() {
    let network = Target::Network { network: "default".to_owned() };
    let said = call(&NewGuest {
        disk: Disk::New { path: None, size: 20 },
        network,
        boot: Boot::Iso("/srv/debian.iso".into()),
        graphics: Graphics::None,
        os: Some("debian12".to_owned()),
        ..notes()
    });
    for part in [
        "--disk size=20,bus=virtio",
        "--network network:default,model=virtio",
        "--cdrom /srv/debian.iso",
        "--graphics none",
        "--os-variant debian12",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let network = Target::Macvtap { lower: "eth0".parse().unwrap(), mode: MacvtapMode::Bridge };
    let said = call(&NewGuest { network, boot: Boot::CloudImage, ..notes() });
    assert!(said.contains("--network type=direct,source=eth0,source.mode=bridge,model=virtio"), "{said}");
    assert!(said.contains("--import --cloud-init"), "{said}");
}

#[test]
fn what_virt_install_would_stumble_over_is_refused() {
    let reason = |new: NewGuest| new_guest::plan(&host(), &new).unwrap_err().reason;
    assert!(reason(NewGuest { name: "centos7".to_owned(), ..notes() }).contains("of this name"));
    for name in ["", "--help", "a b", "a,b"] {
        assert!(
            reason(NewGuest { name: name.to_owned(), ..notes() }).contains("no name for a guest"),
            "{name}"
        );
    }
    let fresh = Disk::New { path: None, size: 5 };
    assert!(
        reason(NewGuest { disk: fresh, boot: Boot::Import, ..notes() }).contains("no system on its disk")
    );
    let disk = Disk::Existing("/srv/a,size=900.img".into());
    assert!(reason(NewGuest { disk, ..notes() }).contains("would not understand the path"));
    assert!(reason(NewGuest { model: "virtio,x=y".to_owned(), ..notes() }).contains("would not understand"));
    // eth1 is a port of virbr1.
    let network = Target::Macvtap { lower: "eth1".parse().unwrap(), mode: MacvtapMode::Bridge };
    assert!(new_guest::plan(&host(), &NewGuest { network, ..notes() }).is_err());
}

#[test]
fn a_console_is_of_a_running_guest_by_its_uuid() {
    let snapshot = host();
    let id = |name: &str| snapshot.libvirt.guests.iter().find(|guest| guest.name == name).unwrap().id;
    let words = console::plan(&snapshot, id("centos7")).unwrap();
    assert_eq!(words.last().unwrap().to_str().unwrap(), id("centos7").to_string());
    assert_eq!((words[0].to_str(), words[3].to_str()), (Some("virsh"), Some("console")));
    assert!(console::plan(&snapshot, id("db01")).unwrap_err().reason.contains("it is off"));
}
