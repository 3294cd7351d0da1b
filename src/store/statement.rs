//! A prepared statement that is always finalized or kept, and whose errors are never mistaken for the
//! end of the rows.

use std::ffi::{CStr, c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::Arc;

use sqlite_loadable::ext::sqlite3_stmt;

use super::api::sq;
use super::border::read_value;
use super::connection::Connection;
use super::error::{Error, Result};
use super::kept::{self, Kept};
use super::turn;
use super::value::{Value, ValueRef};

/// Makes SQLite copy what is bound (`SQLITE_TRANSIENT`, the pointer -1).
fn transient() -> Option<unsafe extern "C" fn(*mut c_void)> {
    // SAFETY: SQLite defines this very bit pattern as a marker and never calls it.
    unsafe { std::mem::transmute::<isize, Option<unsafe extern "C" fn(*mut c_void)>>(-1) }
}

/// One prepared statement. Dropping it finalizes it or puts it where statements are kept for the next call, reset
/// and without values; so none is open after the call that made it, unless it is held on purpose (cursors of
/// virtual tables).
pub struct Statement {
    raw: *mut sqlite3_stmt,
    connection: Connection,
    /// The text as SQLite has it.
    sql: Box<str>,
    /// The turn in which it was prepared or taken from those that are kept.
    turn: u64,
    /// Where it is kept after use; none: it is finalized.
    home: Option<Arc<Kept>>,
    parameters: Parameters,
}

/// What is bound to the parameters, one bit each; those beyond the 64th have none.
///
/// SQLite compiles a statement anew when a parameter changes on which its plan may depend, and takes
/// `sqlite3_clear_bindings` for a change of all. So after a use only texts and blobs are let go of, and numbers stay: most
/// have the same value the next time. One that nobody binds the next time is emptied before the first step.
#[derive(Default)]
struct Parameters {
    /// Hold a text or a blob.
    long: u64,
    /// May hold a number.
    numbers: u64,
    /// Of those, the ones whose number is from an earlier use.
    old: u64,
    /// One that has no bit was bound.
    beyond: bool,
}

impl Parameters {
    /// Those of a statement that has been used.
    fn used(raw: *mut sqlite3_stmt) -> Self {
        // SAFETY: `raw` is live.
        let count = unsafe { sq!(bind_parameter_count(raw)) }.clamp(0, 64) as u32;
        let numbers = u64::MAX.checked_shr(64 - count).unwrap_or_default();
        Self {
            numbers,
            old: numbers,
            ..Self::default()
        }
    }

    fn bind(&mut self, index: usize, value: ValueRef<'_>) {
        let Some(bit) = index
            .checked_sub(1)
            .and_then(|bit| 1u64.checked_shl(bit as u32))
        else {
            self.beyond = true;
            return;
        };
        self.long &= !bit;
        self.numbers &= !bit;
        self.old &= !bit;
        match value {
            ValueRef::Null => (),
            ValueRef::Integer(_) | ValueRef::Real(_) => self.numbers |= bit,
            ValueRef::Text(_) | ValueRef::InvalidText(_) | ValueRef::Blob(_) => self.long |= bit,
        }
    }
}

impl Connection {
    /// Prepares one statement.
    ///
    /// # Errors
    /// SQLite's, with the text of what it could not parse or find.
    pub fn prepare(self, sql: &str) -> Result<Statement> {
        Statement::prepare(self, sql, None)
    }
}

impl Statement {
    /// Takes a statement from those that are kept, or prepares one that will be.
    ///
    /// # Errors
    /// As [`Connection::prepare`].
    pub(super) fn kept(connection: Connection, kept: &Arc<Kept>, sql: &str) -> Result<Self> {
        if let Some(raw) = kept.take(sql) {
            return Ok(Self {
                raw,
                parameters: Parameters::used(raw),
                connection,
                sql: sql.into(),
                turn: turn::current(),
                home: Some(Arc::clone(kept)),
            });
        }
        let home = kept.arm().then(|| Arc::clone(kept));
        Self::prepare(connection, sql, home)
    }

    fn prepare(connection: Connection, sql: &str, home: Option<Arc<Kept>>) -> Result<Self> {
        const PERSISTENT: u32 = 1;
        let mut raw = null_mut();
        let mut tail = null();
        let length = c_int::try_from(sql.len())
            .map_err(|_| Error::argument("the SQL text is longer than 2 GiB"))?;
        // SAFETY: pointer and length describe `sql`; `raw` is ours.
        let code = unsafe {
            sq!(prepare_v3(
                connection.raw(),
                sql.as_ptr().cast(),
                length,
                if home.is_some() { PERSISTENT } else { 0 },
                &mut raw,
                &mut tail
            ))
        };
        if code != 0 {
            return Err(connection.error(code));
        }
        if raw.is_null() {
            return Err(Error::argument("the SQL text holds no statement"));
        }
        // SAFETY: SQLite points into `sql`, or at its end.
        let used = unsafe { tail.offset_from(sql.as_ptr().cast()) };
        let (used, rest) = sql
            .split_at_checked(used.max(0) as usize)
            .unwrap_or((sql, ""));
        let statement = Self {
            raw,
            connection,
            sql: used.into(),
            turn: turn::current(),
            home,
            parameters: Parameters::default(),
        };
        if rest.contains(|letter: char| letter != ';' && !letter.is_whitespace()) {
            return Err(Error::argument(
                "the SQL text holds more than one statement",
            ));
        }
        Ok(statement)
    }

    /// Binds parameter `index` (1-based); SQLite keeps a copy.
    ///
    /// # Errors
    /// SQLite's: an index out of range, a value over the host's length limit.
    pub fn bind(&mut self, index: usize, value: ValueRef<'_>) -> Result<()> {
        self.bind_with(index, value, transient())
    }

    /// Binds all parameters in order.
    ///
    /// # Errors
    /// As [`Statement::bind`].
    pub fn bind_all(&mut self, values: &[ValueRef<'_>]) -> Result<()> {
        for (position, value) in values.iter().enumerate() {
            self.bind(position + 1, *value)?;
        }
        Ok(())
    }

    /// Names of the parameters in order, with their prefix (`:response`); empty for one without a name.
    pub fn parameters(&self) -> Vec<String> {
        // SAFETY: `raw` is live; a name lives as long as the statement and is copied at once.
        unsafe {
            let count = sq!(bind_parameter_count(self.raw));
            (1..=count)
                .map(|index| {
                    let name = sq!(bind_parameter_name(self.raw, index));
                    if name.is_null() {
                        return String::new();
                    }
                    CStr::from_ptr(name).to_string_lossy().into_owned()
                })
                .collect()
        }
    }

    /// Runs a statement that returns no rows (rows it does return are ignored) and makes it
    /// ready for the next run. The values are not copied: they live until the run is over.
    ///
    /// Returns the rows changed, triggers and foreign key actions not counted.
    ///
    /// # Errors
    /// SQLite's.
    pub fn run(&mut self, values: &[ValueRef<'_>]) -> Result<i64> {
        let outcome = self.bind_borrowed_and_step(values);
        self.reset();
        self.unbind();
        outcome?;
        Ok(self.connection.changes())
    }

    fn bind_borrowed_and_step(&mut self, values: &[ValueRef<'_>]) -> Result<()> {
        for (position, value) in values.iter().enumerate() {
            self.bind_with(position + 1, *value, None)?;
        }
        while self.step()? {}
        Ok(())
    }

    fn bind_with(
        &mut self,
        index: usize,
        value: ValueRef<'_>,
        keep: Option<unsafe extern "C" fn(*mut c_void)>,
    ) -> Result<()> {
        self.parameters.bind(index, value);
        let index = index as c_int;
        // SAFETY: `raw` is live; text and blob pointers come with their lengths; a null or dangling
        // pointer is never passed for a blob of length 0 (zeroblob is used instead).
        let code = unsafe {
            match value {
                ValueRef::Null => sq!(bind_null(self.raw, index)),
                ValueRef::Integer(number) => sq!(bind_int64(self.raw, index, number)),
                ValueRef::Real(number) => sq!(bind_double(self.raw, index, number)),
                ValueRef::Text(text) => self.bind_text(index, text.as_bytes(), keep),
                ValueRef::InvalidText(bytes) => self.bind_text(index, bytes, keep),
                ValueRef::Blob([]) => sq!(bind_zeroblob(self.raw, index, 0)),
                ValueRef::Blob(bytes) => sq!(bind_blob64(
                    self.raw,
                    index,
                    bytes.as_ptr().cast(),
                    bytes.len() as u64,
                    keep
                )),
            }
        };
        if code == 0 {
            Ok(())
        } else {
            Err(self.connection.error(code))
        }
    }

    /// # Safety
    /// With `keep` None the bytes must live until the binding is replaced or cleared.
    unsafe fn bind_text(
        &mut self,
        index: c_int,
        bytes: &[u8],
        keep: Option<unsafe extern "C" fn(*mut c_void)>,
    ) -> c_int {
        const UTF8: u8 = 1;
        // SAFETY: pointer and length belong together; an empty slice's pointer is not null.
        unsafe {
            sq!(bind_text64(
                self.raw,
                index,
                bytes.as_ptr().cast(),
                bytes.len() as u64,
                keep,
                UTF8
            ))
        }
    }

    /// Goes to the next row; false after the last.
    ///
    /// # Errors
    /// SQLite's: a constraint, BUSY, an interrupt. The statement is reset then.
    pub fn step(&mut self) -> Result<bool> {
        const ROW: c_int = 100;
        const DONE: c_int = 101;
        if self.parameters.old != 0 {
            self.empty(self.parameters.old);
        }
        // SAFETY: `raw` is live.
        match unsafe { sq!(step(self.raw)) } {
            ROW => Ok(true),
            DONE => Ok(false),
            code => {
                let error = self.connection.error(code);
                // SAFETY: as above.
                unsafe { sq!(reset(self.raw)) };
                Err(error)
            }
        }
    }

    /// Lets go of all texts and blobs that are bound. The statement is reset.
    fn unbind(&mut self) {
        if self.parameters.beyond {
            // SAFETY: `raw` is live; no value is used again.
            unsafe { sq!(clear_bindings(self.raw)) };
            self.parameters = Parameters::default();
            return;
        }
        self.empty(self.parameters.long);
        self.parameters.old = self.parameters.numbers;
    }

    /// Binds NULL to parameters that have these bits. The statement is reset.
    fn empty(&mut self, bits: u64) {
        let of_bits = (0..u64::BITS).filter(|bit| bits >> bit & 1 != 0);
        for bit in of_bits {
            // SAFETY: `raw` is live. It can't fail: there is such a parameter, and the statement is not running.
            unsafe { sq!(bind_null(self.raw, bit as c_int + 1)) };
        }
        let Parameters {
            long, numbers, old, ..
        } = &mut self.parameters;
        for held in [long, numbers, old] {
            *held &= !bits;
        }
    }

    /// Makes the statement ready to run again; bindings stay.
    pub fn reset(&mut self) {
        // SAFETY: `raw` is live. The code repeats the last step's error, which was reported.
        unsafe { sq!(reset(self.raw)) };
    }

    /// Column `index` (0-based) of the current row.
    pub fn column(&self, index: usize) -> ValueRef<'_> {
        // Asking the value instead of the statement saves taking the connection's mutex three times.
        // SAFETY: `raw` is live; text and blob stay valid until the next step or reset, both of which need
        // `&mut self`. SQLite calls such a value unprotected, as another thread could change it: none can,
        // for our statements run either inside a call of the host's, which holds the connection's mutex,
        // or on a connection of our own that one thread uses.
        unsafe { read_value(sq!(column_value(self.raw, index as c_int))) }
    }

    /// Text of a column that is text by our own schema; empty when it is not.
    pub fn text(&self, index: usize) -> String {
        self.column(index).as_str().unwrap_or_default().to_owned()
    }

    /// Text, or none when NULL.
    pub fn optional_text(&self, index: usize) -> Option<String> {
        self.column(index).as_str().map(str::to_owned)
    }

    /// Integer of a column that is one by our own schema; 0 when it is not.
    pub fn integer(&self, index: usize) -> i64 {
        self.column(index).as_i64().unwrap_or_default()
    }

    /// Number of columns in a row.
    pub fn column_count(&self) -> usize {
        // SAFETY: `raw` is live.
        unsafe { sq!(column_count(self.raw)).max(0) as usize }
    }

    /// All columns of the current row, owned.
    pub fn row(&self) -> Vec<Value> {
        (0..self.column_count())
            .map(|index| self.column(index).to_owned())
            .collect()
    }
}

impl Drop for Statement {
    fn drop(&mut self) {
        let is_ours =
            self.turn == turn::current() || kept::is_alive(self.connection, self.raw, &self.sql);
        if !is_ours {
            return;
        }
        let Some(home) = self.home.take() else {
            return kept::finalize(self.raw);
        };
        self.reset();
        self.unbind();
        home.put(std::mem::take(&mut self.sql), self.raw);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::in_memory;

    #[test]
    fn a_statement_in_use_is_not_handed_out_again() {
        let memory = in_memory();
        let open = |value: Option<i64>| {
            let mut statement = memory.database.prepare("SELECT ?1").expect("prepared");
            if let Some(value) = value {
                statement.bind(1, value.into()).expect("bound");
            }
            assert!(statement.step().expect("a row"));
            statement
        };
        let (one, two) = (open(Some(1)), open(Some(2)));
        assert_ne!(one.raw, two.raw);
        assert_eq!((one.integer(0), two.integer(0)), (1, 2));
        let kept = two.raw;
        drop((one, two));
        let again = open(None);
        assert_eq!((again.raw, again.column(0)), (kept, ValueRef::Null));
    }

    /// How often SQLite has compiled it again.
    fn compiled_again(statement: &Statement) -> c_int {
        const REPREPARE: c_int = 5;
        // SAFETY: `raw` is live.
        unsafe { sq!(stmt_status(statement.raw, REPREPARE, 0)) }
    }

    #[test]
    fn a_statement_that_is_kept_stays_compiled() {
        let memory = in_memory();
        let sql = "SELECT a FROM t WHERE b = ?1 AND c = ?2 AND d = ?3 ORDER BY a LIMIT ?4";
        let connection = memory.database.connection();
        connection
            .execute_script("CREATE TABLE t (a, b, c, d); INSERT INTO t VALUES (7, 'x', 1, 0.5)")
            .expect("made");
        // The first values may show SQLite a better plan.
        let mut first = None;
        for _ in 0..10 {
            let mut statement = memory.database.prepare(sql).expect("prepared");
            let values = [
                ValueRef::Text("x"),
                1.into(),
                ValueRef::Real(0.5),
                10.into(),
            ];
            statement.bind_all(&values).expect("bound");
            assert!(statement.step().expect("a row"));
            assert_eq!(statement.integer(0), 7);
            let again = compiled_again(&statement);
            assert_eq!(again, *first.get_or_insert(again));
        }
    }

    #[test]
    fn what_is_bound_is_not_found_by_the_next_use() {
        let memory = in_memory();
        let connection = memory.database.connection();
        connection
            .execute_script("CREATE TABLE t (a, b, c)")
            .expect("made");
        let mut insert = memory
            .database
            .prepare("INSERT INTO t VALUES (?1, ?2, ?3)")
            .expect("prepared");
        let values = [ValueRef::Text("x"), 1.into(), ValueRef::Real(0.5)];
        for bound in [3, 1, 2, 0] {
            insert.run(&values[..bound]).expect("inserted");
        }
        drop(insert);
        let mut insert = memory
            .database
            .prepare("INSERT INTO t VALUES (?1, ?2, ?3)")
            .expect("prepared");
        insert.bind(2, 4.into()).expect("bound");
        assert!(!insert.step().expect("inserted"));
        let rows = memory
            .database
            .query_all("SELECT a, b, c FROM t", &[], |row| {
                Ok((0..3).map(|place| row.column(place).to_owned()).collect())
            })
            .expect("rows");
        let (x, one, half) = (Value::Text("x".into()), Value::Integer(1), Value::Real(0.5));
        let rows: Vec<Vec<Value>> = rows;
        assert_eq!(
            rows,
            [
                vec![x.clone(), one.clone(), half],
                vec![x.clone(), Value::Null, Value::Null],
                vec![x, one, Value::Null],
                vec![Value::Null; 3],
                vec![Value::Null, Value::Integer(4), Value::Null],
            ]
        );
    }

    #[test]
    fn parameters_beyond_the_64th_are_emptied_too() {
        let memory = in_memory();
        for bound in [true, false] {
            let mut statement = memory
                .database
                .prepare("SELECT ?64, ?65")
                .expect("prepared");
            if bound {
                statement.bind(64, 1.into()).expect("bound");
                statement.bind(65, 2.into()).expect("bound");
            }
            assert!(statement.step().expect("a row"));
            let expected = if bound { (1, 2) } else { (0, 0) };
            assert_eq!((statement.integer(0), statement.integer(1)), expected);
        }
    }
}
