//! The command line: arguments, and one file per subcommand.

mod bridge;
mod capture;
mod console;
mod doctor;
mod dump;
mod ending;
mod guest;
mod network;
mod new;
mod nic;
mod path;
mod preview;
mod probe;
mod reach;
mod select;
mod shim;
mod show;
mod switch;
mod switch_all;
mod table;
mod undo;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use color_eyre::eyre::{Result, WrapErr as _};
use tracing::level_filters::LevelFilter;

use crate::change::bridge::record::Answer;
use crate::change::journal::Journal;
use crate::config::{self, Config};
use crate::logging;
use crate::model::unfinished::Changed;
use crate::source::SourceOptions;
use crate::source::packets::listen::Listen;
use crate::ui::text::escape;

use ending::unless_told;
pub use show::{Section, ShowArgs};

/// See how every guest NIC of this libvirt host reaches the world, and change it safely.
///
/// Without a command the terminal screen opens. rx and tx are the guest's: rx is what the guest received.
#[derive(Debug, Parser)]
#[command(name = "virt-net", version, max_term_width = 100)]
pub struct Cli {
    /// libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]
    #[arg(short, long, value_name = "URI", global = true)]
    pub connect: Option<String>,
    /// Show a recording that `virt-net dump` wrote instead of this host
    #[arg(long, value_name = "FILE", global = true)]
    pub replay: Option<PathBuf>,
    /// Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// What to do; nothing: open the screen
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print bridges, ports, NICs, networks, leases and NAT rules as they are now
    Show(ShowArgs),
    /// Plug a guest's NIC into another network, bridge or macvtap, with preview, proof and undo
    Switch(switch::SwitchArgs),
    /// Create, edit, start, stop, restart or delete a libvirt network; give a guest a static lease
    #[command(subcommand)]
    Network(Box<network::NetworkCommand>),
    /// Plug every NIC of one network, bridge or link into another, all of them or none
    SwitchAll(switch_all::SwitchAllArgs),
    /// Make a bridge over a NIC of the host, or change one: taken back unless confirmed in time
    #[command(subcommand)]
    Bridge(bridge::BridgeCommand),
    /// Let the host and guests on its NIC's macvtaps talk with each other: a macvlan and a route to each guest
    #[command(subcommand)]
    Shim(shim::ShimCommand),
    /// Keep the change of a bridge that waits for it
    Confirm,
    /// Take the change of a bridge that waits back, now
    Rollback,
    /// Carries the change of a bridge out; started by `bridge`, not by hand
    #[command(name = crate::change::bridge::agent::COMMAND, hide = true)]
    BridgeAgent(bridge::AgentArgs),
    /// Pull or plug a NIC's cable, add or remove a NIC, apply or discard a pending change
    Nic(nic::NicArgs),
    /// Start, shut down, reboot, reset, pause or resume a guest, with a preview of what it means for its NICs
    Guest(guest::GuestArgs),
    /// Make a guest on a network, bridge or macvtap by virt-install, its call shown first
    New(new::NewArgs),
    /// Show a guest's serial console in this terminal; ends with the exit status of virsh
    Console(console::ConsoleArgs),
    /// Say what is wrong with the guests' network, why, and what mends it
    ///
    /// Exit status: 0 nothing is wrong (notes at most), 1 there are warnings, 2 there are errors.
    Doctor(doctor::DoctorArgs),
    /// Follow a packet from or to a guest's NIC through bridge, routing and firewall rules; sends nothing
    Path(path::PathArgs),
    /// Ask for real, by ARP and ping, and compare with what is derived; only sends pings, changes nothing
    Probe(probe::ProbeArgs),
    /// List the packets of a guest's NIC as they pass, and write them to a file for Wireshark
    Capture(capture::CaptureArgs),
    /// Say who can reach whom, and why not; sends nothing
    Reach(reach::ReachArgs),
    /// Take the last change of a NIC or shim back; networks and bridges have commands of their own
    Undo(undo::UndoArgs),
    /// Write everything the program reads of this host as JSON, for bug reports and --replay
    Dump(dump::DumpArgs),
}

impl Command {
    /// It has its own way with signals from its beginning.
    const fn minds_signals(&self) -> bool {
        matches!(self, Self::BridgeAgent(_) | Self::Console(_) | Self::Capture(_))
    }
}

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// Done, and verified where something was changed.
    Done,
    /// Failed; what had been changed was put back. Of the doctor: there are warnings.
    Failed,
    /// The arguments make no sense, or there is no terminal. Of the doctor: there are errors.
    Usage,
    /// Refused, with the reason; nothing was changed.
    Refused,
    /// The terminal went away (128 + SIGHUP) from the screen, or from a command that only reads.
    HungUp,
    /// Somebody sent SIGINT to one of them.
    Interrupted,
    /// Somebody sent SIGTERM to one of them, or SIGQUIT to the screen.
    Terminated,
    /// That of the program that the terminal was lent to.
    Of(u8),
}

impl ExitStatus {
    /// The number for the shell.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::HungUp => 129,
            Self::Interrupted => 130,
            Self::Terminated => 143,
            Self::Of(status) => status,
        }
    }

    /// How another program ended, as a shell says it: 128 and the signal for one that was killed.
    #[must_use]
    pub fn of(ended: std::process::ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        let status = ended.code().or_else(|| ended.signal().map(|signal| 128 + signal));
        Self::Of(status.and_then(|status| u8::try_from(status).ok()).unwrap_or(1))
    }
}

/// Runs what the arguments say.
///
/// # Errors
/// What cannot be said in an exit status alone: the caller prints it and exits with 1.
pub async fn run(cli: Cli) -> Result<ExitStatus> {
    let options = SourceOptions {
        uri: cli.connect.clone(),
        tick: Duration::from_secs(1),
        replay: cli.replay.clone(),
        listen: Listen::Off,
    };
    let silent =
        matches!(cli.command, None | Some(Command::Undo(_) | Command::Dump(_) | Command::BridgeAgent(_)));
    if !silent && cli.replay.is_none() {
        remind();
    }
    if !matches!(cli.command, Some(Command::BridgeAgent(_) | Command::Confirm | Command::Rollback)) {
        bridge::look_after().await;
    }
    if !matches!(cli.command, None | Some(Command::Show(_) | Command::Dump(_))) {
        let _ = logging::start(&config::state_directory(), LevelFilter::INFO);
    }
    match cli.command {
        None => match Config::load(cli.config.as_deref()) {
            Ok(config) => {
                let options = SourceOptions { listen: config.listen, ..options };
                crate::run::run(&options, config).await
            }
            Err(error) => {
                complain(&error.to_string());
                Ok(ExitStatus::Usage)
            }
        },
        Some(command) if command.minds_signals() => carry_out(command, &options).await,
        Some(command) => unless_told(Box::pin(carry_out(command, &options))).await,
    }
}

async fn carry_out(command: Command, options: &SourceOptions) -> Result<ExitStatus> {
    match command {
        Command::Show(args) => show::run(&args, options).await,
        Command::Switch(args) => switch::run(&args, options).await,
        Command::Network(command) => network::run(&command, options).await,
        Command::SwitchAll(args) => switch_all::run(&args, options).await,
        Command::Bridge(command) => bridge::run(&command, options).await,
        Command::Shim(command) => shim::run(&command, options).await,
        Command::Confirm => bridge::answer(Answer::Confirm).await,
        Command::Rollback => bridge::answer(Answer::Rollback).await,
        Command::BridgeAgent(args) => bridge::agent(&args).await,
        Command::Nic(args) => nic::run(&args, options).await,
        Command::Guest(args) => guest::run(&args, options).await,
        Command::New(args) => new::run(&args, options).await,
        Command::Console(args) => console::run(&args, options).await,
        Command::Doctor(args) => doctor::run(&args, options).await,
        Command::Path(args) => path::run(&args, options).await,
        Command::Capture(args) => capture::run(&args, options).await,
        Command::Probe(args) => probe::run(&args, options).await,
        Command::Reach(args) => reach::run(&args, options).await,
        Command::Undo(args) => undo::run(&args, options).await,
        Command::Dump(args) => dump::run(&args, options).await,
    }
}

/// Tells of changes that ended half way, before anything else is shown or done.
fn remind() {
    for record in Journal::peek().half_done() {
        let what = record.plan.words();
        let what = escape(&what);
        complain(&format!("an earlier change ended half way ({what}); `virt-net undo` puts it right"));
    }
    for left in Journal::peek().unfinished() {
        let words = left.words();
        let command = match &left.of {
            Changed::Network(network) => format!("virt-net network repair {}", escape(network)),
            Changed::Shim(_) => "virt-net doctor --fix change-interrupted".to_owned(),
        };
        complain(&format!("{}; `{command}` puts it right", escape(&words)));
    }
}

/// Writes to standard output; a reader that has gone (`| head`) is no error.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.wrap_err("write to standard output"),
    }
}

/// A value as JSON text that is safe to print: guests choose some of what is in it.
fn json_text(value: &impl serde::Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(value).wrap_err("write JSON")?;
    Ok(crate::ui::text::escape_json(&text).into_owned() + "\n")
}

/// Writes a line to standard error; nothing can be done where that fails.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "virt-net: {text}");
}

/// Tells an error with its causes in one line each, without a backtrace.
pub fn report(error: &color_eyre::Report) {
    complain(&error.to_string());
    for cause in error.chain().skip(1) {
        complain(&format!("  because {cause}"));
    }
}
