//! Threads that help: where the machine gives none (a limit on processes, no memory), the work is done without them.

use std::thread::{Builder, Scope, ScopedJoinHandle};

/// Begins another thread of a scope; `None` if none can be had.
pub(crate) fn another<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Option<ScopedJoinHandle<'scope, T>> {
    begin(scope, work).ok()
}

/// The same where it is said why there is none.
pub(crate) fn begin<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> std::io::Result<ScopedJoinHandle<'scope, T>> {
    Builder::new().spawn_scoped(scope, work)
}

/// What a thread has come to. What panics in it panics here; where there is none, the work is done now.
pub(crate) fn join_or<T>(thread: Option<ScopedJoinHandle<'_, T>>, work: impl FnOnce() -> T) -> T {
    match thread {
        Some(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        None => work(),
    }
}
