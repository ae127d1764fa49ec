//! PURE. Plans for what libvirt changes in a running network without a restart: static leases, and edits of
//! leases, DHCP ranges, DNS names and port groups.

use super::existing::Existing;
use super::{Action, NetworkPlan, NetworkStep, StaticLease};
use crate::change::Refusal;
use crate::change::network::check::is_dns_name;
use crate::change::network::edit::{self, Edit};
use crate::change::network::update;
use crate::model::Mac;
use crate::model::network::{NetworkDefinition, StaticHost};
use crate::model::network_update::{Section, Update, UpdateChange};

impl Existing<'_> {
    pub(super) fn lease(self, lease: &StaticLease) -> Result<NetworkPlan, Refusal> {
        let current = self.network.leases.iter().find(|known| known.mac == Some(lease.mac));
        let Some(address) = lease.address.or_else(|| current.map(|current| current.address.addr())) else {
            let reason = format!("{} has no lease now", lease.mac);
            return Err(self.refuse(reason, "say which address it shall get"));
        };
        let other = self
            .network
            .leases
            .iter()
            .find(|known| known.address.addr() == address && known.mac != Some(lease.mac));
        if let Some(mac) = other.and_then(|other| other.mac) {
            return Err(self.refuse(format!("{mac} has {address} now"), "choose another address"));
        }
        // What a guest calls itself is taken only where it is a name.
        let said = current.and_then(|current| current.hostname.as_ref()).filter(|name| is_dns_name(name));
        let hostname = lease.hostname.as_ref().or(said);
        let host = StaticHost { mac: Some(lease.mac), name: hostname.cloned(), address: Some(address) };
        let moved = current.is_none_or(|current| current.address.addr() != address);
        let mut plan = self.edit(&Edit { hosts: vec![host], ..Edit::default() })?;
        if moved {
            plan.consequences.push("The guest gets the address when it asks the next time.".to_owned());
        }
        Ok(plan)
    }

    pub(super) fn forget_lease(self, mac: Mac) -> Result<NetworkPlan, Refusal> {
        let mut plan = self.edit(&Edit { hosts_gone: vec![mac], ..Edit::default() })?;
        plan.consequences.push("The guest keeps the address until its lease ends.".to_owned());
        Ok(plan)
    }

    /// The edit of a running network as far as libvirt makes it live; `None` when it needs a restart.
    pub(super) fn live_updates(&self, next: &NetworkDefinition, edit: &Edit) -> Option<Vec<Update>> {
        if !self.network.active {
            return None;
        }
        let updates = update::live(next, edit)?;
        // What the two definitions do not share cannot be taken out of both at once.
        let live = self.network.live.as_ref()?;
        let before =
            |update: &&Update| update.inverse().is_done_in(next) && update.inverse().is_done_in(live);
        let firsts = updates.iter().filter(|update| update.change == UpdateChange::Delete);
        firsts.clone().all(|update| before(&update)).then_some(updates)
    }

    pub(super) fn update(self, after: String, updates: Vec<Update>) -> NetworkPlan {
        let mut plan = self.blank();
        plan.after = Some(after);
        let ranges = updates.iter().any(|update| update.section == Section::DhcpRange);
        let told = if ranges {
            "Live: libvirt starts its DHCP server anew; every guest keeps its address and link."
        } else {
            "Live: no guest notices."
        };
        plan.consequences.push(told.to_owned());
        for update in updates {
            plan.commands.push(update::command(&update, &self.network.name, self.network.active));
            plan.steps.push(NetworkStep {
                text: update::text(&update),
                undo: vec![Action::Update(update.inverse())],
                action: Action::Update(update),
            });
        }
        plan
    }
}

/// The XML of a new network with the edit in it.
pub(super) fn with_edit(xml: &str, edit: &Edit) -> Result<String, String> {
    edit::apply(xml, edit)
}
