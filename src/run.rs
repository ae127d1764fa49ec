//! The only loop: keys, snapshots, the clock, signals and the news of a running change become events;
//! effects are carried out; a frame is drawn when something changed.

mod bridge;
pub(crate) mod jobs;
mod look;
mod probe;
mod signals;

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use color_eyre::eyre::{Result, WrapErr as _};
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;
use tokio::time::Instant;
use tracing::Level;

use crate::app::job::{Draft, ShimJob};
use crate::app::state::Mouse;
use crate::app::{App, Effect, Event, Job, update};
use crate::change::Refusal;
use crate::change::apply::{self, Tools, WayBack};
use crate::change::console;
use crate::change::journal::Journal;
use crate::cli::{ExitStatus, complain};
use crate::config::{self, Config};
use crate::logging::{self, Log};
use crate::source::{self, SourceOptions, Sources, now, supervise};
use crate::term::{Drawn, Screen, keys, lend, restore_on_panic, translate};
use crate::ui;
use crate::ui::glyphs::Glyphs;
use crate::ui::text::escape;
use crate::ui::theme::Theme;

use self::signals::{Signals, Told};

/// Time between two frames that no key asked for.
const FRAME: Duration = Duration::from_millis(33);

/// Opens the screen; returns when it is closed.
///
/// # Errors
/// The terminal cannot be used, or a recording cannot be read.
pub async fn run(options: &SourceOptions, config: Config) -> Result<ExitStatus> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        complain("the screen needs a terminal; `virt-net show` prints the same");
        return Ok(ExitStatus::Usage);
    }
    let log = logging::start(&config::state_directory(), config.log);
    restore_on_panic(supervise::in_background);
    let sources = source::start(options).wrap_err("read the recording")?;
    let screen = Screen::enter().wrap_err("take the terminal")?;
    let mut app = App::new(sources.snapshots.borrow().clone(), now(), Screen::size());
    let look = Look::of(&config);
    (app.keymap, app.bounce, app.mouse) = (config.keymap, config.bounce, config.mouse);
    Screen::mouse(app.mouse)?;
    let (events, inbox) = mpsc::unbounded_channel();
    if let Err(error) = &log.file {
        let _ = events.send(Event::Message(format!("no log is written: {error}")));
    }
    let (stop, looker) = (None, None);
    let desk = bridge::Desk::open(events.clone());
    let mut session = Session { app, sources, screen, events, look, log, stop, looker, desk };
    session.tell_half_done();
    // A change runs beside the loop, on the same thread.
    let local = LocalSet::new();
    if session.sources.updates.is_some() {
        local.spawn_local(bridge::watch(session.events.clone()));
    }
    let ended = local.run_until(session.go_on(inbox)).await;
    let Session { app, screen, sources, desk, .. } = session;
    drop(screen);
    drop(sources);
    desk.close();
    if app.is_changing() {
        complain("a change was running when the terminal went");
    } else if let (true, Some((_, how))) = (app.quit_after_change, app.messages.back()) {
        // Its end was waited for; nobody saw it on the screen.
        complain(&escape(how));
    }
    bridge::remind();
    ended
}

/// How this terminal is drawn to.
#[derive(Debug, Clone, Copy)]
struct Look {
    theme: Theme,
    glyphs: Glyphs,
}

impl Look {
    fn of(config: &Config) -> Self {
        let value = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = value("LC_ALL").or_else(|| value("LC_CTYPE")).or_else(|| value("LANG"));
        let theme = if value("NO_COLOR").is_some() { Theme::Mono } else { Theme::Ansi };
        let glyphs = Glyphs::of(&locale.unwrap_or_default(), &value("TERM").unwrap_or_default());
        Self { theme: config.theme.unwrap_or(theme), glyphs: config.glyphs.unwrap_or(glyphs) }
    }
}

/// The terminal's size, as an event.
fn resized() -> Event {
    let (columns, rows) = Screen::size();
    Event::Resize(columns, rows)
}

/// Whether the loop goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Wait,
    End,
}

struct Session {
    app: App,
    sources: Sources,
    screen: Screen,
    events: mpsc::UnboundedSender<Event>,
    look: Look,
    log: Log,
    /// Stops the program that the running change waits for.
    stop: Option<watch::Sender<bool>>,
    looker: Option<look::Looker>,
    desk: bridge::Desk,
}

impl Session {
    async fn go_on(&mut self, mut inbox: mpsc::UnboundedReceiver<Event>) -> Result<ExitStatus> {
        let mut keys = keys::listen();
        let mut snapshots = self.sources.snapshots.clone();
        let mut clock = tokio::time::interval(Duration::from_secs(1));
        // Time spent in a guest's console is not caught up with.
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut signals = Signals::listen()?;
        let mut drawn = Instant::now();
        let mut is_dirty = true;
        self.draw()?;
        // What fails on the terminal fails because it is gone.
        let status = 'screen: loop {
            let mut is_key = false;
            let events: Vec<Event> = tokio::select! {
                biased;
                told = signals.next() => match told {
                    Told::End(status) => break status,
                    // Stopped, it would leave the guest where the change stands.
                    Told::Suspend if self.app.is_changing() => Vec::new(),
                    Told::Suspend if self.screen.suspend().is_ok() => Vec::new(),
                    Told::Resume if self.screen.resume().is_ok() => vec![resized()],
                    Told::Suspend | Told::Resume => break ExitStatus::HungUp,
                    Told::Resize => vec![resized()],
                },
                key = keys.recv() => match key {
                    Some(key) => {
                        is_key = true;
                        translate(key)
                    }
                    None => break ExitStatus::HungUp,
                },
                Some(event) = inbox.recv() => vec![event],
                line = self.log.next() => vec![match line.level {
                    Level::ERROR => Event::Message(line.text),
                    _ => Event::Log(line.text),
                }],
                Ok(()) = snapshots.changed() => {
                    let snapshot = snapshots.borrow_and_update();
                    vec![Event::Snapshot(Arc::clone(&snapshot))]
                }
                _ = clock.tick() => {
                    supervise::forced("screen");
                    vec![Event::Clock(now())]
                }
                () = tokio::time::sleep_until(drawn + FRAME), if is_dirty => Vec::new(),
            };
            for event in events {
                is_dirty = true;
                // What the terminal did to its cells meanwhile is not known.
                if matches!(event, Event::Resize(..)) && self.screen.repaint().is_err() {
                    break 'screen ExitStatus::HungUp;
                }
                for effect in update(&mut self.app, event) {
                    match self.carry_out(effect).await {
                        Ok(Next::Wait) => {}
                        Ok(Next::End) => return Ok(ExitStatus::Done),
                        Err(_) => break 'screen ExitStatus::HungUp,
                    }
                }
            }
            if is_dirty && (is_key || drawn.elapsed() >= FRAME) {
                match self.draw() {
                    Ok(Drawn::Now) => is_dirty = false,
                    // What changes meanwhile is drawn at once when the terminal takes something again.
                    Ok(Drawn::Later) => {}
                    Err(_) => break ExitStatus::HungUp,
                }
                drawn = Instant::now();
            }
        };
        self.finish_change(&mut inbox).await;
        Ok(status)
    }

    fn draw(&mut self) -> std::io::Result<Drawn> {
        let (app, look) = (&self.app, self.look);
        self.screen.draw(|frame| ui::draw(app, look.theme, look.glyphs, frame))
    }

    /// Without a terminal: a change that runs is brought to its end first.
    async fn finish_change(&mut self, inbox: &mut mpsc::UnboundedReceiver<Event>) {
        self.app.quit_after_change |= self.app.is_changing();
        while self.app.is_changing() {
            let Some(event) = inbox.recv().await else { return };
            let _ = update(&mut self.app, event);
        }
    }

    async fn carry_out(&mut self, effect: Effect) -> Result<Next> {
        match effect {
            Effect::Quit => return Ok(Next::End),
            Effect::Suspend => self.screen.suspend()?,
            Effect::Console(call) => self.console(call).await?,
            Effect::Repaint => {
                self.screen.repaint()?;
                let _ = self.events.send(resized());
            }
            Effect::Refresh => self.sources.refresh(),
            Effect::Devices => self.sources.ask_for_devices(),
            Effect::Mouse(mouse) => Screen::mouse(mouse)?,
            Effect::Apply(job) => self.apply(*job),
            Effect::PlanUndo => self.plan_undo(),
            Effect::PlanBridge(job) => self.plan_draft(Job::Bridge(job)),
            Effect::PlanShim(job) => self.plan_draft(Job::Shim(job)),
            Effect::Answer(answer) => self.answer(answer),
            Effect::Probe(nic) => self.probe(nic),
            Effect::Look(question) => self.look(question),
            Effect::Stop => {
                if let Some(stop) = &self.stop {
                    let _ = stop.send(true);
                }
            }
        }
        Ok(Next::Wait)
    }

    /// Lends the terminal to a guest's console and takes it again when that ends.
    async fn console(&mut self, call: Vec<OsString>) -> Result<()> {
        if self.sources.updates.is_none() {
            let _ = self.events.send(Event::Message("a recording has no consoles".to_owned()));
            return Ok(());
        }
        self.screen.leave();
        complain(console::LEAVE);
        let ended = tokio::task::spawn_blocking(move || {
            let _no_keys = keys::hold();
            lend(&call)
        });
        let ended = ended.await?;
        self.screen.resume()?;
        if self.app.mouse == Mouse::On {
            Screen::mouse(Mouse::On)?;
        }
        let _ = self.events.send(resized());
        let said = match ended {
            Ok(status) if status.success() => return Ok(()),
            Ok(status) => format!("virsh console: {status}; `virt-net console` shows what it says"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => console::MISSING.to_owned(),
            Err(error) => format!("run virsh: {error}"),
        };
        let _ = self.events.send(Event::Message(said));
        Ok(())
    }

    /// Starts a change; its news and its end come as events.
    fn apply(&mut self, job: Job) {
        let (stop, stopping) = watch::channel(false);
        self.stop = Some(stop);
        tokio::task::spawn_local(jobs::run(job, self.tools(), self.events.clone(), stopping));
    }

    fn plan_undo(&self) {
        let (tools, events) = (self.tools(), self.events.clone());
        // Records are read, and may be written.
        tokio::task::spawn_blocking(move || {
            let found = tools.and_then(|tools| {
                let snapshot = tools.snapshots.borrow().clone();
                Ok(match apply::plan_undo(&snapshot, &tools.journal)? {
                    WayBack::One(plan) => Job::from(*plan),
                    WayBack::Together(many) => Job::from(*many),
                    WayBack::Shim(want, plan) => {
                        Job::from(ShimJob { want: *want, plan: *plan, draft: Draft::No })
                    }
                })
            });
            let _ = events.send(Event::Undo(Box::new(found)));
        });
    }

    fn tools(&self) -> Result<Tools, Refusal> {
        let refuse = |reason: String, way_out: &str| Refusal {
            what: "change the host".to_owned(),
            reason,
            way_out: way_out.to_owned(),
        };
        if self.sources.updates.is_none() {
            return Err(refuse("this is a recording".to_owned(), "start virt-net without --replay"));
        }
        let journal =
            Journal::open().map_err(|error| refuse(error.to_string(), "get the right to write there"))?;
        Ok(Tools {
            uri: self.sources.uri.clone(),
            snapshots: self.sources.snapshots.clone(),
            updates: self.sources.updates.clone(),
            journal,
        })
    }

    fn tell_half_done(&self) {
        if self.sources.updates.is_none() {
            return;
        }
        for left in Journal::peek().unfinished() {
            let text = format!("{}; d tells how it is put right", left.words());
            let _ = self.events.send(Event::Message(text));
        }
        for record in Journal::peek().half_done() {
            let text = format!("an earlier change ended half way ({}); u puts it right", record.plan.words());
            let _ = self.events.send(Event::Message(text));
        }
    }
}
