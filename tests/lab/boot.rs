//! Changes of a bridge on a machine that systemd has booted: the agent is a transient unit, which outlives who
//! asked for it and is started again when it is killed; systemd-networkd owns the NIC, and a reboot is a real one.

use crate::machine::Steps;

const SCRIPT: &str = r#"
look() { ip -br link show enp1s0; ip -br link show br0; ip -4 -br addr; ip route; bridge link | sed "s/^[0-9]*: //"; head -50 /etc/systemd/network/*; }
is() { ip -4 -br addr show $1 | grep -q 192.0.2.15/24 && ip route | grep -q "default via 192.0.2.2 dev $1"; }
# By its record: a start of virt-net would finish what is left to systemd here.
record() { tr -d ' \n' </var/lib/virt-net/bridge.json | grep -o '"progress":{[^}]*}'; }
waits() { record | grep '"waiting"'; }
# Of the change that was begun last.
unit() { echo virt-net-bridge-$(grep -o '"begun": [0-9]*' /var/lib/virt-net/bridge.json | grep -o '[0-9]*'); }
taken_back() { ! systemctl is-active $(unit) && record | grep '"rolled-back"'; }
create="virt-net bridge create br0 --port enp1s0 --yes"
agent() { systemctl show -P MainPID $(unit); }
[ $BOOT != 1 ] || until_so is enp1s0

case $BOOT in
1)
    look >/tmp/before 2>&1
    step planned virt-net bridge create br0 --port enp1s0 --dry-run
    # Who asked for it is killed, and all that belongs to their session.
    systemd-run --quiet --unit=session bash -c "$create --confirm 300s; sleep 600"
    until_so waits
    systemctl kill --signal=HUP session; sleep 1; systemctl kill --signal=KILL session
    until_so sh -c '! systemctl is-active session'
    step alone systemctl show -p ActiveState -p Restart -p KillMode -p Slice -p TimeoutStopUSec $(unit)
    step alone-waits waits
    step alone-bridge is br0
    # The agent is killed: systemd starts it again, and it takes everything back.
    kill -9 $(agent)
    step killed until_so taken_back
    until_so is enp1s0; look >/tmp/after 2>&1
    step killed-back diff /tmp/before /tmp/after
    step killed-told record
    step killed-journal journalctl -q -o cat -u $(unit)
    # In the middle of its steps as well.
    $create --confirm 300s >/dev/null 2>&1 &
    until record | grep '"applying"' >/dev/null; do :; done; kill -9 $(agent); wait
    step middle until_so taken_back
    until_so is enp1s0; look >/tmp/after 2>&1
    step middle-told record
    step middle-back diff /tmp/before /tmp/after
    # systemd ends it, and waits for that.
    step stop-create $create --confirm 300s
    step stop systemctl stop $(unit)
    step stop-told record
    step stop-journal journalctl -q -o short-monotonic -u $(unit)
    step stop-back is enp1s0
    # Nobody confirms.
    step late $create --confirm 5s
    step late-end until_so taken_back
    until_so is enp1s0; look >/tmp/after 2>&1
    step late-back diff /tmp/before /tmp/after
    step late-told record
    step create $create --confirm 300s
    step confirm virt-net confirm
    sync; systemctl reboot; exit 99 ;;
2)
    step rebooted until_so is br0
    step rebooted-links look
    look >/root/kept 2>&1
    step delete virt-net bridge delete br0 --yes --confirm 600s
    step delete-waits is enp1s0
    # Without a goodbye, as when the power fails.
    sync; echo b >/proc/sysrq-trigger; sleep 60 ;;
3)
    step crashed until_so is br0
    look >/tmp/after 2>&1
    step crashed-back diff /root/kept /tmp/after
    step crashed-told sh -c 'virt-net show bridges 2>&1' ;;
esac
"#;

#[test]
#[ignore = "needs root and an emulated machine; assets/test runs it"]
fn a_change_outlives_its_session_and_a_reboot_keeps_what_was_confirmed() {
    let steps = Steps::of(SCRIPT);
    steps.ended("planned", 0, &["enp1s0 belongs to systemd-networkd", "192.0.2.15/24 (leased) on br0"]);

    steps.ended(
        "alone",
        0,
        &["ActiveState=active", "Restart=on-failure", "Slice=system.slice", "TimeoutStopUSec=10min"],
    );
    steps.ended("alone-waits", 0, &[]);
    steps.ended("alone-bridge", 0, &[]);
    for how in ["killed", "middle"] {
        steps.ended(how, 0, &[]);
        steps.ended(&format!("{how}-told"), 0, &["theprocessthatcarrieditoutisgone"]);
        steps.ended(&format!("{how}-back"), 0, &[]);
    }
    steps.ended("killed-journal", 0, &["code=killed, status=9/KILL", "restart counter is at 1"]);
    steps.ended("stop-create", 0, &["done, and seen in the kernel"]);
    let text = steps.said("stop-create");
    assert!(!text.contains("systemd does not look after"), "{text}");
    steps.ended("stop", 0, &[]);
    let told = steps.said("stop-told");
    let is_back = told.contains("rolled-back") && told.contains("itsprocesswastoldtoend");
    assert!(is_back, "{told}{}", steps.said("stop-journal"));
    steps.ended("stop-back", 0, &[]);
    steps.ended("late", 0, &["it is taken back in 5 s unless you run: virt-net confirm"]);
    steps.ended("late-end", 0, &[]);
    steps.ended("late-told", 0, &["nobodyconfirmeditintime"]);
    steps.ended("late-back", 0, &[]);

    steps.ended("create", 0, &["done, and seen in the kernel"]);
    steps.ended("confirm", 0, &[]);
    steps.ended("rebooted", 0, &[]);
    let bridge = "enp1s0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 master br0 state forwarding";
    steps.ended("rebooted-links", 0, &["default via 192.0.2.2 dev br0", bridge]);
    steps.ended("delete", 0, &["done, and seen in the kernel"]);
    steps.ended("delete-waits", 0, &[]);
    steps.ended("crashed", 0, &[]);
    steps.ended("crashed-back", 0, &[]);
    steps.ended("crashed-told", 0, &["the host was restarted before it was confirmed"]);
}
