//! What a test wants of a server, in words that fit every kind of provider.

use serde_json::Value;

use crate::held::Held;

/// A server that is to be started.
#[derive(Default)]
pub struct Wanted<'a> {
    /// Its tables.
    pub schema: &'a str,
    /// The token without which nothing is answered.
    pub token: Option<&'a str>,
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Rows come from the server.
    Download,
    /// Rows go to it.
    Upload,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    Created,
    Updated,
    Deleted,
}

/// A change as the server was sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    pub table: String,
    pub op: Op,
    pub id: String,
    /// The columns that are named as changed; None where the kind does not say.
    pub changed: Option<Vec<String>>,
    /// The values that went along, by column; null for a deleted row.
    pub values: Value,
}

/// One request as it came in.
#[derive(Clone, Debug)]
pub struct Asked {
    pub on: On,
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(known, _)| known == name);
        named.next().map(|(_, value)| value.as_str())
    }
}

/// What goes wrong with a request.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// Refused with this status and these words; nothing of it was done.
    Refused(u16, &'static str),
    /// The connection ends without an answer, before or after the server did what was asked.
    Lost { done: bool },
    /// These rows are not taken, the others are: table, id, reason.
    Rejected(Vec<(&'static str, &'static str, &'static str)>),
    /// The connection breaks after so many bytes of the answer.
    Broken(usize),
    /// The answer ends after so many bytes as if that were all.
    Cut(usize),
    /// An answer that is no protocol at all.
    Garbage,
    /// The rows of this table come under a name that nobody has heard of.
    Unheard(&'static str),
    /// No answer, and the connection stays.
    Silent,
}

/// A server of some kind.
pub trait Remote: Send + Sync {
    /// Such as `http://127.0.0.1:40123`: where secrets may go.
    fn origin(&self) -> String;

    /// The configuration to declare it with: one attempt at each request, patient deadlines.
    fn config(&self) -> Value;

    /// SQL of a test as it is for this kind: with ids that its servers take.
    fn spelled(&self, sql: &str) -> String {
        sql.to_owned()
    }

    /// What came of such SQL, with the ids of the test.
    fn shown(&self, text: String) -> String {
        text
    }

    /// Whether an upload is a single request, of which nobody knows what became when it has no answer. Other kinds take
    /// several, and try again what is refused.
    fn sends_in_one_request(&self) -> bool {
        true
    }

    /// Whether a sync hears of what others have done before it sends anything.
    fn pulls_first(&self) -> bool {
        true
    }

    /// Whether a sync sends what is here before it asks for anything, also the first one of a device. What stays of ours
    /// in a conflict goes up with the next one then.
    fn sends_first(&self) -> bool {
        false
    }

    /// What makes uploads of at most so many rows; None where the kind sends all in one.
    fn batches_of(&self, rows: usize) -> Option<Value>;

    /// Its configuration gets further keys. Where the kind has no such key the test is about something else.
    fn takes(&self, _: &Value) {}

    /// Somebody else writes rows: these columns of rows that are there, or new rows.
    fn put(&self, table: &str, rows: &[Value]);

    /// Somebody else deletes rows.
    fn remove(&self, table: &str, ids: &[&str]);

    /// All rows of a table, sorted by id, as [`crate::rows_of`] gives them.
    fn rows(&self, table: &str) -> Vec<Value>;

    /// The requests so far, oldest first.
    fn asked(&self) -> Vec<Asked>;

    /// The changes of each upload so far, oldest first.
    fn pushed(&self) -> Vec<Vec<Sent>>;

    /// Forgets the requests so far.
    fn forget(&self);

    /// Makes trouble with the next `times` requests of a direction; None: until [`Remote::behave`].
    fn trouble(&self, on: On, trouble: &Trouble, times: Option<u32>);

    /// Makes no trouble any more.
    fn behave(&self);

    /// Does something once, while the next request of that direction waits for its answer.
    fn meanwhile(&self, on: On, deed: Box<dyn FnOnce() + Send>);

    /// What is shown of a row that was rejected for this reason: not every kind carries one.
    fn shown_reason(&self, reason: &str) -> String;
}

/// The next request of that direction is held.
pub fn hold(remote: &dyn Remote, on: On) -> Held {
    let (held, stop) = Held::new();
    remote.meanwhile(on, Box::new(stop));
    held
}
