//! WRITES. Makes a change last that was confirmed: what the next boot reads, and what is remembered of it
//! for the day when the bridge is deleted.

use super::note;
use crate::change::bridge::hands::Hands;
use crate::change::bridge::record::{Kept, Progress, Record, RecordError, Records};
use crate::change::bridge::{BridgePlan, files};
use crate::source::netlink;

/// Puts the files for the next boot in place. An error before the first one means: take it back.
pub(super) async fn keep(records: &Records, record: &mut Record) -> Result<(), String> {
    let plan = record.plan.clone();
    if record.progress != Progress::Keeping {
        let facts = netlink::read_once().await.map_err(|error| error.to_string())?;
        if let Some(missing) = plan.after.missing(&facts) {
            return Err(format!("somebody changed it while it waited: {missing}"));
        }
        for file in &plan.lasting {
            files::unchanged(file).map_err(|error| error.to_string())?;
        }
        note(records, record, Progress::Keeping).map_err(|error| error.to_string())?;
    }
    let mut troubles = put(records, &plan);
    match Hands::open(records, record.patience) {
        Ok(hands) => {
            for step in &plan.keep {
                if let Err(error) = hands.run(step, &plan.after).await {
                    troubles.push(error.to_string());
                }
            }
        }
        Err(error) => troubles.push(error.to_string()),
    }
    let _ = note(records, record, kept(&troubles));
    Ok(())
}

fn kept(troubles: &[String]) -> Progress {
    if troubles.is_empty() {
        return Progress::Confirmed;
    }
    Progress::Failed { known: format!("it is kept, but: {}", troubles.join("; ")) }
}

/// What cannot wait, for the power may fail: the files, and what they were. What went wrong.
fn put(records: &Records, plan: &BridgePlan) -> Vec<String> {
    let files = plan.lasting.iter().filter_map(|file| files::put(file).err());
    let mut troubles: Vec<String> = files.map(|error| error.to_string()).collect();
    troubles.extend(remember(records, plan).err().map(|error| error.to_string()));
    troubles
}

fn remember(records: &Records, plan: &BridgePlan) -> Result<(), RecordError> {
    if let Some(memory) = &plan.memory {
        let kept = Kept { memory: memory.clone(), files: plan.lasting.clone() };
        return records.keep(plan.bridge, (!plan.after.absent.contains(&plan.bridge)).then_some(&kept));
    }
    // Ports that came or went since change the files of a bridge that virt-net wrote.
    let Some(mut kept) = records.kept(plan.bridge) else { return Ok(()) };
    kept.take(&plan.lasting);
    records.keep(plan.bridge, Some(&kept))
}

/// What is to be said of a change that a reboot cut off. The files in `/etc` are the old ones, and nothing
/// else outlived the reboot; unless it came between the confirmation and the last file.
pub(super) fn after_reboot(records: &Records, mut record: Record) -> Record {
    let progress = if record.progress == Progress::Keeping {
        confirmed_before(records, &record.plan)
    } else {
        record.plan.lasting.iter().for_each(files::unstage);
        Progress::RolledBack { why: "the host was restarted before it was confirmed".to_owned() }
    };
    let _ = records.note_checkpoint(None);
    let _ = note(records, &mut record, progress);
    record
}

fn confirmed_before(records: &Records, plan: &BridgePlan) -> Progress {
    if plan.backend.is_none() {
        return Progress::RolledBack {
            why: "the host was restarted, and it was to last until then".to_owned(),
        };
    }
    let was_in_place = plan.lasting.iter().all(files::is_put);
    let troubles = put(records, plan);
    if was_in_place || !troubles.is_empty() {
        return kept(&troubles);
    }
    let known = "it is kept from the next boot on: the host was restarted when it had just been confirmed, and has \
                 started from the old files; restart it again to have it";
    Progress::Failed { known: known.to_owned() }
}
