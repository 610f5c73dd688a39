//! How much is to be done.

/// The variable that asks for more than a commit's share.
const RIGS: &str = "DATASTORE_RIGS";

/// How thorough a rig is. What is tried is the same; how much of it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// A sample that fits into every commit's tests.
    Share,
    /// Everything (`cargo xtask prove`).
    Release,
}

impl Effort {
    /// What this run was asked for: `DATASTORE_RIGS=release`, or nothing.
    ///
    /// # Panics
    /// If the variable says something else.
    #[must_use]
    pub fn asked() -> Self {
        match std::env::var(RIGS).as_deref() {
            Err(_) | Ok("share") => Self::Share,
            Ok("release") => Self::Release,
            Ok(other) => panic!("{RIGS}={other}: `share` and `release` are known"),
        }
    }

    /// One of two amounts.
    #[must_use]
    pub fn of<T>(self, share: T, release: T) -> T {
        match self {
            Self::Share => share,
            Self::Release => release,
        }
    }
}
