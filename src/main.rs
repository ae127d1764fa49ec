//! Parses the arguments, installs the hooks, calls the library and maps errors to an exit status.

use std::io::Write as _;
use std::time::{Duration, Instant};

use clap::Parser as _;
use virt_net::cli::{self, Cli, ExitStatus};
use virt_net::source::libvirt;

/// How long the end of the program waits for calls under way, and for libvirt to answer the last ones: a frozen
/// daemon holds it up no longer.
const CLOSING: Duration = Duration::from_secs(1);

fn main() -> ! {
    let status = run();
    let _ = std::io::stdout().flush();
    libvirt::end_process(status.code())
}

fn run() -> ExitStatus {
    // Terminals get colour from the screen's own theme; a report goes to logs and mails.
    let hooks = color_eyre::config::HookBuilder::default()
        .theme(color_eyre::config::Theme::new())
        .display_env_section(false);
    let installed = hooks.install();
    let cli = Cli::parse();
    let result = installed.and_then(|()| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let result = runtime.block_on(cli::run(cli));
        let end = Instant::now() + CLOSING;
        runtime.shutdown_timeout(Duration::from_millis(200));
        let _ = libvirt::all_closed(end.saturating_duration_since(Instant::now()));
        result
    });
    result.unwrap_or_else(|error| {
        cli::report(&error);
        ExitStatus::Failed
    })
}
