//! What a summary tells of two definitions: their meaning, neither their order nor libvirt's notes.

use similar::ChangeTag::{self, Delete, Insert};
use virt_net::change::Edit;
use virt_net::ui::diff::changed;

fn told(before: &str, after: &str) -> Vec<(ChangeTag, String)> {
    changed(&Edit { before: before.to_owned(), after: after.to_owned() })
}

fn lines(told: &[(ChangeTag, &str)]) -> Vec<(ChangeTag, String)> {
    told.iter().map(|(tag, line)| (*tag, (*line).to_owned())).collect()
}

const RUNNING: &str = "<interface type='network'>
  <mac address='52:54:00:aa:fc:1c'/>
  <source network='default' portid='3f1d' bridge='virbr0'/>
  <model type='virtio'/>
</interface>";

#[test]
fn what_libvirt_notes_of_a_running_nic_is_no_change() {
    let pulled = "<interface type='network'>
  <mac address='52:54:00:aa:fc:1c'/>
  <source network='default'/>
  <model type='virtio'/>
  <link state='down'/>
</interface>";
    assert_eq!(told(RUNNING, pulled), lines(&[(Insert, "<link state='down'/>")]));
}

#[test]
fn with_another_change_the_element_is_told_as_it_is() {
    let other = RUNNING.replace("network='default' portid='3f1d'", "network='lan' portid='77aa'");
    let (before, after) = (
        "<source network='default' portid='3f1d' bridge='virbr0'/>",
        "<source network='lan' portid='77aa' bridge='virbr0'/>",
    );
    assert_eq!(told(RUNNING, &other), lines(&[(Delete, before), (Insert, after)]));
    // A bridge is what its source is, not a note about it.
    let bridges = ["<source bridge='virbr1'/>", "<source bridge='virbr2'/>"];
    assert_eq!(told(bridges[0], bridges[1]), lines(&[(Delete, bridges[0]), (Insert, bridges[1])]));
}

#[test]
fn moved_elements_are_told_only_where_order_means_something() {
    let moved = "<interface type='network'>
  <model type='virtio'/>
  <source bridge='virbr0' portid='3f1d' network='default'/>
  <mac address='52:54:00:aa:fc:1c'/>
</interface>";
    assert_eq!(told(RUNNING, moved), []);
    let (one, two) = ("<boot dev='hd'/>", "<boot dev='network'/>");
    let turned = told(&format!("<os>{one}{two}</os>"), &format!("<os>{two}{one}</os>"));
    assert_eq!(turned.len(), 2, "{turned:?}");
    // One level deeper or higher.
    assert_eq!(told("<n><a><b/></a></n>", "<n><a/><b/></n>").len(), 2);
    // Into another element: both lines are there before and after.
    let (host, gone) = ("<host ip='10.0.0.9'/>", "");
    let with =
        |first: &str, second: &str| format!("<n><ip a='1'>{first}<x/></ip><ip a='2'>{second}<x/></ip></n>");
    assert_eq!(told(&with(host, gone), &with(gone, host)), lines(&[(Delete, host), (Insert, host)]));
}

#[test]
fn text_counts_and_what_is_no_xml_is_compared_by_lines() {
    let (before, after) = ("<n><name>a</name></n>", "<n><name>b</name></n>");
    assert_eq!(told(before, after), lines(&[(Delete, "<name>a</name>"), (Insert, "<name>b</name>")]));
    assert_eq!(told("a\n  b\n", "a\n  c\n"), lines(&[(Delete, "b"), (Insert, "c")]));
    assert_eq!(told("", "<a/>\n"), lines(&[(Insert, "<a/>")]));
}
