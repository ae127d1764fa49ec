//! The unsafe part: event callbacks, DHCP leases and agent addresses, which the virt crate does not
//! wrap (or leaks). Nothing else of the program may be unsafe.
//!
//! A callback only hands an [`Event`] to a closure; a panic in it is caught, since it must not unwind
//! into C.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error;
use virt::network::Network;
use virt_sys as sys;

/// What an event says; what changed is read anew anyhow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A guest, a device, an agent or a network changed.
    Changed,
    /// The connection ended.
    Closed,
}

/// The number of a `virErrorNumber`.
pub(super) fn error_code(code: virt::error::ErrorNumber) -> u32 {
    code.to_raw()
}

type OnEvent = Box<dyn Fn(Event) + Send + Sync>;

/// Registers for everything that may change the inventory. Each registration owns a clone of the
/// closure and frees it when libvirt says so.
pub(super) fn subscribe(connection: &Connect, on_event: impl Fn(Event) + Send + Sync + 'static) {
    let on_event = std::sync::Arc::new(on_event);
    let opaque = || {
        let on_event = std::sync::Arc::clone(&on_event);
        let boxed: Box<OnEvent> = Box::new(Box::new(move |event| on_event(event)));
        Box::into_raw(boxed).cast::<c_void>()
    };
    // SAFETY: all callbacks of one shape are passed as libvirt's generic type, as its C API demands
    // (VIR_DOMAIN_EVENT_CALLBACK casts the same way); the shape of each id is that of the documented
    // callback type. `opaque` stays alive until `release`, which libvirt calls once per registration,
    // also when the connection is closed; on failure (-1) it does not, so it is released here.
    unsafe {
        let two_ints = std::mem::transmute::<*const (), DomainCallback>(domain_ints as *const ());
        let text = std::mem::transmute::<*const (), DomainCallback>(domain_text as *const ());
        for (id, callback) in [
            (sys::VIR_DOMAIN_EVENT_ID_LIFECYCLE, two_ints),
            (sys::VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, two_ints),
            (sys::VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, text),
            (sys::VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, text),
            (sys::VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED, text),
        ] {
            let data = opaque();
            let id = id.cast_signed();
            let registered = sys::virConnectDomainEventRegisterAny(
                connection.as_ptr(),
                ptr::null_mut(),
                id,
                Some(callback),
                data,
                Some(release),
            );
            if registered == -1 {
                release(data);
            }
        }
        let data = opaque();
        let network = std::mem::transmute::<*const (), NetworkCallback>(network_ints as *const ());
        let id = sys::VIR_NETWORK_EVENT_ID_LIFECYCLE.cast_signed();
        let registered = sys::virConnectNetworkEventRegisterAny(
            connection.as_ptr(),
            ptr::null_mut(),
            id,
            Some(network),
            data,
            Some(release),
        );
        if registered == -1 {
            release(data);
        }
        let data = opaque();
        if sys::virConnectRegisterCloseCallback(connection.as_ptr(), Some(closed), data, Some(release)) == -1
        {
            release(data);
        }
    }
}

type DomainCallback = unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, *mut c_void);
type NetworkCallback = unsafe extern "C" fn(sys::virConnectPtr, sys::virNetworkPtr, *mut c_void);

unsafe extern "C" fn domain_ints(
    _: sys::virConnectPtr,
    _: sys::virDomainPtr,
    _event: c_int,
    _detail: c_int,
    opaque: *mut c_void,
) -> c_int {
    // SAFETY: libvirt hands back what was registered.
    unsafe { tell(opaque, Event::Changed) };
    0
}

unsafe extern "C" fn domain_text(
    _: sys::virConnectPtr,
    _: sys::virDomainPtr,
    _alias: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: as above.
    unsafe { tell(opaque, Event::Changed) }
}

unsafe extern "C" fn network_ints(
    _: sys::virConnectPtr,
    _: sys::virNetworkPtr,
    _event: c_int,
    _detail: c_int,
    opaque: *mut c_void,
) {
    // SAFETY: as above.
    unsafe { tell(opaque, Event::Changed) }
}

unsafe extern "C" fn closed(_: sys::virConnectPtr, _reason: c_int, opaque: *mut c_void) {
    // SAFETY: as above.
    unsafe { tell(opaque, Event::Closed) }
}

/// # Safety
/// `opaque` must come from `subscribe` and not be released yet.
unsafe fn tell(opaque: *mut c_void, event: Event) {
    // SAFETY: promised by the caller.
    let on_event = unsafe { &*opaque.cast::<OnEvent>() };
    let _ = catch_unwind(AssertUnwindSafe(|| on_event(event)));
}

unsafe extern "C" fn release(opaque: *mut c_void) {
    // SAFETY: made by Box::into_raw in `subscribe`, released once per registration.
    drop(unsafe { Box::from_raw(opaque.cast::<OnEvent>()) });
}

/// A lease as libvirt gives it, texts not yet parsed.
#[derive(Debug)]
pub(super) struct RawLease {
    pub(super) mac: Option<String>,
    pub(super) address: Option<String>,
    pub(super) prefix: u32,
    pub(super) hostname: Option<String>,
    /// Seconds since the epoch; 0 never ends.
    pub(super) expires: i64,
}

/// Current leases of a network's dnsmasq; libvirt leaves expired ones out.
pub(super) fn leases(network: &Network) -> Result<Vec<RawLease>, Error> {
    let mut array: *mut sys::virNetworkDHCPLeasePtr = ptr::null_mut();
    // SAFETY: the network is alive; libvirt allocates `array` and its entries, both freed below.
    unsafe {
        let count = sys::virNetworkGetDHCPLeases(network.as_ptr(), ptr::null(), &raw mut array, 0);
        let Ok(count) = usize::try_from(count) else { return Err(Error::last_error()) };
        let mut leases = Vec::with_capacity(count);
        for at in 0..count {
            let entry = *array.add(at);
            let lease = &*entry;
            leases.push(RawLease {
                mac: text(lease.mac),
                address: text(lease.ipaddr),
                prefix: lease.prefix,
                hostname: text(lease.hostname),
                expires: lease.expirytime,
            });
            sys::virNetworkDHCPLeaseFree(entry);
        }
        libc::free(array.cast());
        Ok(leases)
    }
}

/// One interface as the guest agent sees it.
#[derive(Debug)]
pub(super) struct AgentInterface {
    pub(super) name: Option<String>,
    pub(super) mac: Option<String>,
    /// Address and prefix.
    pub(super) addresses: Vec<(String, u32)>,
}

/// What the agent inside the guest reports. Blocks for seconds when the agent hangs.
pub(super) fn agent_interfaces(domain: &Domain) -> Result<Vec<AgentInterface>, Error> {
    let mut array: *mut sys::virDomainInterfacePtr = ptr::null_mut();
    // SAFETY: the domain is alive; libvirt allocates `array` and its entries, both freed below.
    unsafe {
        let source = sys::VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT;
        let count = sys::virDomainInterfaceAddresses(domain.as_ptr(), &raw mut array, source, 0);
        let Ok(count) = usize::try_from(count) else { return Err(Error::last_error()) };
        let mut interfaces = Vec::with_capacity(count);
        for at in 0..count {
            let entry = *array.add(at);
            let interface = &*entry;
            let addresses = (0..interface.naddrs as usize)
                .filter_map(|at| {
                    let address = &*interface.addrs.add(at);
                    Some((text(address.addr)?, address.prefix))
                })
                .collect();
            interfaces.push(AgentInterface {
                name: text(interface.name),
                mac: text(interface.hwaddr),
                addresses,
            });
            sys::virDomainInterfaceFree(entry);
        }
        libc::free(array.cast());
        Ok(interfaces)
    }
}

/// # Safety
/// `pointer` must be null or a NUL-terminated string.
unsafe fn text(pointer: *const c_char) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: promised by the caller.
    Some(unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
}
