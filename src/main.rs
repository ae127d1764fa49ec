//! Parses the arguments, installs the hooks, calls the library and maps errors to an exit status.

use std::process::ExitCode;

use clap::Parser as _;
use virt_net::cli::{self, Cli};

fn main() -> ExitCode {
    // Terminals get colour from the screen's own theme; a report goes to logs and mails.
    let hooks = color_eyre::config::HookBuilder::default()
        .theme(color_eyre::config::Theme::new())
        .display_env_section(false);
    let installed = hooks.install();
    let cli = Cli::parse();
    let result = installed.and_then(|()| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let result = runtime.block_on(cli::run(cli));
        // A libvirt call that hangs must not keep the program from ending.
        runtime.shutdown_timeout(std::time::Duration::from_millis(200));
        result
    });
    match result {
        Ok(status) => ExitCode::from(status.code()),
        Err(error) => {
            cli::report(&error);
            ExitCode::from(cli::ExitStatus::Failed.code())
        }
    }
}
