//! READS. The driver that the kernel has for a PCI NIC, which alone proves that a guest has it, or the host
//! again.

use std::time::{Duration, Instant};

use super::kernel::Seen;
use super::trouble::Trouble;
use crate::model::PciAddress;
use crate::model::pci::is_vfio;
use crate::source::pci;

/// Reads once whether a guest can have the device.
pub(super) fn given(device: PciAddress) -> Result<Seen, Trouble> {
    match pci::driver(device) {
        Some(driver) if is_vfio(&driver) => Ok(Seen { link: None, proof: format!("{device} with {driver}") }),
        other => Err(Trouble::Mismatch(format!("{device} is with {}", words(other.as_deref())))),
    }
}

/// Waits until a device that a guest let go of is with a driver of the host again, and says what is so. One that
/// stays away is none of the guest's affair any more.
pub(super) async fn wait_back(device: PciAddress, deadline: Duration) -> String {
    let back = |driver: Option<&str>| driver.is_some_and(|driver| !is_vfio(driver));
    let driver = wait(device, back, deadline).await;
    if back(driver.as_deref()) {
        return format!("the guest let go of it, {device} is with {} again", words(driver.as_deref()));
    }
    format!("the guest let go of it; on the host {device} is with {}", words(driver.as_deref()))
}

/// Waits until the kernel has this driver for the device.
///
/// # Errors
/// It has another one after the deadline.
pub(super) async fn wait_driver(
    device: PciAddress,
    before: Option<&str>,
    deadline: Duration,
) -> Result<(), String> {
    let now = wait(device, |driver| driver == before, deadline).await;
    if now.as_deref() == before {
        return Ok(());
    }
    Err(format!("{device} is with {}, and was with {}", words(now.as_deref()), words(before)))
}

async fn wait(
    device: PciAddress,
    is_so: impl Fn(Option<&str>) -> bool,
    deadline: Duration,
) -> Option<String> {
    let begun = Instant::now();
    loop {
        let driver = pci::driver(device);
        if is_so(driver.as_deref()) || begun.elapsed() > deadline {
            return driver;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn words(driver: Option<&str>) -> String {
    driver.map_or_else(|| "no driver".to_owned(), str::to_owned)
}
