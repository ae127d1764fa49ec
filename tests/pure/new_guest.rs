//! The calls of other programs: a new guest by virt-install, a console by virsh.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use virt_net::change::new_guest::evidence::{Evidence, Question, Seen};
use virt_net::change::new_guest::said::{self, Lines, Said};
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
    let plan = new_guest::plan(&host(), new, None).unwrap();
    plan.command.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
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
    let reason = |new: NewGuest| new_guest::plan(&host(), &new, None).unwrap_err().reason;
    assert!(reason(NewGuest { name: "centos7".to_owned(), ..notes() }).contains("of this name"));
    for name in ["--help", "a b", "a,b"] {
        assert!(
            reason(NewGuest { name: name.to_owned(), ..notes() }).contains("no name for a guest"),
            "{name}"
        );
    }
    assert!(reason(NewGuest { name: String::new(), ..notes() }).contains("has no name yet"));
    let fresh = Disk::New { path: None, size: 5 };
    assert!(
        reason(NewGuest { disk: fresh, boot: Boot::Import, ..notes() }).contains("no system on its disk")
    );
    let disk = Disk::Existing("/srv/a,size=900.img".into());
    assert!(reason(NewGuest { disk, ..notes() }).contains("would not understand the path"));
    assert!(reason(NewGuest { model: "virtio,x=y".to_owned(), ..notes() }).contains("would not understand"));
    // eth1 is a port of virbr1.
    let network = Target::Macvtap { lower: "eth1".parse().unwrap(), mode: MacvtapMode::Bridge };
    assert!(new_guest::plan(&host(), &NewGuest { network, ..notes() }, None).is_err());
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

/// What is seen on a host where everything is ready.
fn seen(new: &NewGuest) -> Evidence {
    Evidence {
        question: Question::of(&host(), new),
        program: Some("/usr/bin/virt-install".into()),
        version: Some(4),
        kvm: true,
        disk: Some(Seen::There { bytes: 196_608 }),
        iso: None,
        free: Some(50 << 30),
        closed: None,
        pools: Some(Vec::new()),
        files: Vec::new(),
    }
}

#[test]
fn what_the_host_has_is_told_before_anything_is_done() {
    let meaning = |new: &NewGuest, evidence: Option<&Evidence>| {
        let plan = new_guest::plan(&host(), new, evidence).unwrap();
        format!("{} {}", plan.risks.join(" "), plan.consequences.join(" "))
    };
    let (new, free) = (notes(), NewGuest { virt_type: None, ..notes() });
    assert!(meaning(&new, None).contains("Before it runs are looked at"));
    let told = meaning(&new, Some(&seen(&new)));
    assert!(told.contains("/usr/bin/virt-install is there, the name is free, its disk is there (192 KiB)."));
    assert!(told.contains("open to everybody who reaches 0.0.0.0"), "{told}");
    assert!(meaning(&free, Some(&seen(&free))).contains("virt-install takes KVM"));
    let without = Evidence { kvm: false, ..seen(&free) };
    assert!(meaning(&free, Some(&without)).contains("There is no /dev/kvm"));
    let closed = Evidence { closed: Some("/root".into()), ..seen(&new) };
    assert!(meaning(&new, Some(&closed)).contains("/root is closed to other users"));
    let hidden = Evidence { disk: Some(Seen::Hidden("Permission denied".to_owned())), ..seen(&new) };
    let told = meaning(&new, Some(&hidden));
    assert!(told.contains("cannot be looked at: Permission denied") && !told.contains("is there (192"));
    // What was seen of another disk says nothing of this one.
    let other = NewGuest { disk: Disk::Existing("/srv/other.qcow2".into()), ..notes() };
    assert!(meaning(&new, Some(&seen(&other))).contains("Before it runs are looked at"));
}

#[test]
fn what_the_host_lacks_is_refused_with_a_way_out() {
    let refused = |new: &NewGuest, evidence: Evidence| {
        let refusal = new_guest::plan(&host(), new, Some(&evidence)).unwrap_err();
        format!("{}; {}", refusal.reason, refusal.way_out)
    };
    let new = notes();
    let told = refused(&new, Evidence { program: None, ..seen(&new) });
    for word in ["virt-install is not there", "virtinst on Debian", "Fedora, RHEL, Arch and openSUSE"] {
        assert!(told.contains(word), "{told}");
    }
    assert!(refused(&new, Evidence { kvm: false, ..seen(&new) }).contains("no /dev/kvm"));
    for (disk, words) in [
        (Seen::Missing, "there is no file /var/lib/libvirt/images/centos7-pxe.qcow2"),
        (Seen::NoDirectory, "there is no directory for /var/lib/libvirt/images/centos7-pxe.qcow2"),
        (Seen::NoFile, "is no file and no block device"),
    ] {
        let told = refused(&new, Evidence { disk: Some(disk), ..seen(&new) });
        assert!(told.contains(words), "{told}");
    }
    let fresh = |path: Option<&str>| Disk::New { path: path.map(Into::into), size: 60 };
    let large = NewGuest { disk: fresh(None), ..notes() };
    let told = refused(&large, Evidence { disk: None, ..seen(&large) });
    assert!(told.contains("60 GiB are wanted, 50 GiB are free there"), "{told}");
    // virt-install would take what is there, and its data.
    let taken = NewGuest { disk: fresh(Some("/srv/web01.qcow2")), ..notes() };
    assert!(refused(&taken, seen(&taken)).contains("/srv/web01.qcow2 is there already"));
    let iso = NewGuest { boot: Boot::Iso("/srv/debian.iso".into()), ..notes() };
    let told = refused(&iso, Evidence { iso: Some(Seen::Missing), ..seen(&iso) });
    assert!(told.contains("there is no file /srv/debian.iso"), "{told}");
}

#[test]
fn the_disk_of_another_guest_is_nobody_elses() {
    let mut facts = host().facts.clone();
    let libvirt = Arc::make_mut(&mut facts.libvirt);
    let guest = libvirt.guests.iter_mut().find(|guest| guest.name == "db01").unwrap();
    let next = guest.next.as_mut().unwrap();
    let disk =
        "<disk type='file' device='disk'><source file='/srv/db01.img'/><target dev='vda'/></disk></devices>";
    *next = next.xml.replace("</devices>", disk).try_into().unwrap();
    let snapshot = topology::join(facts, Arc::new(History::default()), None);
    let new = NewGuest { disk: Disk::Existing("/srv/db01.img".into()), ..notes() };
    let refusal = new_guest::plan(&snapshot, &new, None).unwrap_err();
    assert_eq!(refusal.reason, "/srv/db01.img is the disk of guest db01");
}

#[test]
fn what_virt_install_says_is_cut_into_lines() {
    let mut lines = Lines::default();
    assert_eq!(lines.take(b"WARNING  a\nAlloc"), [line("WARNING  a"), part("Alloc")]);
    // Figures of progress write their line over; a line break after a carriage return loses nothing.
    assert_eq!(lines.take(b"ating | 1%\rAllocating | 90%"), [part("Allocating | 90%")]);
    assert_eq!(lines.take(b"\r\nnext\tone  "), [line("Allocating | 90%"), part("next    one")]);
    assert_eq!(lines.take(b"\xff\x1b[2J\n"), [line("next    one  \u{fffd}\u{1b}[2J")]);
    // Nobody fills the memory with a line that never ends.
    for _ in 0..100 {
        lines.take(&[b'x'; 1000]);
    }
    assert_eq!(lines.end().unwrap(), line(&"x".repeat(4096)));
}

fn line(text: &str) -> Said {
    Said::Line(text.to_owned())
}

fn part(text: &str) -> Said {
    Said::Part(text.to_owned())
}

#[test]
fn a_failure_is_told_in_virt_installs_last_words_with_what_to_do() {
    let lines: Vec<String> = [
        "WARNING  KVM acceleration not available, using 'qemu'",
        "",
        "Starting install...",
        "ERROR    Cannot access storage file '/root/x.img': Permission denied",
        "Domain installation does not appear to have been successful.",
        "If it was, you can restart your domain by running:",
        "  virsh --connect qemu:///system start t3",
        "otherwise, please restart your installation.",
    ]
    .map(str::to_owned)
    .to_vec();
    let why = said::why("exit status 1", &lines);
    assert_eq!(
        why,
        "virt-install ended with exit status 1: Cannot access storage file '/root/x.img': Permission denied; \
         the emulator's user must get at the file and every directory above it"
    );
    assert!(said::why("signal 9", &[]).contains("without a word"));
}

#[test]
fn an_older_virt_install_is_told_only_what_it_knows() {
    let line = |version: Option<u32>, new: &NewGuest| {
        let evidence = Evidence { version, ..seen(new) };
        new_guest::plan(&host(), new, Some(&evidence)).map(|plan| plan.line())
    };
    let guess = "--os-variant detect=on,require=off";
    for (version, is_said) in [(None, true), (Some(3), true), (Some(2), false)] {
        assert_eq!(line(version, &notes()).unwrap().contains(guess), is_said, "{version:?}");
    }
    let named = NewGuest { os: Some("centos7.0".to_owned()), ..notes() };
    assert!(line(Some(2), &named).unwrap().contains("--os-variant centos7.0"));
    let cloud = NewGuest { boot: Boot::CloudImage, ..notes() };
    assert!(line(Some(3), &cloud).is_ok());
    assert!(line(Some(2), &cloud).unwrap_err().reason.contains("knows no cloud images"));
}
