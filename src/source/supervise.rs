//! A background task that panics is a bug, but not the end: it is logged, its source is shown as down,
//! and it starts again after a while. The screen goes on.

use std::any::Any;
use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;

use super::Backoff;

/// Who ran so long without a panic starts with the shortest wait again.
const HEALTHY: Duration = Duration::from_secs(60);

thread_local! {
    static BACKGROUND: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside a background task now: the screen's own thread runs some, too.
#[must_use]
pub fn in_background() -> bool {
    BACKGROUND.get()
}

/// A future whose panics are its own matter: they come out as an error.
pub struct Background<F>(Pin<Box<F>>);

impl<F: Future> Background<F> {
    /// Wraps it.
    pub fn new(future: F) -> Self {
        Self(Box::pin(future))
    }
}

impl<F: Future> Future for Background<F> {
    type Output = Result<F::Output, String>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let before = BACKGROUND.replace(true);
        let polled = catch_unwind(AssertUnwindSafe(|| self.0.poll_unpin(cx)));
        BACKGROUND.set(before);
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Err(panic) => Poll::Ready(Err(words(panic.as_ref()))),
        }
    }
}

/// Runs a task made by `make` until it ends by itself; after a panic `told` hears why, and a new one is made.
pub(super) async fn task<F: Future<Output = ()>>(
    name: &'static str,
    told: impl Fn(String),
    mut make: impl FnMut() -> F,
) {
    let mut backoff = Backoff::default();
    loop {
        let started = Instant::now();
        let future = make();
        let run = Background::new(async {
            forced(name);
            future.await;
        });
        let Err(panic) = run.await else { return };
        let wait = wait(&mut backoff, started);
        told(sentence(name, &panic, wait));
        tokio::time::sleep(wait).await;
    }
}

/// A thread of this name. One that cannot be started leaves its source at `Starting`, which the screen shows.
pub(super) fn start(name: &str, body: impl FnOnce() + Send + 'static) {
    if let Err(error) = std::thread::Builder::new().name(name.to_owned()).spawn(body) {
        tracing::error!("start the thread {name}: {error}");
    }
}

/// The same as [`task`] for a thread's body. Runs on the calling thread.
pub(super) fn thread(name: &'static str, told: impl Fn(String), mut body: impl FnMut()) {
    let mut backoff = Backoff::default();
    BACKGROUND.set(true);
    loop {
        let started = Instant::now();
        let run = catch_unwind(AssertUnwindSafe(|| {
            forced(name);
            body();
        }));
        let Err(panic) = run else { return };
        let wait = wait(&mut backoff, started);
        told(sentence(name, &words(panic.as_ref()), wait));
        std::thread::sleep(wait);
    }
}

fn wait(backoff: &mut Backoff, started: Instant) -> Duration {
    if started.elapsed() > HEALTHY {
        backoff.reset();
    }
    backoff.next_wait()
}

fn sentence(name: &str, panic: &str, wait: Duration) -> String {
    let text = format!(
        "a bug: the {name} reader stopped ({panic}); it starts again in {:.1} s; please report it",
        wait.as_secs_f32()
    );
    tracing::error!("{text}");
    text
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

/// For the tests only, and not in a release build: panics once in each task that `VIRT_NET_TEST_PANIC` names.
pub(crate) fn forced(name: &str) {
    #[cfg(debug_assertions)]
    {
        use std::sync::atomic::{AtomicBool, Ordering};
        static DONE: AtomicBool = AtomicBool::new(false);
        let asked = std::env::var("VIRT_NET_TEST_PANIC").is_ok_and(|wish| wish == name);
        assert!(!asked || DONE.swap(true, Ordering::Relaxed), "forced by VIRT_NET_TEST_PANIC={name}");
    }
    #[cfg(not(debug_assertions))]
    let _ = name;
}
