//! PURE. What a change means, before anything is done: the text of every preview.

use super::{BridgeJob, Draft, Job, ShimJob};
use crate::change::bridge::picture::Row;
use crate::change::bridge::{FileChange, by_hand};
use crate::change::many::Many;
use crate::change::network::NetworkPlan;
use crate::change::{Edit, Plan};

/// What a preview shows. All text may be hostile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Preview {
    /// What must not be overlooked.
    pub risks: Vec<String>,
    /// What it means; the first sentence is the verdict.
    pub consequences: Vec<String>,
    /// Texts that change, with what they are.
    pub edits: Vec<(String, Edit)>,
    /// The same by hand.
    pub commands: Vec<String>,
    /// What is run, where that is all there is to it.
    pub call: Option<String>,
}

impl Job {
    /// What it means.
    #[must_use]
    pub fn preview(&self) -> Preview {
        match self {
            Self::Nic(plan) => of_nic(plan),
            Self::Many(many) => of_many(many),
            Self::Power(plan) => plain(&plan.consequences, &plan.commands),
            Self::Network(plan) => of_network(plan),
            Self::Bridge(job) => of_bridge(job),
            Self::Shim(job) => of_shim(job),
            Self::Host(plan) => plain(&plan.consequences, &plan.commands),
            Self::Guest(plan) => Preview {
                risks: plan.risks.clone(),
                consequences: plan.consequences.clone(),
                commands: vec![plan.line()],
                call: Some(plan.line()),
                ..Preview::default()
            },
        }
    }
}

fn plain(consequences: &[String], commands: &[String]) -> Preview {
    Preview { consequences: consequences.to_vec(), commands: commands.to_vec(), ..Preview::default() }
}

fn of_nic(plan: &Plan) -> Preview {
    let mut edits = Vec::new();
    for (label, edit) in [("live", &plan.live), ("next boot", &plan.next)] {
        edits.extend(edit.clone().map(|edit| (label.to_owned(), edit)));
    }
    Preview {
        risks: Vec::new(),
        consequences: plan.consequences.clone(),
        edits,
        commands: plan.commands.clone(),
        call: None,
    }
}

fn of_many(many: &Many) -> Preview {
    let mut preview = Preview::default();
    let verdict =
        format!("{}: all or none; if one fails, those that were done are taken back.", many.title());
    preview.consequences.push(verdict);
    for plan in &many.plans {
        preview.consequences.push(format!("{} {}: {}", plan.guest, plan.nic.mac, plan.title));
    }
    for left in &many.left_out {
        preview.risks.push(format!("{} {} stays: {}", left.guest, left.nic.mac, left.refusal.reason));
    }
    for sentence in many.plans.iter().flat_map(|plan| &plan.consequences) {
        if !preview.consequences.contains(sentence) {
            preview.consequences.push(sentence.clone());
        }
    }
    for plan in &many.plans {
        for (label, edit) in of_nic(plan).edits {
            preview.edits.push((format!("{} {label}", plan.guest), edit));
        }
        preview.commands.extend(plan.commands.iter().cloned());
    }
    preview
}

fn of_network(plan: &NetworkPlan) -> Preview {
    let edit = Edit::of(plan.before.as_deref(), plan.after.as_deref());
    Preview {
        risks: Vec::new(),
        consequences: plan.consequences.clone(),
        edits: if edit.before == edit.after { Vec::new() } else { vec![("XML".to_owned(), edit)] },
        commands: plan.commands.clone(),
        call: None,
    }
}

fn of_bridge(job: &BridgeJob) -> Preview {
    let plan = job.plan.shown();
    let mut consequences = vec![format!(
        "Taken back by itself after {} s unless you keep it (K, or virt-net confirm).",
        job.patience.as_secs()
    )];
    consequences.push(format!("connections over it stall: {}", plan.stall));
    if job.draft == Draft::Yes {
        consequences
            .push("the files of whoever configures the NIC are shown before anything is done".to_owned());
    } else {
        consequences.push(plan.owner.clone());
        consequences.extend(plan.consequences.iter().cloned());
    }
    consequences.extend(plan.picture.iter().map(of_row));
    Preview {
        risks: plan.risk.into_iter().collect(),
        consequences,
        edits: plan.lasting.iter().map(of_file).collect(),
        commands: by_hand::commands(&job.plan),
        call: None,
    }
}

fn of_row(row: &Row) -> String {
    let dash = |text: &String| if text.is_empty() { "–".to_owned() } else { text.clone() };
    format!("{}: {} → {}", row.what, dash(&row.before), dash(&row.after))
}

fn of_file(file: &FileChange) -> (String, Edit) {
    (file.path.display().to_string(), Edit::of(file.before.as_deref(), file.after.as_deref()))
}

fn of_shim(job: &ShimJob) -> Preview {
    let plan = &job.plan;
    let mut consequences = plan.consequences.clone();
    if job.draft == Draft::Yes {
        let later = "the files of whoever configures the NIC are shown before anything is done";
        consequences.push(later.to_owned());
    } else if let Some(why) = &plan.until_boot {
        consequences.push(format!("It lasts until the next boot: {why}."));
    }
    consequences.extend(plan.picture.iter().map(of_row));
    Preview {
        risks: Vec::new(),
        consequences,
        edits: plan.lasting.iter().map(of_file).collect(),
        commands: plan.commands.clone(),
        call: None,
    }
}
