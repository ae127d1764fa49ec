//! The program as a process: command line and pty. No privilege needed.

mod libvirt;
