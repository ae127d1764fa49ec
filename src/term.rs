//! The terminal: entered, left, suspended, drawn to. It is put back however the program ends; what is
//! drawn is decided elsewhere.

use std::io::{self, BufWriter, Stdout, Write as _};

use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::event::{Event as TermEvent, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseEventKind};
use crossterm::terminal::{self, BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{cursor, execute, queue};
use nix::sys::signal::{Signal, raise};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};

use crate::app::state::Mouse;
use crate::app::{Code, Event, Key};

type Backend = CrosstermBackend<BufWriter<Stdout>>;

/// A frame's bytes leave in one write.
const BUFFER: usize = 64 * 1024;
/// What a serial console that tells no size is taken for.
const ASSUMED: (u16, u16) = (80, 24);

/// The terminal while the program owns it.
#[derive(Debug)]
pub struct Screen {
    terminal: Terminal<Backend>,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// It cannot be written to or set.
    pub fn enter() -> io::Result<Self> {
        restore_on_panic();
        // NO_COLOR is honoured by the theme; crossterm's own way would lose reverse video too.
        crossterm::style::force_color_output(true);
        take()?;
        Ok(Self { terminal: fresh()? })
    }

    /// Columns and rows.
    #[must_use]
    pub fn size() -> (u16, u16) {
        match terminal::size() {
            Ok((columns, rows)) if columns > 0 && rows > 0 => (columns, rows),
            _ => ASSUMED,
        }
    }

    /// Draws a frame; only cells that changed are sent, and the terminal shows them at once.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn draw(&mut self, view: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(view)?;
        queue!(self.terminal.backend_mut(), EndSynchronizedUpdate)?;
        io::Write::flush(self.terminal.backend_mut())
    }

    /// Forgets what is on the screen: the next frame is sent whole.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn repaint(&mut self) -> io::Result<()> {
        execute!(io::stdout(), Clear(ClearType::All))?;
        self.terminal = fresh()?;
        Ok(())
    }

    /// Gives the terminal back, stops as ctrl-Z does, and takes it again when somebody says `fg`.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn suspend(&mut self) -> io::Result<()> {
        give_back();
        raise(Signal::SIGTSTP)?;
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

fn fresh() -> io::Result<Terminal<Backend>> {
    let backend = CrosstermBackend::new(BufWriter::with_capacity(BUFFER, io::stdout()));
    let viewport = match terminal::size() {
        Ok((columns, rows)) if columns > 0 && rows > 0 => Viewport::Fullscreen,
        _ => Viewport::Fixed(Rect::new(0, 0, ASSUMED.0, ASSUMED.1)),
    };
    Terminal::with_options(backend, TerminalOptions { viewport })
}

fn take() -> io::Result<()> {
    terminal::enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, cursor::Hide, Clear(ClearType::All))
}

/// Best effort: the terminal may be gone.
fn give_back() {
    let mut out = io::stdout();
    let _ = execute!(out, DisableMouseCapture, DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
    let _ = out.flush();
    let _ = terminal::disable_raw_mode();
}

/// A panic of this thread gives the terminal back before its message is printed; one of another thread
/// must not touch a screen that goes on.
fn restore_on_panic() {
    let ours = std::thread::current().id();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == ours {
            give_back();
            before(info);
        } else {
            tracing::error!(%info, "a background thread panicked");
        }
    }));
}

/// What the terminal reports, as the program knows it; nothing for what means nothing here.
#[must_use]
pub fn translate(event: TermEvent) -> Vec<Event> {
    // Over a slow line Esc and the next key arrive together, which looks like Alt with that key.
    let escaped = matches!(event, TermEvent::Key(key) if key.modifiers.contains(KeyModifiers::ALT));
    let before = escaped.then_some(Event::Key(Key::plain(Code::Esc)));
    before.into_iter().chain(translate_one(event)).collect()
}

fn translate_one(event: TermEvent) -> Option<Event> {
    match event {
        TermEvent::Key(key) if key.kind != KeyEventKind::Release => translate_key(key).map(Event::Key),
        TermEvent::Paste(text) => Some(Event::Paste(text)),
        TermEvent::Resize(..) => {
            let (columns, rows) = Screen::size();
            Some(Event::Resize(columns, rows))
        }
        TermEvent::Mouse(mouse) => match mouse.kind {
            MouseEventKind::ScrollUp => Some(Event::Key(Key::plain(Code::Up))),
            MouseEventKind::ScrollDown => Some(Event::Key(Key::plain(Code::Down))),
            _ => None,
        },
        _ => None,
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
