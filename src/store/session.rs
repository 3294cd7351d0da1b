//! What one connection's functions and tables share.

use std::any::{Any, TypeId};
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::connection::Connection;
use super::database::Database;
use super::error::Result;
use super::hook;
use super::kept::Kept;

/// Connections that this copy of the library is loaded into, by address. An address is free again once
/// SQLite has let go of our functions, which it does before it frees the connection.
static LOADED: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());

/// Whether this copy of the library is loaded into a connection already.
pub(super) fn is_loaded(connection: Connection) -> bool {
    LOADED.lock().contains(&(connection.raw() as usize))
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.loaded {
            LOADED.lock().remove(&(self.connection.raw() as usize));
        }
    }
}

/// What is to happen before a connection closes; gets the token that ends.
pub type CloseHook = fn(&Session, &str);

/// Gives a new session its close hooks.
pub type Opened = fn(&Session);

/// State of one loaded connection; every function and virtual table on it holds a reference.
///
/// The rooms above keep what is theirs in typed parts ([`Session::part`]), so that the store need
/// not know about secrets, owners or workers.
pub struct Session {
    connection: Connection,
    opened: Opened,
    loaded: bool,
    /// Incarnation of the connection: names it among all connections of all processes. A new one is
    /// drawn when the host goes on using a connection whose close failed.
    token: Mutex<Option<String>>,
    parts: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    close_hooks: Mutex<Vec<CloseHook>>,
    kept: Arc<Kept>,
}

impl Session {
    /// `loaded`: the connection is the host's, not one of our own.
    pub(super) fn new(connection: Connection, opened: Opened, loaded: bool) -> Self {
        if loaded {
            LOADED.lock().insert(connection.raw() as usize);
        }
        // A connection of our own is closed by us, which needs no hook.
        let arm = if loaded { hook::arm } else { |_| true };
        // Shared by what lives on one thread at a time.
        #[allow(clippy::arc_with_non_send_sync)]
        let kept = Arc::new(Kept::new(connection, arm));
        let session = Self {
            connection,
            opened,
            loaded,
            token: Mutex::new(None),
            parts: Mutex::new(HashMap::new()),
            close_hooks: Mutex::new(Vec::new()),
            kept,
        };
        opened(&session);
        session
    }

    /// What a new session begins with, for a second connection that is to have the same.
    pub(super) fn opened(&self) -> Opened {
        self.opened
    }

    pub fn connection(&self) -> Connection {
        self.connection
    }

    /// Makes `part` this session's part of its type: for a second connection that is to know what the
    /// first one knows.
    pub fn share<T: Send + Sync + 'static>(&self, part: Arc<T>) {
        self.parts.lock().insert(TypeId::of::<T>(), part);
    }

    /// The file attached as `schema` on this connection.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn database(&self, schema: &str) -> Result<Database> {
        Database::open(self.connection, schema, &self.kept)
    }

    /// The one part of type `T` that belongs to this connection, made when first asked for.
    pub fn part<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let mut parts = self.parts.lock();
        let part = parts
            .entry(TypeId::of::<T>())
            .or_insert_with(|| Arc::new(T::default()))
            .clone();
        drop(parts);
        // The key is the part's own type, so the cast can't miss; a fresh default replaces
        // the case that can't be.
        part.downcast::<T>().unwrap_or_default()
    }

    /// Name of this connection's incarnation: 32 hexadecimal digits.
    pub fn token(&self) -> String {
        let mut token = self.token.lock();
        if let Some(token) = token.as_ref() {
            return token.clone();
        }
        let fresh = random_token();
        *token = Some(fresh.clone());
        drop(token);
        self.kept.arm();
        fresh
    }

    /// Registers what must happen before the connection closes. `hook` gets the token that ends.
    /// It may use the connection; it must not fail or wait for long.
    pub fn on_close(&self, hook: CloseHook) {
        self.close_hooks.lock().push(hook);
    }

    /// Runs the close hooks and finalizes the statements that are kept. The connection may live on (the
    /// host left a statement open and its close failed): then the next call draws a new token.
    pub(super) fn closing(&self) {
        let token = self.token.lock().take();
        let hooks = self.close_hooks.lock().clone();
        if let Some(token) = token {
            for hook in hooks {
                hook(self, &token);
            }
        }
        self.kept.clear();
    }
}

/// Unique, not secret: process id, time, a counter and the hasher's per-process random keys.
pub fn random_token() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let half = |salt: u64| {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u64(salt);
        hasher.write_u64(count);
        hasher.write_u32(std::process::id());
        hasher.write_i64(chrono::Utc::now().timestamp_nanos_opt().unwrap_or_default());
        hasher.finish()
    };
    format!("{:016x}{:016x}", half(1), half(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ() {
        let tokens: std::collections::HashSet<_> = (0..1000).map(|_| random_token()).collect();
        assert_eq!(tokens.len(), 1000);
    }
}
