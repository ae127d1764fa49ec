//! WRITES. Each step of a shim, alone and repeatable.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use futures_util::TryStreamExt as _;
use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::MacVlanMode;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use rtnetlink::{Handle, LinkMacVlan, LinkUnspec};

use super::Trouble;
use crate::change::bridge::FileChange;
use crate::change::bridge::files;
use crate::change::shim::ShimStep;
use crate::change::shim::step::V6;
use crate::model::{IfName, Mac};
use crate::source::netlink;

/// The file of a link's sysctl; by path, for a link's name may have a dot.
pub(super) fn sysctl(family: &str, link: IfName, key: &str) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    let link = std::ffi::OsStr::from_bytes(link.as_bytes());
    Path::new("/proc/sys/net").join(family).join("conf").join(link).join(key)
}

fn set(family: &str, link: IfName, key: &str, value: u8) -> Result<(), Trouble> {
    let path = sysctl(family, link, key);
    std::fs::write(&path, format!("{value}\n")).map_err(|error| Trouble::Sysctl { path, error })
}

pub(super) struct Kernel {
    handle: Handle,
}

impl Kernel {
    pub(super) fn open() -> std::io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    pub(super) async fn run(&self, step: &ShimStep) -> Result<(), Trouble> {
        match step {
            ShimStep::Hold { shim } => hold(*shim).await,
            ShimStep::Release { shim } => release(*shim).await,
            ShimStep::Make { shim, over, mac, v6 } => self.make(step, (*shim, *over), *mac, *v6).await,
            ShimStep::Filter { shim, value } => set("ipv4", *shim, "arp_filter", *value),
            ShimStep::Up { shim } => {
                let message = LinkUnspec::new_with_index(existing(*shim).await?).up().build();
                done(step, &[], self.handle.link().change(message).execute().await)
            }
            ShimStep::Address { shim, address } => {
                let index = existing(*shim).await?;
                let request = self.handle.address().add(index, address.addr(), address.prefix_len());
                done(step, &[libc::EEXIST], request.execute().await)
            }
            ShimStep::DropAddress { shim, address } => self.drop_address(step, *shim, *address).await,
            ShimStep::Route { shim, to, source } => {
                let message = message_of(existing(*shim).await?, *to, *source);
                done(step, &[libc::EEXIST], self.handle.route().add(message).execute().await)
            }
            ShimStep::DropRoute { shim, to } => {
                let Some(index) = index(*shim).await? else { return Ok(()) };
                let mut message = RouteMessage::default();
                message.header.address_family = family(to.addr());
                message.header.destination_prefix_length = to.prefix_len();
                message.header.scope = RouteScope::NoWhere;
                message.attributes = vec![
                    RouteAttribute::Table(254),
                    RouteAttribute::Oif(index),
                    RouteAttribute::Destination(address_of(to.addr())),
                ];
                done(step, &[libc::ESRCH], self.handle.route().del(message).execute().await)
            }
            ShimStep::Remove { shim } => match index(*shim).await? {
                Some(index) => done(step, &[libc::ENODEV], self.handle.link().del(index).execute().await),
                None => Ok(()),
            },
        }
    }

    /// Down at first: nothing hears it before it is set up.
    async fn make(
        &self,
        step: &ShimStep,
        (shim, over): (IfName, IfName),
        mac: Option<Mac>,
        v6: V6,
    ) -> Result<(), Trouble> {
        if index(shim).await?.is_none() {
            let lower = existing(over).await?;
            let mut builder = LinkMacVlan::new(&shim.to_string(), lower, MacVlanMode::Bridge);
            if let Some(mac) = mac {
                builder = builder.address(mac.0.to_vec());
            }
            done(step, &[], self.handle.link().add(builder.build()).execute().await)?;
        }
        set("ipv4", shim, "arp_filter", 1)?;
        set("ipv4", shim, "arp_ignore", 0)?;
        // A kernel without IPv6 has no such files.
        if sysctl("ipv6", shim, "disable_ipv6").exists() {
            set("ipv6", shim, "accept_ra", 0)?;
            set("ipv6", shim, "disable_ipv6", u8::from(v6 == V6::Off))?;
        }
        Ok(())
    }

    /// An IPv6 address of a link that the kernel has not yet found free, or has found taken, in words.
    pub(super) async fn unsettled(&self, shim: IfName) -> Result<Option<String>, Trouble> {
        let Some(index) = index(shim).await? else { return Ok(None) };
        let dump = self.handle.address().get().set_link_index_filter(index).execute();
        let all: Result<Vec<AddressMessage>, _> = dump.try_collect().await;
        let all =
            all.map_err(|error| Trouble::Kernel { step: format!("read the addresses of {shim}"), error })?;
        let has = |address: &AddressMessage, wanted: AddressFlags| {
            address.attributes.iter().any(
                |attribute| matches!(attribute, AddressAttribute::Flags(flags) if flags.contains(wanted)),
            )
        };
        let text = |address: &AddressMessage| {
            let own = address.attributes.iter().find_map(|attribute| match attribute {
                AddressAttribute::Address(own) => Some(own.to_string()),
                _ => None,
            });
            own.unwrap_or_default()
        };
        for address in all.iter().filter(|address| address.header.index == index) {
            if has(address, AddressFlags::Dadfailed) {
                return Err(Trouble::Unproven(format!("somebody on the LAN has {}", text(address))));
            }
            if has(address, AddressFlags::Tentative) {
                return Ok(Some(format!("whether {} is free is not known yet", text(address))));
            }
        }
        Ok(None)
    }

    async fn drop_address(&self, step: &ShimStep, shim: IfName, address: IpNet) -> Result<(), Trouble> {
        let Some(index) = index(shim).await? else { return Ok(()) };
        let dump = self.handle.address().get().set_link_index_filter(index).execute();
        let all: Vec<AddressMessage> = read(step, dump.try_collect().await)?;
        for found in all {
            let is_it = found.header.index == index
                && found.header.prefix_len == address.prefix_len()
                && found.attributes.iter().any(|attribute| {
                    matches!(attribute, AddressAttribute::Local(own) | AddressAttribute::Address(own)
                        if *own == address.addr())
                });
            if is_it {
                done(step, &[libc::EADDRNOTAVAIL], self.handle.address().del(found).execute().await)?;
            }
        }
        Ok(())
    }
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn address_of(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    }
}

fn message_of(index: u32, to: IpNet, source: Option<IpAddr>) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(to.addr());
    message.header.destination_prefix_length = to.prefix_len();
    message.header.kind = RouteType::Unicast;
    message.header.protocol = RouteProtocol::Static;
    message.header.scope = if to.addr().is_ipv4() { RouteScope::Link } else { RouteScope::Universe };
    message.attributes = vec![
        RouteAttribute::Table(254),
        RouteAttribute::Oif(index),
        RouteAttribute::Destination(address_of(to.addr())),
    ];
    message.attributes.extend(source.map(|source| RouteAttribute::PrefSource(address_of(source))));
    message
}

fn read<T>(step: &ShimStep, result: Result<T, rtnetlink::Error>) -> Result<T, Trouble> {
    result.map_err(|error| Trouble::Kernel { step: step.text(), error })
}

/// The error, unless it only says that it is already so.
fn done(step: &ShimStep, already: &[i32], result: Result<(), rtnetlink::Error>) -> Result<(), Trouble> {
    match result {
        Err(rtnetlink::Error::NetlinkError(message)) if already.contains(&-message.raw_code()) => Ok(()),
        other => read(step, other),
    }
}

async fn index(name: IfName) -> Result<Option<u32>, Trouble> {
    let facts = netlink::read_once().await?;
    Ok(facts.links.iter().find(|link| link.name == name).map(|link| link.index.0))
}

async fn existing(name: IfName) -> Result<u32, Trouble> {
    index(name).await?.ok_or(Trouble::Missing(name))
}

/// In `/run`, before all others: a reboot forgets it, and the file in `/etc` applies.
fn unmanaged(shim: IfName) -> FileChange {
    let text = format!(
        "# virt-net: shim {shim} until the next boot\n[Match]\nName={shim}\n\n[Link]\nUnmanaged=yes\n"
    );
    let path = format!("/run/systemd/network/00-virt-net-{shim}.network").into();
    FileChange { path, before: None, after: Some(text), mode: 0o644 }
}

fn networkd_runs() -> bool {
    // It notes the state of links there.
    Path::new("/run/systemd/netif/links").is_dir() && crate::change::bridge::evidence::runs("systemd-network")
}

async fn hold(shim: IfName) -> Result<(), Trouble> {
    if !networkd_runs() {
        return Ok(());
    }
    files::put(&unmanaged(shim))?;
    reload().await
}

async fn release(shim: IfName) -> Result<(), Trouble> {
    let file = unmanaged(shim);
    if !file.path.exists() {
        return Ok(());
    }
    files::put_back(&file)?;
    // The link is gone: whoever does not hear of it has nothing to do either.
    let _ = reload().await;
    Ok(())
}

async fn reload() -> Result<(), Trouble> {
    // It ends by itself after 25 s at the latest: that is how long a call of D-Bus waits.
    let call = || {
        let mut command = std::process::Command::new("networkctl");
        command.arg("reload").current_dir("/").env("LC_ALL", "C").stdin(Stdio::null()).output()
    };
    let ended = tokio::task::spawn_blocking(call).await;
    let output = ended.map_err(|error| Trouble::Networkd(error.to_string()))?;
    let output = output.map_err(|error| Trouble::Networkd(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Trouble::Networkd(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
