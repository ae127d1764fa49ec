//! Where the kernel does something else than the obvious: what is not sure is unknown, never a wrong yes or no.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use virt_net::model::kernel::Address;
use virt_net::path::Answer;

use crate::path::{kernel, link, out};

// ------------------------------------------------------------------ ways that are not followed to their end

#[test]
fn of_a_packet_whose_way_is_not_known_nobody_says_that_its_answer_does_not_come_back() {
    // The host routes on virbr1, or somebody there does.
    let host = kernel(|kernel| {
        link(kernel, "eth1").master = None;
        let index = link(kernel, "virbr1").index;
        let own = Address { index, address: "10.9.0.1/24".parse().unwrap(), ..kernel.addresses[1].clone() };
        kernel.addresses.push(own);
    });
    let path = out(&host, "vnet1");
    assert_eq!((path.there.answer, path.answer), (Answer::Unknown, Answer::Unknown), "{path:#?}");
    assert_eq!(path.back, None);
}
