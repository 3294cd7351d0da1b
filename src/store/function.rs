//! SQL functions: registration, and the trampoline between C and safe Rust.

use std::ffi::{c_int, c_void};
use std::sync::Arc;

use sqlite_loadable::ext::{sqlite3_context, sqlite3_value};

use super::api::{c_text, sq};
use super::border::{fail, give, read_value};
use super::error::{Result, guarded};
use super::session::Session;
use super::turn;
use super::value::{Value, ValueRef};
use crate::ground::key::{Key, Keys};

/// What a function may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Depends on nothing but the library: `DETERMINISTIC | INNOCUOUS`.
    Pure,
    /// Reads or changes tables or reaches the network: `DIRECTONLY`, so that no trigger or view in a
    /// stranger's file can call it.
    Direct,
}

/// One SQL function as the table of contents in `lib.rs` lists it.
#[derive(Clone, Copy)]
pub struct Function {
    pub name: &'static str,
    /// Fewest and most arguments.
    pub count: (u8, u8),
    pub effect: Effect,
    pub body: fn(&Call<'_>) -> Result<Value>,
    /// The arguments as `sync_help` shows them, optional ones in brackets with their default.
    pub arguments: &'static str,
    /// The keys of its argument `options`.
    pub options: Keys,
    /// One object that it takes in place of all arguments.
    pub object: Option<&'static Shape>,
    /// One sentence for `sync_help` and the reference.
    pub summary: &'static str,
    /// One statement that can be typed as it is.
    pub example: &'static str,
}

/// The keys of one object in place of several arguments.
///
/// ```json
/// {"type":"action.start-sync-scope","options":{"instanceIds":["a","b"]},"instanceId":"startup"}
/// ```
#[derive(Clone, Copy)]
pub struct Shape {
    /// Besides `options`.
    pub top: Keys,
    /// Within it.
    pub options: Keys,
}

impl Function {
    /// With an argument `options` that takes some keys.
    pub const fn taking(self, options: Keys) -> Self {
        Self { options, ..self }
    }

    /// With one object in place of all arguments.
    pub const fn or_object(self, shape: &'static Shape) -> Self {
        Self {
            object: Some(shape),
            ..self
        }
    }

    /// Every key that it takes, each once.
    pub fn keys(&self) -> Vec<&'static Key> {
        let (top, within) = self
            .object
            .map_or((&[][..], &[][..]), |shape| (shape.top, shape.options));
        let mut keys: Vec<&Key> = Vec::new();
        for key in [top, within, self.options].concat().into_iter().flatten() {
            if !keys.iter().any(|known| known.name == key.name) {
                keys.push(key);
            }
        }
        keys
    }
}

/// One call of a function.
pub struct Call<'a> {
    function: &'a Function,
    session: &'a Arc<Session>,
    arguments: &'a [*mut sqlite3_value],
}

impl Call<'_> {
    pub fn function(&self) -> &Function {
        self.function
    }

    pub fn session(&self) -> &Arc<Session> {
        self.session
    }

    /// Number of arguments given.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.arguments.len()
    }

    /// Argument `index`; NULL when the caller gave fewer.
    pub fn argument(&self, index: usize) -> ValueRef<'_> {
        match self.arguments.get(index) {
            // SAFETY: SQLite keeps the argument values alive for the duration of the call.
            Some(value) => unsafe { read_value(*value) },
            None => ValueRef::Null,
        }
    }
}

struct Registered {
    function: Function,
    session: Arc<Session>,
}

/// Registers a function once for each number of arguments it takes, so that SQLite itself refuses
/// any other number.
///
/// # Errors
/// SQLite's: too many functions, out of memory.
pub(super) fn register(session: &Arc<Session>, function: &Function) -> Result<()> {
    const UTF8: c_int = 1;
    const DETERMINISTIC: c_int = 0x800;
    const DIRECTONLY: c_int = 0x8_0000;
    const INNOCUOUS: c_int = 0x20_0000;
    let flags = UTF8
        | match function.effect {
            Effect::Pure => DETERMINISTIC | INNOCUOUS,
            Effect::Direct => DIRECTONLY,
        };
    let name = c_text(function.name);
    for count in function.count.0..=function.count.1 {
        let registered = Box::new(Registered {
            function: *function,
            session: Arc::clone(session),
        });
        let connection = session.connection();
        // SAFETY: the box is handed over; SQLite calls `release` for it exactly once, also when the
        // registration fails.
        let code = unsafe {
            sq!(create_function_v2(
                connection.raw(),
                name.as_ptr(),
                c_int::from(count),
                flags,
                Box::into_raw(registered).cast(),
                Some(trampoline),
                None,
                None,
                Some(release)
            ))
        };
        if code != 0 {
            return Err(connection.error(code));
        }
    }
    Ok(())
}

unsafe extern "C" fn trampoline(
    context: *mut sqlite3_context,
    count: c_int,
    values: *mut *mut sqlite3_value,
) {
    let _turn = turn::begin();
    // SAFETY: SQLite passes the user data given at registration, and `count` values (a null pointer
    // when there are none).
    unsafe {
        let registered = &*sq!(user_data(context)).cast::<Registered>();
        let arguments = if count <= 0 || values.is_null() {
            &[][..]
        } else {
            std::slice::from_raw_parts(values, count as usize)
        };
        let call = Call {
            function: &registered.function,
            session: &registered.session,
            arguments,
        };
        match guarded(|| (registered.function.body)(&call)) {
            Ok(value) => give(context, value.borrow()),
            Err(error) => fail(context, &error.prefixed(registered.function.name)),
        }
    }
}

unsafe extern "C" fn release(pointer: *mut c_void) {
    // SAFETY: the pointer came from `Box::into_raw` in `register` and is released once.
    let registered = unsafe { Box::from_raw(pointer.cast::<Registered>()) };
    let _ = guarded(|| {
        drop(registered);
        Ok(())
    });
}
