//! PURE. What was there before a shim's change comes back, whether it came to its end or was interrupted.

use super::spec::{listed, picture};
use super::{Planner, is_shim};
use crate::change::Refusal;
use crate::change::bridge::FileChange;
use crate::change::plan::Planning as _;
use crate::change::shim::step::V6;
use crate::change::shim::{After, ShimPlan, ShimStep, TakesBack, global, routes_by};
use crate::change::undo::Came;
use crate::model::IfName;
use crate::model::kernel::Link;

impl Planner<'_> {
    pub(super) fn back(&self, done: &ShimPlan, takes: TakesBack) -> Result<ShimPlan, Refusal> {
        let kernel = &self.snapshot.kernel;
        let (shim, over) = (done.shim, done.over);
        let is_as_before = done.before.missing(shim, kernel).is_none();
        if takes.came == Came::Through
            && !is_as_before
            && let Some(changed) = done.after.missing(shim, kernel)
        {
            let way_out = "virt-net shim create brings it up to date, virt-net shim delete takes it away";
            return self.refuse(format!("it was changed since: {changed}"), way_out);
        }
        let mut plan = self.empty(self.what.clone(), shim, over);
        plan.takes_back = Some(takes);
        plan.after = done.before.clone();
        // How far an interrupted one came is not known: each step does no harm where it is so already.
        if !is_as_before || takes.came == Came::HalfWay {
            plan.steps.clone_from(&done.undo);
        }
        self.is_fit(&plan)?;
        let there = self.snapshot.link_named(shim).filter(|link| is_shim(link));
        plan.undo = match there {
            Some(link) if plan.after == After::Gone => self.made_again(link, over),
            Some(_) => done.steps.clone(),
            None => vec![ShimStep::Remove { shim }, ShimStep::Release { shim }],
        };
        plan.lasting = self.files_before(done, takes.came)?;
        if takes.came == Came::HalfWay {
            plan.consequences
                .push("It was interrupted: whatever it had done by then is taken back.".to_owned());
        }
        let routes = plan.after.routes();
        plan.consequences.push(if plan.after == After::Gone {
            format!("The host and {} do not reach each other then.", listed(done.after.routes()))
        } else {
            format!("The host and {} can talk with each other by {shim}.", listed(routes))
        });
        plan.consequences.push(format!("{over}, its addresses and its routes stay as they are."));
        plan.picture = picture(&plan.steps.iter().collect::<Vec<_>>());
        plan.commands = plan.steps.iter().flat_map(ShimStep::commands).collect();
        Ok(plan)
    }

    /// What comes back must not take anything away that goes another way by now.
    fn is_fit(&self, plan: &ShimPlan) -> Result<(), Refusal> {
        let makes = plan.steps.iter().any(|step| matches!(step, ShimStep::Make { .. }));
        let there = self.snapshot.link_named(plan.shim);
        if plan.after != After::Gone && !plan.steps.is_empty() && !makes && there.is_none() {
            // A reboot took it, and nobody noted how it was made.
            let over = plan.over;
            return self.refuse(
                format!("{} is gone", plan.shim),
                format!("make it anew: virt-net shim create --over {over}"),
            );
        }
        if !makes && !plan.steps.iter().any(|step| matches!(step, ShimStep::Route { .. })) {
            return Ok(());
        }
        let lower = self.lower(plan.over)?;
        let routes = plan.steps.iter().filter_map(|step| match step {
            ShimStep::Route { to, .. } => Some(*to),
            _ => None,
        });
        match routes.into_iter().find_map(|to| self.harm(lower, there, to)) {
            Some(reason) => self.refuse(reason, "make the shim again: virt-net shim create"),
            None => Ok(()),
        }
    }

    /// The steps that make a shim of now again.
    pub(super) fn made_again(&self, link: &Link, over: IfName) -> Vec<ShimStep> {
        let kernel = &self.snapshot.kernel;
        let shim = link.name;
        let own = global(kernel, link);
        let v6 = if own.iter().any(|address| address.addr().is_ipv6()) { V6::On } else { V6::Off };
        let mut steps = vec![ShimStep::Hold { shim }, ShimStep::Make { shim, over, mac: link.mac, v6 }];
        if let Some(value @ (0 | 2..)) = self.evidence.arp_filter {
            steps.push(ShimStep::Filter { shim, value });
        }
        steps.push(ShimStep::Up { shim });
        steps.extend(own.iter().map(|address| ShimStep::Address { shim, address: *address }));
        let routes = routes_by(kernel, link).filter(|route| !own.contains(&route.destination));
        steps.extend(routes.map(|route| {
            let (to, source) = (route.destination, route.prefsrc);
            ShimStep::Route { shim, to, source }
        }));
        steps
    }

    /// The files as they were; of an interrupted change all of them, for what was written beside them goes too.
    fn files_before(&self, done: &ShimPlan, came: Came) -> Result<Vec<FileChange>, Refusal> {
        let mut files = Vec::new();
        for file in done.lasting.iter().rev() {
            let Some((_, now)) = self.evidence.written.iter().find(|(path, _)| *path == file.path) else {
                continue;
            };
            if *now != file.before && *now != file.after {
                let reason = format!("{} was changed since", file.path.display());
                return self.refuse(reason, "make it what it should be by hand");
            }
            if *now != file.before || came == Came::HalfWay {
                let (before, after) = (now.clone(), file.before.clone());
                files.push(FileChange { before, after, ..file.clone() });
            }
        }
        Ok(files)
    }
}
