//! READS. What a run of virt-install that failed or was stopped has left behind, and how to take it away.

use std::time::Duration;

use tokio::time::timeout;

use super::{LOOK, guest, look as look_at};
use crate::change::new_guest::evidence::Pool;
use crate::change::new_guest::{Evidence, GuestPlan};
use crate::change::target::quote;

/// A call of libvirt that virt-install had under way when it was stopped goes on for a moment.
const SETTLE: Duration = Duration::from_secs(1);

/// Sentences about what is there now and was not before; empty when everything is as it was.
pub(super) async fn look(plan: &GuestPlan, before: Evidence) -> Vec<String> {
    tokio::time::sleep(SETTLE).await;
    let mut left = Vec::new();
    let name = quote(&plan.name);
    match guest(&plan.question.uri, &plan.name).await {
        Ok(None) => {}
        Ok(Some(found)) => left.push(format!(
            "guest {} is there, {}; to take it away: {}virsh undefine {name}",
            plan.name,
            found.state.word(),
            if found.state.is_active() { format!("virsh destroy {name}, ") } else { String::new() },
        )),
        Err(trouble) => left.push(format!("whether the guest is there is not known: {trouble}")),
    }
    let question = plan.question.clone();
    let look = tokio::task::spawn_blocking(move || look_at(&question));
    let Ok(Ok(now)) = timeout(LOOK, look).await else {
        left.push("what became of its files is not known: they could not be looked at in time".to_owned());
        return left;
    };
    for file in now.files.iter().filter(|file| !before.files.contains(file)) {
        let path = file.display().to_string();
        left.push(format!("its disk {path} is there; to take it away: rm {}", quote(&path)));
    }
    let (Some(pools), Some(known)) = (now.pools, before.pools) else {
        left.push("whether there is a new storage pool is not known: virsh pool-list --all".to_owned());
        return left;
    };
    left.extend(pools.iter().filter(|pool| known.iter().all(|old| old.name != pool.name)).map(of_pool));
    left
}

fn of_pool(pool: &Pool) -> String {
    let path = pool.path.as_ref().map(|path| format!(" of {}", path.display())).unwrap_or_default();
    let name = quote(&pool.name);
    format!(
        "there is a new storage pool {}{path}, which does no harm; to take it away: virsh pool-destroy {name}, \
         virsh pool-undefine {name}",
        pool.name
    )
}
