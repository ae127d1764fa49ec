//! PURE. The steps of a plan in words, and the same with virsh.

use super::{Bounce, Edit, Expected, Plan, Step, StepId, Verdict};
use crate::change::splice;
use crate::change::target::{Target, quote};
use crate::model::pci::VFIO;

pub(super) fn of(plan: &Plan) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut step = |id, text: String| steps.push(Step { id, text });
    if let Some(next) = &plan.next {
        step(StepId::NextBoot, next_boot(plan, next));
    }
    let to = plan.to.words();
    match plan.verdict {
        Verdict::NextBootOnly => return steps,
        Verdict::Restart => {
            step(StepId::Shutdown, "ask the guest to shut down, and wait until it is off".to_owned());
            step(StepId::Start, "start it".to_owned());
        }
        Verdict::Bounce => {}
        Verdict::Reseat => step(StepId::Tap, "put the tap onto its bridge again".to_owned()),
        Verdict::Live if plan.moves() => step(StepId::Live, format!("move the NIC to {to}")),
        Verdict::Live => step(StepId::Live, plan.title.clone()),
        Verdict::HotReplug => {
            step(StepId::Unplug, "ask the guest to let go of the NIC".to_owned());
            step(StepId::Plug, format!("plug it into {to}, same MAC, same slot"));
        }
        Verdict::Plug if matches!(plan.to, Target::Pci { .. }) => {
            step(StepId::Plug, format!("plug {to} into the guest"));
        }
        Verdict::Plug => step(StepId::Plug, format!("plug it into {to}")),
        Verdict::Unplug => {
            step(StepId::Unplug, "ask the guest to let go of the NIC".to_owned());
            return steps;
        }
    }
    match plan.expected {
        Some(Expected::OnBridge { bridge }) => {
            step(StepId::Kernel, format!("the kernel has the tap on {bridge}"));
        }
        Some(Expected::OnLink { lower: Some(lower), .. }) => {
            step(StepId::Kernel, format!("the kernel has the macvtap on {lower}"));
        }
        Some(Expected::Given { device }) => {
            let device = device.map_or_else(|| "the pool's device".to_owned(), |device| device.to_string());
            step(StepId::Kernel, format!("the kernel has {device} with {VFIO}"));
            return steps;
        }
        _ => step(StepId::Kernel, "the kernel has the macvtap".to_owned()),
    }
    if plan.verdict == Verdict::Live && !plan.moves() {
        return steps;
    }
    if let Some(Expected::OnBridge { bridge }) = plan.expected {
        step(StepId::Port, format!("the port of {bridge} forwards"));
    }
    if let Bounce::Hold(hold) = plan.bounce {
        step(StepId::Link, format!("link down {} s, then up", hold.as_secs_f32()));
    }
    if plan.verdict == Verdict::Reseat || plan.leaves_cable_pulled() {
        return steps;
    }
    step(StepId::Address, "the guest has an address".to_owned());
    steps
}

fn next_boot(plan: &Plan, next: &Edit) -> String {
    match (next.before.is_empty(), next.after.is_empty()) {
        (true, _) => format!("the NIC is in the definition, {}", plan.to.words()),
        (_, true) => "the NIC is not in the definition any more".to_owned(),
        _ if plan.moves() => format!("{} in the definition", plan.to.words()),
        _ => format!("{} in the definition", plan.title),
    }
}

/// Shell lines to read; each element as a file first.
pub(super) fn commands(plan: &Plan) -> Vec<String> {
    let guest = quote(&plan.guest);
    let mut commands = Vec::new();
    let mut device = |verb: &str, file: &str, xml: &str, rest: &str| {
        commands.push(format!("cat >{file} <<'XML'\n{xml}\nXML"));
        commands.push(format!("virsh {verb}-device {guest} {file} {rest}"));
    };
    if let Some(next) = &plan.next {
        match (next.before.is_empty(), next.after.is_empty()) {
            (true, _) => device("attach", "next.xml", &next.after, "--config"),
            (_, true) => device("detach", "next.xml", &next.before, "--config"),
            _ => device("update", "next.xml", &next.after, "--config"),
        }
    }
    if let Some(live) = &plan.live {
        if matches!(plan.verdict, Verdict::HotReplug | Verdict::Unplug) {
            device("detach", "old.xml", &live.before, "--live");
        }
        if matches!(plan.verdict, Verdict::HotReplug | Verdict::Plug) {
            let new = splice::for_attach(&live.after).unwrap_or_else(|_| live.after.clone());
            let when = "--live   # when virsh domiflist shows no old one";
            device("attach", "new.xml", &new, when);
        }
        if plan.verdict == Verdict::Live {
            device("update", "live.xml", &live.after, "--live");
        }
    }
    if plan.verdict == Verdict::Restart {
        commands.push(format!("virsh shutdown {guest}"));
        commands.push(format!("virsh start {guest}   # when virsh domstate says: shut off"));
    }
    if let Bounce::Hold(hold) = plan.bounce {
        let mac = plan.nic.mac;
        commands.push(format!("virsh domif-setlink {guest} {mac} down"));
        commands.push(format!("sleep {}", hold.as_secs_f32()));
        commands.push(format!("virsh domif-setlink {guest} {mac} up"));
    }
    commands
}
