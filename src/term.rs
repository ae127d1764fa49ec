//! The terminal: entered, left, suspended, drawn to. It is put back however the program ends; what is
//! drawn is decided elsewhere.

mod frames;
pub mod keys;
mod lend;

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::event::{Event as TermEvent, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseEventKind};
use crossterm::terminal::{self, BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{cursor, execute, queue};
use nix::sys::signal::{Signal, raise};
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};

use self::frames::Frames;
pub use self::lend::lend;
use crate::app::state::Mouse;
use crate::app::{Code, Event, Key};

type Backend = CrosstermBackend<Frames>;

/// What a serial console that tells no size is taken for.
const ASSUMED: (u16, u16) = (80, 24);

/// The terminal while the program owns it.
#[derive(Debug)]
pub struct Screen {
    terminal: Terminal<Backend>,
    frames: Frames,
    /// What the terminal shows now, as far as is known.
    shown: Option<Buffer>,
}

/// Whether a frame was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drawn {
    /// It was, or there was nothing new in it.
    Now,
    /// The terminal has not taken the one before yet.
    Later,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// It cannot be written to or set.
    pub fn enter() -> io::Result<Self> {
        // NO_COLOR is honoured by the theme; crossterm's own way would lose reverse video too.
        crossterm::style::force_color_output(true);
        take()?;
        let frames = Frames::start()?;
        Ok(Self { terminal: fresh(frames.clone())?, frames, shown: None })
    }

    /// Columns and rows.
    #[must_use]
    pub fn size() -> (u16, u16) {
        match terminal::size() {
            Ok((columns, rows)) if columns > 0 && rows > 0 => (columns, rows),
            _ => ASSUMED,
        }
    }

    /// Draws a frame; only cells that changed are sent, and the terminal shows them at once. Nothing at
    /// all is sent where nothing changed: `Terminal::draw` alone sends 25 bytes then.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn draw(&mut self, view: impl FnOnce(&mut Frame<'_>)) -> io::Result<Drawn> {
        if !frames::are_written()? {
            return Ok(Drawn::Later);
        }
        self.terminal.autoresize()?;
        view(&mut self.terminal.get_frame());
        let drawn = self.terminal.current_buffer_mut();
        if self.shown.as_ref() == Some(&*drawn) {
            drawn.reset();
            return Ok(Drawn::Now);
        }
        let before = self.shown.replace(drawn.clone());
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        if before.is_none() {
            queue!(self.terminal.backend_mut(), Clear(ClearType::All))?;
        }
        self.terminal.flush()?;
        self.terminal.swap_buffers();
        queue!(self.terminal.backend_mut(), EndSynchronizedUpdate)?;
        io::Write::flush(self.terminal.backend_mut())?;
        Ok(Drawn::Now)
    }

    /// Forgets what is on the screen: the next frame is sent whole.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn repaint(&mut self) -> io::Result<()> {
        self.terminal = fresh(self.frames.clone())?;
        self.shown = None;
        Ok(())
    }

    /// Gives the terminal back, stops as ctrl-Z does, and takes it again when somebody says `fg`.
    /// `SIGSTOP`, because `SIGTSTP` is caught.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn suspend(&mut self) -> io::Result<()> {
        give_back();
        raise(Signal::SIGSTOP)?;
        self.resume()
    }

    /// Gives the terminal back for a while; [`Self::resume`] takes it again.
    pub fn leave(&mut self) {
        give_back();
    }

    /// Takes the terminal again after a stop of whatever kind, and draws it anew with the next frame.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn resume(&mut self) -> io::Result<()> {
        // A stop that nobody announced left the terminal in whatever mode its next user set.
        terminal::disable_raw_mode()?;
        take()?;
        self.repaint()
    }

    /// Whether the terminal reports the mouse.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn mouse(mouse: Mouse) -> io::Result<()> {
        match mouse {
            Mouse::On => execute!(io::stdout(), EnableMouseCapture),
            Mouse::Off => execute!(io::stdout(), DisableMouseCapture),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn fresh(frames: Frames) -> io::Result<Terminal<Backend>> {
    let backend = CrosstermBackend::new(frames);
    let viewport = match terminal::size() {
        Ok((columns, rows)) if columns > 0 && rows > 0 => Viewport::Fullscreen,
        _ => Viewport::Fixed(Rect::new(0, 0, ASSUMED.0, ASSUMED.1)),
    };
    Terminal::with_options(backend, TerminalOptions { viewport })
}

fn take() -> io::Result<()> {
    TAKEN.store(true, Ordering::SeqCst);
    terminal::enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, cursor::Hide, Clear(ClearType::All))
}

/// The terminal is ours now; it is given back once, so that what is printed after it stays.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Best effort: the terminal may be gone.
fn give_back() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    if frames::wait() {
        let mut out = io::stdout();
        let _ = execute!(out, DisableMouseCapture, DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
        let _ = out.flush();
    }
    let _ = terminal::disable_raw_mode();
}

/// A panic of the screen's own gives the terminal back before its message is printed; one of a
/// background task, on whatever thread, must not touch a screen that goes on. `in_background` tells
/// whose it is. To be called on the screen's thread, before any task is started.
pub fn restore_on_panic(in_background: fn() -> bool) {
    let ours = std::thread::current().id();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == ours && !in_background() {
            give_back();
            before(info);
        } else {
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            tracing::error!("a background task panicked at {place}");
        }
    }));
}

/// What the terminal reports, as the program knows it; nothing for what means nothing here. A new size
/// is told by a signal.
///
/// Esc and a key that arrive together look like Alt and that key. They are taken for what was typed: Esc
/// that leaves a question must never become the Enter that confirms it.
#[must_use]
pub fn translate(event: TermEvent) -> Vec<Event> {
    match event {
        TermEvent::Key(key) if key.kind != KeyEventKind::Release => {
            let esc = key.modifiers.contains(KeyModifiers::ALT).then_some(Key::plain(Code::Esc));
            esc.into_iter().chain(translate_key(key)).map(Event::Key).collect()
        }
        TermEvent::Paste(text) => vec![Event::Paste(text)],
        TermEvent::Mouse(mouse) => match mouse.kind {
            MouseEventKind::ScrollUp => vec![Event::Key(Key::plain(Code::Up))],
            MouseEventKind::ScrollDown => vec![Event::Key(Key::plain(Code::Down))],
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn translate_key(key: KeyEvent) -> Option<Key> {
    let code = match key.code {
        KeyCode::Char(c) => Code::Char(c),
        KeyCode::Enter => Code::Enter,
        KeyCode::Esc => Code::Esc,
        KeyCode::Tab => Code::Tab,
        KeyCode::BackTab => Code::BackTab,
        KeyCode::Up => Code::Up,
        KeyCode::Down => Code::Down,
        KeyCode::Left => Code::Left,
        KeyCode::Right => Code::Right,
        KeyCode::PageUp => Code::PageUp,
        KeyCode::PageDown => Code::PageDown,
        KeyCode::Home => Code::Home,
        KeyCode::End => Code::End,
        KeyCode::Backspace => Code::Backspace,
        _ => return None,
    };
    Some(Key { code, ctrl: key.modifiers.contains(KeyModifiers::CONTROL) })
}
