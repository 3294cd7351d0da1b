//! The face of every kind of provider: what it is like, and the conversation of one run with it.
//!
//! A conversation does no input or output. It says what is due; somebody else sends the request (the HTTP
//! room, the host program, a test) and somebody else touches the tables. An answer is first *read*, which
//! can be repeated when the database was locked in the middle of it, and *adopted* once what it said is
//! committed.

use std::io::{self, Read as Input, Write};

use serde_json::{Map, Value as Json};

use super::sink::Sink;
use super::wire::{ChangeKind, Entity};
use crate::ground::{SyncError, Warning};
use crate::store::ValueRef;

/// What a run is to bring about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Remote changes here, local changes there.
    Sync,
    /// One batch of local changes there, and what has to be pulled for that.
    Upload,
    /// One page of remote changes here.
    Download,
    /// All remote changes here.
    Hydrate,
    /// Everything the server has is compared with what is here; nothing changes on either side.
    Check,
}

impl Goal {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Upload => "upload",
            Self::Download => "download",
            Self::Hydrate => "hydrate",
            Self::Check => "check",
        }
    }

    /// Whether local changes are sent.
    pub fn sends(self) -> bool {
        matches!(self, Self::Sync | Self::Upload)
    }
}

/// How the general rooms behave for a kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Manners {
    /// Most rows that one request carries; 0: no limit.
    pub batch: u64,
    /// Pulls of its tables after which a push is no longer remembered: by then the server has shown what it
    /// made of it.
    pub journal_pulls: i64,
    /// A higher cursor is a later one. Else cursors are only told apart.
    pub cursors_grow: bool,
    /// The server counts versions of rows, and wants to be sent the one that a change is based on.
    pub versions: bool,
    /// Changes have numbers that grow in the order in which they are sent and are never given to other content.
    pub numbered: bool,
    /// What became of a push without an answer shows when the same is sent again, unchanged and before anything else.
    /// Otherwise the next pull shows it.
    pub resends: bool,
    /// The server has one cursor for all tables: every run is about all those of the provider.
    pub one_cursor: bool,
    /// Keys may be blobs of 16 bytes: they travel as UUIDs, and so do columns that refer to them.
    pub blob_keys: bool,
    /// What a sync asks for depends on whether anything is pending, see [`Known::pending`].
    pub asks_pending: bool,
    /// Each request carries one row, and depends on it: [`Conversation::meet`] hears of it before.
    pub one_by_one: bool,
    /// Calls name functions: one entity may be read by several, with several parameters, each an operation of its own.
    pub functions: bool,
    /// A table that is not there is made on the first sync, and tracked: one of documents (`id`, `data`, `timestamp`).
    pub documents: bool,
    /// Most rows that [`Goal::Upload`] sends; 0: no limit.
    pub round: u64,
    /// The options of a call that say how pages are asked for, as far as the protocol has such a thing.
    pub paging: &'static [&'static str],
    /// How remote rows are applied.
    pub apply: ApplyRules,
}

/// How remote rows are applied.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ApplyRules {
    /// A row created here stays when the server deletes it.
    pub keep_created: bool,
    /// Rows that are not here may be announced as updated.
    pub created_as_updated: bool,
    /// A column that a row leaves out counts as holding its default when rows are compared.
    pub missing_is_default: bool,
    /// What a delete of the server takes along here by a foreign key is sent as a change of this device.
    pub send_cascades: bool,
    /// Columns that don't count when a row comes back.
    pub echo_ignore: Vec<String>,
    /// Where nobody has set a policy, the server's row wins. Otherwise columns changed here stay.
    pub server_wins: bool,
    /// The policy decides about a row that was changed here and that the server deletes. Otherwise it goes.
    pub asks_for_deletes: bool,
    /// A row that was changed here and comes as it is here is settled, whatever the policy.
    pub settles_equal: bool,
    /// A row whose change has met another version goes up alone the next time.
    pub conflicts_alone: bool,
    /// Integers beyond 2^53 come rounded: one that is here and rounds to the same is the one that comes.
    pub rounds_integers: bool,
}

/// An entity when a conversation begins.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownEntity {
    pub entity: Entity,
    /// Where its next pull starts, as the server wrote it; none when it was never pulled, or is pulled from the
    /// beginning again.
    pub cursor: Option<String>,
    /// How far it was pulled before it is pulled from the beginning again.
    pub before: Option<String>,
    pub schema: LastSchema,
}

/// One operation of a call when a conversation begins.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownOperation {
    /// Index into the entities.
    pub entity: usize,
    pub function: Option<String>,
    pub parameters: Map<String, Json>,
    /// How far it has read; none of one that never has, or whose table is to come from the beginning again.
    pub place: Option<Place>,
}

/// How far an operation has read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Place {
    /// Where its next reading starts; none: at the beginning.
    pub cursor: Option<String>,
    /// What the kind remembers besides; null when nothing.
    pub memory: Json,
}

/// What was known of an entity's schema when it was last sent to the server.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LastSchema {
    pub version: Option<i64>,
    pub columns: Option<Vec<String>>,
}

/// What the file knows when a conversation begins.
#[derive(Debug, Clone)]
pub struct Known {
    /// In the order in which indexes name them.
    pub entities: Vec<KnownEntity>,
    /// The operations of the call, with [`Manners::functions`]; none otherwise.
    pub operations: Vec<KnownOperation>,
    /// Epoch ms.
    pub now: i64,
    /// `PRAGMA user_version`, at least 1.
    pub schema_version: i64,
    /// What this kind has asked to be remembered; null at first.
    pub memory: Json,
    /// The options of the call.
    pub options: Map<String, Json>,
    /// Whether remote changes may be asked for: they are not while downloads are paused.
    pub pulls: bool,
    /// Whether anything of the entities is pending; false where the kind does not [ask](Manners::asks_pending), except
    /// with [`Goal::Upload`].
    pub pending: bool,
}

/// Why a conversation does not begin.
#[derive(Debug)]
pub enum Refusal {
    /// The call is wrong: it is refused as a whole.
    Call(String),
    /// The call is right, but this sync can't run: it fails.
    Sync(SyncError),
}

/// A row that is to be sent.
#[derive(Debug)]
pub struct RowToSend<'a> {
    pub kind: ChangeKind,
    pub id: ValueRef<'a>,
    /// In the order of the entity's columns; none of a deleted row.
    pub values: &'a [ValueRef<'a>],
    /// Indexes of the columns that were changed.
    pub changed: &'a [usize],
    /// By column, the JSON that is sent in place of the value: what the server sent and the column can't hold.
    /// Empty when there is none.
    pub kept: &'a [Option<String>],
    /// The version that the server is known to hold, where it counts them.
    pub version: Option<i64>,
}

impl RowToSend<'_> {
    /// The JSON to send for a column in place of its value.
    pub fn kept(&self, place: usize) -> Option<&str> {
        self.kept.get(place)?.as_deref()
    }
}

/// A configured provider.
pub trait Provider: Send {
    fn manners(&self) -> &Manners;

    /// Whether it can carry an entity.
    ///
    /// # Errors
    /// What is in the way, and what to do.
    fn admit(&self, entity: &Entity) -> Result<(), String>;

    /// Writes one row as it will be sent.
    ///
    /// # Errors
    /// A value that can't be carried, in words.
    fn encode(&self, entity: &Entity, row: &RowToSend<'_>, out: &mut Vec<u8>)
    -> Result<(), String>;

    /// Whether changes of an entity are sent at all. Otherwise they wait.
    fn sends(&self, _entity: &Entity) -> bool {
        true
    }

    /// Whether a pull from where the last one ended tells the server that a column has come since, so that it sends
    /// what it has there. `current`: as [`Known::schema_version`].
    fn tells_of(&self, _entity: &Entity, _column: &str, _last: &LastSchema, _current: i64) -> bool {
        false
    }

    /// Begins the conversation of one run.
    ///
    /// # Errors
    /// See [`Refusal`].
    fn begin(&self, goal: Goal, known: Known) -> Result<Box<dyn Conversation>, Refusal>;

    /// A request whose answer, as it comes, says when there is something new; none where the protocol has no such thing.
    /// `cursors`: where the next pull of each entity starts; none of one that was never pulled.
    fn watch(&self, _cursors: &[Option<String>]) -> Option<Ask> {
        None
    }

    /// Whether there is such a request, or may be once more is known of the server.
    fn may_watch(&self) -> bool {
        self.watch(&[]).is_some()
    }

    /// Whether what was said in answer to that is news here, where pulls have come so far.
    fn is_news(&self, _said: &str, _cursors: &[Option<String>]) -> bool {
        true
    }
}

/// What a run must do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Send this and read the answer.
    Ask(Ask),
    /// Freeze what is pending and report [`Event::Frozen`] or [`Event::Resent`].
    Freeze,
    /// An operation of the call is over, whatever becomes of the others: it has succeeded, or failed.
    Over(usize, Option<SyncError>),
    /// What does the file say to this? It is told by [`Conversation::found`].
    Query(Query),
    /// An operation is carried out once with each of these parameters, as operations of their own, which follow all others:
    /// [`Conversation::branched`].
    Branch(usize, Vec<Map<String, Json>>),
    /// An operation of the call is over, for its condition does not hold.
    Skip(usize),
    /// What has been remembered of the server makes another provider of this one: the conversation begins anew with it.
    BeginAnew,
    Done,
    /// The sync ends here.
    Fail(SyncError),
}

/// A question to the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Each row of its answer is a JSON object.
    pub sql: String,
    /// The expressions in it that somebody has written: they only run on connections that were given them.
    pub declared: Vec<String>,
    /// Values of its named parameters; those without one are NULL.
    pub values: Map<String, Json>,
}

/// A request without its credentials.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// One word for people: what this request is about.
    pub label: &'static str,
    pub method: &'static str,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: AskBody,
    /// What it has to do with the frozen rows.
    pub parcel: Option<AboutParcel>,
    /// Statuses besides 2xx whose answer says more than no: it is read.
    pub reads: &'static [u16],
    /// Entities of which may come what came before.
    pub again: Vec<(usize, Again)>,
    /// The change of the schema sent to the server; null when there is none.
    pub migration: Json,
    /// The operation of the call that it is for, where there are such.
    pub operation: Option<usize>,
    /// It must not be sent again by itself once it may have arrived: the server would do it twice.
    pub once: bool,
    /// What comes is a part of its table, read by that operation; the number of the reading, which grows.
    pub part: Option<i64>,
}

impl Ask {
    /// A request without headers and body, about nothing in particular.
    pub fn new(label: &'static str, method: &'static str, url: String) -> Self {
        Self {
            label,
            method,
            url,
            headers: Vec::new(),
            body: AskBody::None,
            parcel: None,
            reads: &[],
            again: Vec::new(),
            migration: Json::Null,
            operation: None,
            once: false,
            part: None,
        }
    }
}

/// A request about the frozen rows. Its answer may bring verdicts on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AboutParcel {
    /// The server may have taken the rows when no answer comes. Otherwise they are pending as before.
    pub may_store: bool,
    /// Statuses by which the server refuses all rows for some of them: they are cut in halves until these are alone.
    /// [`CLOSED`] stands for a connection that is closed without an answer.
    pub refusals: &'static [u16],
    /// Statuses that leave open whether the server has the rows, besides 408 and those from 500.
    pub open: &'static [u16],
}

impl AboutParcel {
    /// The one request that sends rows and hears what became of them.
    pub fn whole(refusals: &'static [u16]) -> Self {
        Self {
            may_store: true,
            refusals,
            open: &[],
        }
    }
}

/// See [`AboutParcel::refusals`].
pub const CLOSED: u16 = 0;

/// What comes in an answer although it came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Again {
    /// Rows: that one was created says nothing new.
    Rows,
    /// Deletes as well.
    RowsAndDeletes,
}

/// The body of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum AskBody {
    None,
    Bytes(Vec<u8>),
    /// The frozen rows, as [`Conversation::write_body`] writes them.
    Parcel,
    /// A change of its own: what comes before its number, which is new, and what comes behind it.
    Numbered(Vec<u8>, Vec<u8>),
}

/// The rows of one parcel.
pub trait ParcelRows {
    /// Calls `each` with every row of an entity, or with those of one kind, oldest first.
    ///
    /// # Errors
    /// Reading the outbox, those of `each`.
    fn rows(
        &self,
        entity: usize,
        kind: Option<ChangeKind>,
        each: &mut dyn FnMut(&ParcelRow<'_>) -> io::Result<()>,
    ) -> io::Result<()>;

    /// Calls `each` with every row of all entities and the index of its entity, in the order in which they are to be
    /// taken: parents before what refers to them, then deletes the other way around. Only for kinds with
    /// [`Manners::numbered`].
    ///
    /// # Errors
    /// As [`ParcelRows::rows`].
    fn in_order(
        &self,
        _: &mut dyn FnMut(usize, &ParcelRow<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        Err(io::Error::other("rows without numbers have no order"))
    }
}

/// A frozen row.
#[derive(Debug, Clone, Copy)]
pub struct ParcelRow<'a> {
    /// Names this change; with [`Manners::numbered`] for good: it is never given to another.
    pub change: i64,
    pub kind: ChangeKind,
    /// The key of the row.
    pub id: ValueRef<'a>,
    /// The version that the change is based on, where the server counts them.
    pub base: Option<i64>,
    /// As [`Provider::encode`] wrote it.
    pub content: &'a str,
}

/// A complete answer.
pub struct Answer<'a> {
    pub status: u16,
    /// Names in lower case.
    pub headers: &'a [(String, String)],
    pub body: &'a mut dyn Input,
    /// Bytes of the body.
    pub length: u64,
    /// The frozen rows that the request was about.
    pub parcel: Option<&'a dyn ParcelRows>,
}

/// What an answer says besides its rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Read {
    /// Where the next pull of an entity starts, exactly as the server wrote it.
    pub cursors: Vec<(usize, String)>,
    /// How far operations have read now.
    pub places: Vec<(usize, Place)>,
    /// The schema version that their columns have been pulled with, when it is to be remembered.
    pub schema_version: Option<i64>,
    /// What this kind wants to be remembered of the server from now on.
    pub memory: Option<Json>,
    /// The frozen rows are on their way: more requests are about them, and the last one says what became of them.
    pub unfinished: bool,
    /// Entities of which more answers are to come before anything is sent: rows may still move. Where what is here is
    /// compared, those of which this answer does not say what there is.
    pub due: Vec<usize>,
    /// Extra members, for the caller.
    pub rest: Map<String, Json>,
    /// Where the page of rows ends that the answer is.
    pub page: Option<Page>,
    pub warnings: Vec<Warning>,
    /// What the conversation itself has to know of an answer that counts. Not kept.
    pub note: Option<String>,
}

/// One page of rows, where the server gives them out in pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Page {
    /// Where the next one starts.
    pub next: i64,
    pub has_more: bool,
    /// The last change that pages up to here are about.
    pub window: Option<i64>,
    /// Changes that were passed over: our own, and those of tables that are not synced.
    pub skipped: i64,
}

/// What has become of what was due.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// So many rows are in the next parcel; none: nothing is to be sent, or nothing more. It may come after a refusal
    /// that was taken for the end: the same rows go out in smaller parcels.
    Frozen(u64),
    /// So many rows go out again of which nobody knows whether they arrived, with [`Manners::resends`]. Nothing else was
    /// frozen: what is pending besides them waits for another [`Step::Freeze`].
    Resent(u64),
    /// The answer was read, and what it said is committed.
    Read(&'a Read),
    /// A complete answer said no. `body`: the beginning of it.
    Refused {
        status: u16,
        body: &'a str,
        error: &'a SyncError,
    },
    /// No complete answer came.
    Lost(&'a SyncError),
}

/// One run with a provider, step by step.
pub trait Conversation: Send {
    /// What is due. Asked twice, it says the same.
    fn due(&self) -> Step;

    /// Writes the body of a request that carries a parcel.
    ///
    /// # Errors
    /// Reading the parcel, writing the body.
    fn write_body(&self, parcel: &dyn ParcelRows, out: &mut dyn Write) -> io::Result<()>;

    /// Reads the answer to what is due, one with a status of 2xx or of [`Ask::reads`]. May be called again for the
    /// same answer.
    ///
    /// # Errors
    /// An answer that breaks the protocol, or that says no; those of the sink.
    fn read(&self, answer: &mut Answer<'_>, sink: &mut dyn Sink) -> Result<Read, SyncError>;

    /// Takes note of what has become of what was due.
    fn adopt(&mut self, event: Event<'_>);

    /// Takes note of the row that the next request carries, with [`Manners::one_by_one`].
    fn meet(&mut self, _entity: usize, _row: &ParcelRow<'_>) {}

    /// Takes the rows that answer a [question](Step::Query), or why it can't be answered.
    fn found(&mut self, _rows: Result<&[Map<String, Json>], &SyncError>) {}

    /// Takes how far each operation of a [branch](Step::Branch) has read.
    fn branched(&mut self, _places: &[Option<Place>]) {}

    /// Takes note of it that an operation is [over](Step::Over).
    fn ended(&mut self, _operation: usize) {}
}
