//! `virt-net capture`: the packets of a NIC, live, one line each, and into a file for Wireshark.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use color_eyre::eyre::{Result, WrapErr as _};

use super::select::{self, Selection};
use super::{ExitStatus, complain};
use crate::model::firewall::packets_words;
use crate::model::{IfIndex, IfName, Timestamp};
use crate::source::packets::{Capture, Heading, Only, Seen, decode, pcap};
use crate::source::{self, SourceOptions};
use crate::ui::text::escape;

/// Arguments of `capture`.
#[derive(Debug, Args)]
pub struct CaptureArgs {
    /// The guest, by name or UUID
    vm: String,
    /// Its NIC by MAC, link name or position; needed when it has several
    nic: Option<String>,
    /// End after so many packets
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// End after so many seconds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    seconds: Option<u32>,
    /// Only packets of these kinds; the kernel drops the others
    #[arg(long, value_enum, value_name = "KIND", value_delimiter = ',')]
    only: Vec<Only>,
    /// Also write them to a file that tcpdump and Wireshark read
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// The link to listen on, and how to read directions on it.
struct Target {
    name: IfName,
    index: IfIndex,
    /// What the host receives by it comes from the guest (a tap), or is for the guest (a macvtap).
    from_guest: Heading,
}

pub(super) async fn run(args: &CaptureArgs, options: &SourceOptions) -> Result<ExitStatus> {
    if options.replay.is_some() {
        complain("a recording has no packets to capture");
        return Ok(ExitStatus::Usage);
    }
    let mut sources = source::start(options)?;
    let snapshot = sources.settled(Duration::from_secs(10)).await;
    let id = match select::nic(&snapshot, "capture", &args.vm, args.nic.as_deref()) {
        Selection::Found(id) => id,
        Selection::Unknown(sentence) => {
            complain(&sentence);
            return Ok(ExitStatus::Usage);
        }
    };
    let nic = snapshot.nic(id);
    let Some((index, name)) = nic.and_then(|nic| nic.link.zip(nic.link_name)) else {
        complain(
            "the NIC has no link on this host now: the guest is off, or its packets never touch the host",
        );
        return Ok(ExitStatus::Refused);
    };
    let swapped = nic.is_none_or(|nic| nic.swapped);
    let from_guest = if swapped { Heading::Inward } else { Heading::Outward };
    let target = Target { name, index, from_guest };
    drop(sources);
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    let limits = (args.count, args.seconds.map(|seconds| Duration::from_secs(seconds.into())));
    let (only, write) = (args.only.clone(), args.write.clone());
    let work = tokio::task::spawn_blocking(move || listen(&target, limits, &only, write.as_deref(), &asked));
    tokio::select! {
        result = work => result.wrap_err("capture")?,
        _ = tokio::signal::ctrl_c() => {
            stop.store(true, Ordering::Relaxed);
            // The file is whole at each packet's end; the thread sees the flag within its next wait.
            tokio::time::sleep(WAIT * 3).await;
            Ok(ExitStatus::Done)
        }
    }
}

/// How long the kernel may keep the thread waiting.
const WAIT: Duration = Duration::from_millis(100);

fn listen(
    target: &Target,
    (count, span): (u32, Option<Duration>),
    only: &[Only],
    write: Option<&std::path::Path>,
    stop: &AtomicBool,
) -> Result<ExitStatus> {
    let mut capture = Capture::open(target.name, target.index, only)?;
    let mut file = match write {
        Some(path) => {
            let what = || format!("write the capture to {}", path.display());
            let mut file = BufWriter::new(File::create(path).wrap_err_with(what)?);
            file.write_all(&pcap::header()).wrap_err_with(what)?;
            Some((file, what))
        }
        None => None,
    };
    let (started, mut seen, mut first) = (Instant::now(), 0_u32, None);
    let over = || span.is_some_and(|span| started.elapsed() >= span);
    while seen < count && !over() && !stop.load(Ordering::Relaxed) {
        let Some(packet) = capture.next(WAIT)? else {
            if let Some((file, what)) = &mut file {
                file.flush().wrap_err_with(*what)?;
            }
            continue;
        };
        seen += 1;
        let first = *first.get_or_insert((packet.at, packet.micros));
        let text = line(&packet, first, target.from_guest);
        match std::io::stdout().lock().write_all(text.as_bytes()) {
            // Nobody reads any more (`| head`).
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => break,
            result => result.wrap_err("write to standard output")?,
        }
        if let Some((file, what)) = &mut file {
            file.write_all(&pcap::record(&packet)).wrap_err_with(*what)?;
        }
    }
    if let Some((file, what)) = &mut file {
        file.flush().wrap_err_with(*what)?;
    }
    let lost = capture.lost();
    let lost = if lost > 0 { format!(", {lost} more came too fast to be read") } else { String::new() };
    complain(&format!("{} on {}{lost}", packets_words(seen.into()), target.name));
    Ok(ExitStatus::Done)
}

/// `  0.012345  guest →  52:54:00:aa:fc:1c > ff:ff:ff:ff:ff:ff  ARP  who has 10.0.0.2? tell 10.0.0.208`.
fn line(packet: &Seen, first: (Timestamp, u16), from_guest: Heading) -> String {
    let micros = |(at, micros): (Timestamp, u16)| at.0.saturating_mul(1000).saturating_add(micros.into());
    let since = micros((packet.at, packet.micros)).saturating_sub(micros(first));
    let summary = decode::summary(&packet.bytes);
    let way = if packet.heading == from_guest { "guest →" } else { "→ guest" };
    let mac = |mac: Option<crate::model::Mac>| mac.map_or_else(|| "?".to_owned(), |mac| mac.to_string());
    format!(
        "{:>4}.{:06}  {way}  {} > {}  {:<6} {}  {} B\n",
        since / 1_000_000,
        since % 1_000_000,
        mac(summary.from),
        mac(summary.to),
        summary.kind,
        escape(&summary.text),
        packet.length
    )
}
