//! WRITES. Puts one NIC's element into a definition: updates, attaches or detaches.
//!
//! A write whose answer never came may have happened: its effect is read before it is repeated.

use super::trouble::Trouble;
use super::writer::Writer;
use crate::change::plan::{Edit, Plan};
use crate::model::guest::{Definition, NicConfig};
use crate::model::ids::NicId;
use crate::source::libvirt::{GuestHandle, Scope};

/// How often a write is tried while the daemon comes and goes.
const TRIES: usize = 3;

/// One NIC of one guest.
pub(super) struct Hands {
    pub(super) writer: Writer,
    nic: NicId,
    /// Its PCI address while it runs: tells it from another NIC of the same MAC when one of them is gone.
    slot: Option<String>,
}

impl Hands {
    pub(super) fn new(writer: Writer, plan: &Plan) -> Self {
        let live = plan.live.as_ref().map(|live| &live.before);
        let slot = live.and_then(|before| NicConfig::parse(before).ok()).and_then(|nic| nic.pci);
        Self { writer, nic: plan.nic, slot }
    }

    /// The NIC's element as libvirt has it now; `None` when it has none. Waits for a daemon that is away.
    ///
    /// # Errors
    /// [`Trouble::GuestOff`] for the live one of a guest that is off.
    pub(super) async fn element(&mut self, scope: Scope) -> Result<Option<String>, Trouble> {
        let read = move |guest: &GuestHandle| {
            if scope == Scope::Live && !guest.is_active()? {
                return Ok(None);
            }
            guest.xml(scope).map(Some)
        };
        let xml = match self.writer.read(read).await {
            Ok(Some(xml)) => xml,
            Ok(None) => return Err(Trouble::GuestOff),
            // A transient guest goes altogether.
            Err(trouble) if trouble.is_gone() => return Err(Trouble::GuestOff),
            Err(trouble) => return Err(trouble),
        };
        let definition = Definition::parse(&xml)?;
        let mut same =
            definition.nics.iter().chain(&definition.devices).filter(|nic| nic.mac == Some(self.nic.mac));
        let nic = match &self.slot {
            Some(slot) if scope == Scope::Live => same.find(|nic| nic.pci.as_ref() == Some(slot)),
            _ => same.nth(usize::from(self.nic.nth)),
        };
        Ok(nic.map(|nic| definition.element(nic).to_owned()))
    }

    /// Makes one definition's NIC from `edit.before` what `edit.after` says. Detached live, success only
    /// means that the guest was asked.
    pub(super) async fn put(&mut self, edit: &Edit, scope: Scope) -> Result<(), Trouble> {
        let act = match (edit.before.is_empty(), edit.after.is_empty()) {
            (true, _) => GuestHandle::attach_device,
            (false, true) => GuestHandle::detach_device,
            (false, false) => GuestHandle::update_device,
        };
        let text = if edit.after.is_empty() { &edit.before } else { &edit.after };
        let mut last = Trouble::Hung;
        for _ in 0..TRIES {
            let text = text.clone();
            match self.writer.call(move |guest| act(guest, &text, scope)).await {
                Ok(()) => return Ok(()),
                Err(trouble) if !trouble.is_transient() => return Err(trouble),
                Err(trouble) => last = trouble,
            }
            if self.is_as(&edit.after, scope).await? {
                return Ok(());
            }
        }
        Err(last)
    }

    /// Asks the guest to let go of the device.
    pub(super) async fn detach(&mut self, element: &str) -> Result<(), Trouble> {
        self.put(&Edit { before: element.to_owned(), after: String::new() }, Scope::Live).await
    }

    /// Plugs a device in.
    pub(super) async fn attach(&mut self, element: &str) -> Result<(), Trouble> {
        self.put(&Edit { before: String::new(), after: element.to_owned() }, Scope::Live).await
    }

    /// Whether libvirt has the NIC as this text says; an empty one is none.
    pub(super) async fn is_as(&mut self, wanted: &str, scope: Scope) -> Result<bool, Trouble> {
        let Some(element) = self.element(scope).await? else { return Ok(wanted.is_empty()) };
        if wanted.is_empty() {
            return Ok(false);
        }
        Ok(NicConfig::parse(&element)?.same_as(&NicConfig::parse(wanted)?))
    }
}
