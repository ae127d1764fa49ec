//! The calls of libvirt that the `virt` crate has no safe form for: the event loop, callbacks, leases and
//! agent addresses. The only unsafe code of the program beside that of packet sockets.
//!
//! Rules kept here, so that nobody else has to: a callback only hands an [`Event`] to its sink, under
//! `catch_unwind` (a panic must not cross into C); what libvirt allocates is freed once, by libvirt's own
//! free function and `libc::free` for the array around it; every registration is taken back when its
//! [`Registrations`] is dropped, because it holds the connection open.
#![expect(unsafe_code, reason = "libvirt's C API is called directly where the virt crate has no safe form")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once};
use std::time::Duration;
use std::{mem, ptr, thread};

use virt::domain::Domain;
use virt::error::Error;
use virt::network::Network;
use virt::sys;

use super::closing::{Counted, Kind, Open};
use super::events::{CloseReason, Event, Sink};
use crate::model::{DomainId, NetworkId};

/// Silences libvirt's own printing of errors and starts its event loop on a thread, once per process.
/// Must come before the first connection is opened, else that one has neither events nor keepalive.
pub(super) fn start_event_loop() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        virt::error::clear_error_callback();
        // SAFETY: takes no arguments; called once, before any connection exists.
        if unsafe { sys::virEventRegisterDefaultImpl() } < 0 {
            tracing::error!("libvirt has no event loop: {}", Error::last_error().message());
            return;
        }
        let started = thread::Builder::new().name("libvirt-events".to_owned()).spawn(|| {
            loop {
                // SAFETY: the default implementation is registered; only this thread runs it.
                if unsafe { sys::virEventRunDefaultImpl() } < 0 {
                    thread::sleep(Duration::from_millis(100));
                }
            }
        });
        if let Err(error) = started {
            tracing::error!("start the thread for libvirt's events: {error}");
        }
    });
}

/// Ends the process at once, without the exit handlers and destructors of C libraries.
///
/// libvirt's threads live until the end of the process, and nothing stops them. OpenSSL, which comes along
/// with libvirt, tears itself down in an exit handler; meanwhile those threads still allocate, and the process
/// was seen to abort (`malloc_consolidate(): invalid chunk size`) after its work was done. What is buffered
/// must be written before.
pub fn end_process(status: u8) -> ! {
    // SAFETY: takes a number and does not return.
    unsafe { libc::_exit(c_int::from(status)) }
}

/// A lease as libvirt has it, strings raw.
pub(super) struct RawLease {
    pub(super) mac: Option<String>,
    pub(super) address: Option<String>,
    pub(super) prefix: u32,
    pub(super) hostname: Option<String>,
    /// Seconds since the epoch; 0 for one that does not end.
    pub(super) expires: i64,
}

/// `virNetworkGetDHCPLeases` for all MACs of a network.
pub(super) fn dhcp_leases(network: &Network) -> Result<Vec<RawLease>, Error> {
    let mut array: *mut sys::virNetworkDHCPLeasePtr = ptr::null_mut();
    // SAFETY: the network is alive for the call; a null MAC means all; libvirt fills `array` with as
    // many pointers as it returns, or leaves it null and returns -1.
    let count = unsafe { sys::virNetworkGetDHCPLeases(network.as_ptr(), ptr::null(), &raw mut array, 0) };
    // SAFETY: `array` holds `count` leases that are ours to free.
    unsafe {
        take_array(array, count, sys::virNetworkDHCPLeaseFree, |lease| RawLease {
            mac: text((*lease).mac),
            address: text((*lease).ipaddr),
            prefix: (*lease).prefix,
            hostname: text((*lease).hostname),
            expires: (*lease).expirytime,
        })
    }
}

/// A NIC as the agent inside the guest sees it, strings raw.
pub(super) struct RawInterface {
    pub(super) name: Option<String>,
    pub(super) mac: Option<String>,
    /// Address and prefix.
    pub(super) addresses: Vec<(String, u32)>,
}

/// `virDomainInterfaceAddresses` by the guest's agent. Blocks for seconds when the agent does not answer.
pub(super) fn agent_addresses(domain: &Domain) -> Result<Vec<RawInterface>, Error> {
    let mut array: *mut sys::virDomainInterfacePtr = ptr::null_mut();
    let source = sys::VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT;
    // SAFETY: as in `dhcp_leases`.
    let count = unsafe { sys::virDomainInterfaceAddresses(domain.as_ptr(), &raw mut array, source, 0) };
    // SAFETY: `array` holds `count` interfaces that are ours to free; each has `naddrs` addresses.
    unsafe {
        take_array(array, count, sys::virDomainInterfaceFree, |interface| {
            let (first, count) = ((*interface).addrs, (*interface).naddrs as usize);
            let addresses = (0..count).filter_map(|nth| {
                let address = first.add(nth);
                Some((text((*address).addr)?, (*address).prefix))
            });
            RawInterface {
                name: text((*interface).name),
                mac: text((*interface).hwaddr),
                addresses: addresses.collect(),
            }
        })
    }
}

/// Reads `count` elements of an array that libvirt allocated, and frees each of them and the array.
///
/// # Safety
/// `array` must hold `count` valid pointers that `free` may free, and itself come from `malloc`; or
/// `count` must be -1.
unsafe fn take_array<T, U>(
    array: *mut *mut T,
    count: c_int,
    free: unsafe extern "C" fn(*mut T),
    read: impl Fn(*mut T) -> U,
) -> Result<Vec<U>, Error> {
    let Ok(count) = usize::try_from(count) else { return Err(Error::last_error()) };
    let mut all = Vec::with_capacity(count);
    for nth in 0..count {
        // SAFETY: the caller vouches for `count` elements; each is read before it is freed.
        unsafe {
            let element = *array.add(nth);
            all.push(read(element));
            free(element);
        }
    }
    // SAFETY: allocated by libvirt with malloc; freeing null is fine.
    unsafe { libc::free(array.cast()) };
    Ok(all)
}

/// A copy of a C string; `None` for null. Not UTF-8 becomes U+FFFD.
///
/// # Safety
/// `chars` must be null or end in NUL.
unsafe fn text(chars: *const c_char) -> Option<String> {
    // SAFETY: checked for null; the caller vouches for the rest.
    (!chars.is_null()).then(|| unsafe { CStr::from_ptr(chars) }.to_string_lossy().into_owned())
}

/// What a callback gets as its `opaque`: a share of the sink, freed by [`release`].
type Shared = Arc<Sink>;

/// All callbacks of one connection; dropping it takes them back (a call of the daemon each).
pub(super) struct Registrations {
    open: Arc<Open>,
    domain: Vec<c_int>,
    network: Vec<c_int>,
    close: bool,
    _told: Counted,
}

impl Registrations {
    /// Registers for everything in [`Event`]. A driver that lacks one of the events gives the others.
    pub(super) fn new(open: Arc<Open>, sink: &Shared) -> Self {
        let mut all = Self {
            open,
            domain: Vec::new(),
            network: Vec::new(),
            close: false,
            _told: Counted::new(Kind::Callbacks),
        };
        // SAFETY: libvirt calls each callback with the signature that belongs to its event id; these
        // casts are how libvirt means it (VIR_DOMAIN_EVENT_CALLBACK).
        let domain_events: [(u32, DomainCallback); 5] = unsafe {
            [
                (sys::VIR_DOMAIN_EVENT_ID_LIFECYCLE, generic(on_domain as *const ())),
                (sys::VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, generic(on_device_added as *const ())),
                (sys::VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, generic(on_device_removed as *const ())),
                (sys::VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED, generic(on_removal_failed as *const ())),
                (sys::VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, generic(on_agent as *const ())),
            ]
        };
        for (event, callback) in domain_events {
            all.domain_event(event.cast_signed(), callback, sink);
        }
        all.network_event(sink);
        all.close_callback(sink);
        all
    }

    fn domain_event(&mut self, event: c_int, callback: DomainCallback, sink: &Shared) {
        let (connect, opaque) = (self.open.connect().as_ptr(), share(sink));
        // SAFETY: the connection is alive; a null domain means all; libvirt owns `opaque` from here
        // until it calls `release`, unless it refuses.
        let id = unsafe {
            let all = ptr::null_mut();
            sys::virConnectDomainEventRegisterAny(connect, all, event, Some(callback), opaque, Some(release))
        };
        if id < 0 {
            refused(opaque, "domain events");
        } else {
            self.domain.push(id);
        }
    }

    fn network_event(&mut self, sink: &Shared) {
        let (connect, opaque) = (self.open.connect().as_ptr(), share(sink));
        let event = sys::VIR_NETWORK_EVENT_ID_LIFECYCLE.cast_signed();
        // SAFETY: as for domains.
        let id = unsafe {
            let callback = mem::transmute::<*const (), NetworkCallback>(on_network as *const ());
            let all = ptr::null_mut();
            sys::virConnectNetworkEventRegisterAny(connect, all, event, Some(callback), opaque, Some(release))
        };
        if id < 0 {
            refused(opaque, "network events");
        } else {
            self.network.push(id);
        }
    }

    fn close_callback(&mut self, sink: &Shared) {
        let opaque = share(sink);
        // SAFETY: as for domains.
        let status = unsafe {
            let connect = self.open.connect().as_ptr();
            sys::virConnectRegisterCloseCallback(connect, Some(on_close), opaque, Some(release))
        };
        self.close = status == 0;
        if status < 0 {
            refused(opaque, "the close callback");
        }
    }
}

impl Drop for Registrations {
    fn drop(&mut self) {
        let connect = self.open.connect().as_ptr();
        // SAFETY: the ids were given by this connection, which is still referenced; errors (a dead
        // connection) do not matter, the callbacks are gone either way.
        unsafe {
            for id in self.domain.drain(..) {
                sys::virConnectDomainEventDeregisterAny(connect, id);
            }
            for id in self.network.drain(..) {
                sys::virConnectNetworkEventDeregisterAny(connect, id);
            }
            if self.close {
                sys::virConnectUnregisterCloseCallback(connect, Some(on_close));
            }
        }
    }
}

type NetworkCallback = unsafe extern "C" fn(sys::virConnectPtr, sys::virNetworkPtr, *mut c_void);
type DomainCallback = unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, *mut c_void);

/// # Safety
/// `callback` must have the signature of the event it is registered for.
unsafe fn generic(callback: *const ()) -> DomainCallback {
    // SAFETY: the caller vouches; a function pointer has the size of a data pointer on all targets.
    unsafe { mem::transmute::<*const (), DomainCallback>(callback) }
}

fn share(sink: &Shared) -> *mut c_void {
    Box::into_raw(Box::new(Arc::clone(sink))).cast()
}

fn refused(opaque: *mut c_void, what: &str) {
    tracing::debug!("libvirt gives no {what} here: {}", Error::last_error().message());
    // SAFETY: libvirt refused, so it did not keep the pointer that `share` made.
    unsafe { release(opaque) };
}

unsafe extern "C" fn release(opaque: *mut c_void) {
    // SAFETY: `opaque` was made by `share`, and libvirt calls this once.
    drop(unsafe { Box::from_raw(opaque.cast::<Shared>()) });
}

/// Hands an event to the sink behind `opaque`. Runs on libvirt's event thread.
///
/// # Safety
/// `opaque` must come from [`share`] and not be released yet; libvirt holds it during a callback.
unsafe fn emit(opaque: *mut c_void, event: impl FnOnce() -> Option<Event>) {
    // SAFETY: the caller vouches.
    let sink = unsafe { &*opaque.cast::<Shared>() };
    let _ = catch_unwind(AssertUnwindSafe(|| event().into_iter().for_each(|event| sink.take(event))));
}

/// # Safety
/// `domain` must be valid, as libvirt's callbacks get it.
unsafe fn domain_id(domain: sys::virDomainPtr) -> Option<DomainId> {
    let mut uuid = [0; 16];
    // SAFETY: the caller vouches; VIR_UUID_BUFLEN is 16.
    (unsafe { sys::virDomainGetUUID(domain, uuid.as_mut_ptr()) } == 0).then_some(DomainId(uuid))
}

unsafe extern "C" fn on_domain(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    _event: c_int,
    _detail: c_int,
    opaque: *mut c_void,
) -> c_int {
    // SAFETY: libvirt passes a valid domain and our opaque.
    unsafe { emit(opaque, || domain_id(domain).map(Event::Guest)) };
    0
}

unsafe extern "C" fn on_device_added(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    _alias: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: libvirt passes a valid domain and our opaque.
    unsafe { emit(opaque, || domain_id(domain).map(Event::Guest)) };
}

unsafe extern "C" fn on_device_removed(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    alias: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: libvirt passes a valid domain, a C string and our opaque.
    unsafe {
        emit(opaque, || Some(Event::DeviceRemoved { guest: domain_id(domain)?, alias: text(alias)? }));
    }
}

unsafe extern "C" fn on_removal_failed(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    alias: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: libvirt passes a valid domain, a C string and our opaque.
    unsafe {
        emit(opaque, || Some(Event::DeviceRemovalFailed { guest: domain_id(domain)?, alias: text(alias)? }));
    }
}

unsafe extern "C" fn on_agent(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    _state: c_int,
    _reason: c_int,
    opaque: *mut c_void,
) {
    // SAFETY: libvirt passes a valid domain and our opaque.
    unsafe { emit(opaque, || domain_id(domain).map(Event::Agent)) };
}

unsafe extern "C" fn on_network(
    _: sys::virConnectPtr,
    network: sys::virNetworkPtr,
    _event: c_int,
    _detail: c_int,
    opaque: *mut c_void,
) {
    let id = || {
        let mut uuid = [0; 16];
        // SAFETY: libvirt passes a valid network; VIR_UUID_BUFLEN is 16.
        let status = unsafe { sys::virNetworkGetUUID(network, uuid.as_mut_ptr()) };
        (status == 0).then_some(Event::Network(NetworkId(uuid)))
    };
    // SAFETY: libvirt passes our opaque.
    unsafe { emit(opaque, id) };
}

unsafe extern "C" fn on_close(_: sys::virConnectPtr, reason: c_int, opaque: *mut c_void) {
    // SAFETY: libvirt passes our opaque.
    unsafe { emit(opaque, || Some(Event::Closed(CloseReason::from_raw(reason)))) };
}
