//! PURE. What address translation makes of the packet.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Place, Walk};
use crate::model::Link;
use crate::model::firewall::Action;
use crate::model::kernel::Route;
use crate::path::hooks::Crossed;
use crate::path::packet::Answer;

impl Walk<'_> {
    /// After prerouting or output.
    pub(super) fn translate_destination(&mut self, crossed: &Crossed, place: &Place) {
        let Some(translation) = &crossed.translation else { return };
        let to = match &translation.action {
            Action::Dnat { address: Some((from, to)), .. } if from == to => Some(*from),
            Action::Redirect { .. } => place.inward.first().and_then(|name| self.address_of(*name)),
            _ => None,
        };
        if let Some(to) = to.filter(|to| translation.sure && to.is_ipv4() == self.to().is_ipv4()) {
            self.packet.destination = IpNet::from(to);
            self.goal = None;
            self.packet.translated.0 = Answer::Yes;
        } else {
            self.packet.translated.0 = Answer::Unknown;
            self.doubt("where its destination is translated to is not decided");
        }
    }

    /// After postrouting, on its way out by `link`.
    pub(super) fn translate_source(
        &mut self,
        crossed: &Crossed,
        link: &Link,
        route: Option<(&Route, IpAddr)>,
    ) {
        // Rules that could not be read may translate.
        if !crossed.any && crossed.answer == Answer::Unknown {
            self.packet.translated.1 = Answer::Unknown;
        }
        let Some(translation) = &crossed.translation else { return };
        let to = match &translation.action {
            Action::Snat { address: Some((from, to)), .. } if from == to => Some(*from),
            Action::Masquerade { .. } => self.masquerade(link, route),
            _ => None,
        };
        if let Some(to) = to.filter(|_| translation.sure) {
            self.seen_as = Some(to);
            self.packet.source = IpNet::from(to);
            self.packet.translated.1 = Answer::Yes;
        } else {
            self.packet.translated.1 = Answer::Unknown;
            self.doubt("what its source is translated to is not decided");
        }
    }

    /// `inet_select_addr`: the link's own address next to the next hop, else its first.
    fn masquerade(&self, link: &Link, route: Option<(&Route, IpAddr)>) -> Option<IpAddr> {
        let v4 = self.to().is_ipv4();
        let own = self.snapshot.kernel.addresses.iter().filter(|own| {
            own.index == link.index && own.address.addr().is_ipv4() == v4 && own.scope != "link"
        });
        let beside = |next: IpAddr| own.clone().find(|own| own.address.contains(&next));
        route.and_then(|(_, next)| beside(next)).or_else(|| own.clone().next()).map(|own| own.address.addr())
    }

    fn address_of(&self, name: crate::model::IfName) -> Option<IpAddr> {
        let link = self.snapshot.link_named(name)?;
        let v4 = self.to().is_ipv4();
        let mut own = self.snapshot.kernel.addresses.iter().filter(|own| own.index == link.index);
        own.find(|own| own.address.addr().is_ipv4() == v4).map(|own| own.address.addr())
    }
}
