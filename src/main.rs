//! Parses the arguments, installs the hooks, calls the library and maps errors to an exit status.

fn main() {}
