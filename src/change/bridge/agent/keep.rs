//! WRITES. Makes a change last that was confirmed: what the next boot reads, and what is remembered of it
//! for the day when the bridge is deleted.

use super::note;
use crate::change::bridge::files;
use crate::change::bridge::hands::Hands;
use crate::change::bridge::record::{Kept, Progress, Record, Records};
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
    let mut troubles = Vec::new();
    for file in &plan.lasting {
        if let Err(error) = files::put(file) {
            troubles.push(error.to_string());
        }
    }
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
    // Ports that came or went since change the files of a bridge that virt-net wrote.
    if let (None, Some(mut kept)) = (&plan.memory, records.kept(plan.bridge)) {
        kept.take(&plan.lasting);
        if let Err(error) = records.keep(plan.bridge, Some(&kept)) {
            troubles.push(error.to_string());
        }
    }
    if let Some(memory) = &plan.memory {
        let kept = Kept { memory: memory.clone(), files: plan.lasting.clone() };
        let kept = (!plan.after.absent.contains(&plan.bridge)).then_some(&kept);
        if let Err(error) = records.keep(plan.bridge, kept) {
            troubles.push(error.to_string());
        }
    }
    let progress = if troubles.is_empty() {
        Progress::Confirmed
    } else {
        Progress::Failed { known: format!("it is kept, but: {}", troubles.join("; ")) }
    };
    let _ = note(records, record, progress);
    Ok(())
}

/// The files in `/etc` are the old ones, and nothing else outlived the reboot; unless it came between
/// the confirmation and the last file.
pub(super) fn after_reboot(records: &Records, mut record: Record) -> Record {
    let progress = if record.progress == Progress::Keeping {
        let troubles: Vec<String> = record
            .plan
            .lasting
            .iter()
            .filter_map(|file| files::put(file).err())
            .map(|e| e.to_string())
            .collect();
        if troubles.is_empty() {
            Progress::Confirmed
        } else {
            Progress::Failed { known: troubles.join("; ") }
        }
    } else {
        record.plan.lasting.iter().for_each(files::unstage);
        Progress::RolledBack { why: "the host was restarted before it was confirmed".to_owned() }
    };
    let _ = records.note_checkpoint(None);
    let _ = note(records, &mut record, progress);
    record
}
