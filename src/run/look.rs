//! What the form of a new guest hangs on is looked at on a thread of its own: a file system that never
//! answers holds up neither the screen nor a change. Only the newest question counts.

use std::sync::mpsc::{Sender, channel};

use super::Session;
use crate::app::Event;
use crate::change::apply::guest::look;
use crate::change::new_guest::Question;

/// How long is waited for the next letter.
const TYPING: std::time::Duration = std::time::Duration::from_millis(150);

/// Where the thread is asked.
pub(super) type Looker = Sender<Box<Question>>;

impl Session {
    pub(super) fn look(&mut self, question: Box<Question>) {
        // A recording has no files; its form says that they are looked at before it runs.
        if self.sources.updates.is_none() {
            return;
        }
        if self.looker.is_none() {
            let (looker, questions) = channel::<Box<Question>>();
            let events = self.events.clone();
            let started = std::thread::Builder::new().name("look".to_owned()).spawn(move || {
                while let Ok(mut question) = questions.recv() {
                    // Whoever types asks again with every letter.
                    std::thread::sleep(TYPING);
                    while let Ok(newer) = questions.try_recv() {
                        question = newer;
                    }
                    if events.send(Event::Looked(Box::new(look(&question)))).is_err() {
                        return;
                    }
                }
            });
            match started {
                Ok(_) => self.looker = Some(looker),
                Err(error) => tracing::error!("start the thread look: {error}"),
            }
        }
        if let Some(looker) = &self.looker {
            let _ = looker.send(question);
        }
    }
}
