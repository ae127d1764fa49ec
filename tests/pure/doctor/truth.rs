//! What a finding says is so: nothing is asserted that the kernel, libvirt or the rules do not say, and what is
//! printed for the operator's hands loses nothing.

use super::*;

/// centos7's tap is a port of an Open vSwitch, which the kernel shows as `ovs-system`.
fn on_open_vswitch(facts: &mut Facts, live: &str, next: &str) {
    let kind = || LinkKind::Other { name: "openvswitch".to_owned() };
    add_link(facts, "ovs-system", kind(), None);
    add_link(facts, "ovsbr0", kind(), None);
    switch_centos7(facts, "<source bridge='ovsbr0'/>", "ovs-system");
    for (of, virtualport) in [(Of::Live, live), (Of::Next, next)] {
        let source = "<source bridge='ovsbr0'/>";
        edit(facts, "centos7", of, source, &format!("{source}{virtualport}"));
    }
    network(facts, "default", |network| network.leases.clear());
}

#[test]
fn a_guest_on_an_open_vswitch_is_where_libvirt_says() {
    let port = "<virtualport type='openvswitch'/>";
    let mut facts = host();
    on_open_vswitch(&mut facts, port, port);
    let report = checked(&facts);
    assert_eq!(report.findings, [], "by its own virtual port");
    let joined = snapshot(facts);
    let nic = joined.nics.iter().find(|nic| nic.guest == "centos7").unwrap();
    assert_eq!((nic.expected_bridge, nic.drifted()), (None, false));
    assert_eq!(virt_net::ui::words::nic_troubles(nic), Vec::<String>::new());

    // The live definition does not tell of the virtual port.
    let mut facts = host();
    on_open_vswitch(&mut facts, "", port);
    assert_eq!(ids(&checked(&facts)), Vec::<&str>::new(), "by what its tap is on");

    // A tap that went from a bridge of the kernel to a switch is astray all the same.
    let mut facts = host();
    add_link(&mut facts, "ovs-system", LinkKind::Other { name: "openvswitch".to_owned() }, None);
    link(&mut facts, "vnet0").master = Some(index(&facts, "ovs-system"));
    let report = checked(&facts);
    assert_eq!(ids(&report), ["tap-orphaned"]);
    let finding = report.findings.first().unwrap();
    assert!(finding.title.ends_with("is on ovs-system instead of virbr0"), "{}", finding.title);
    assert!(finding.evidence.iter().any(|seen| seen.text == "vnet0 has master ovs-system"));
}
