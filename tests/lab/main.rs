//! The real lab: libvirtd, guests, nftables. Needs root; `assets/test` runs it.
