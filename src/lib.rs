//! syncscope: keep a SQLite database's tables in sync with a live backend, and watch the progress,
//! all in SQL.
//!
//! This file is the table of contents: every SQL function and virtual table, one entry each. The same
//! list feeds `sync_help`, the reference and the test that compares both with what loading adds.
//!
//! The rooms, from top to bottom; a file imports only from rooms below its own:
//!
//! | room | what lives there |
//! |---|---|
//! | `functions`, `tables` | the SQL face: arguments in, answers out |
//! | `worker` | runs in the background |
//! | `takeover` | another client's file, carried in |
//! | `runs` | one run: begin, go on, take answers, finish; its record, report and log |
//! | `transfer` | moving data: apply, freeze, settle; conflicts; document tables |
//! | `providers` | protocols as state machines, without sockets or SQL |
//! | `hub` | another file in the place of a server |
//! | `coordination`, `capture` | scopes, statuses, ownership; change tracking |
//! | `http` | the one place with sockets |
//! | `store` | safe handles over the host's SQLite |
//! | `ground` | the fault, hashing, masking: what knows nothing of the others |

mod capture;
mod coordination;
mod functions;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
#[doc(hidden)]
pub mod ground;
#[doc(hidden)]
pub mod http;
mod hub;
#[doc(hidden)]
pub mod providers;
mod runs;
mod store;
mod tables;
mod takeover;
mod transfer;
mod worker;

use std::ffi::{c_char, c_int};

use functions as f;
use store::entry::{self, Contents};
use store::{Call, Effect, Function, Result, Table, Value, sqlite3, sqlite3_api_routines};

type Body = fn(&Call<'_>) -> Result<Value>;

/// A function that reads or changes tables, or reaches the network.
const fn direct(
    name: &'static str,
    count: (u8, u8),
    body: Body,
    arguments: &'static str,
    summary: &'static str,
    example: &'static str,
) -> Function {
    Function {
        name,
        count,
        effect: Effect::Direct,
        body,
        arguments,
        options: &[],
        object: None,
        summary,
        example,
    }
}

#[rustfmt::skip]
const FUNCTIONS: &[Function] = &[
    // Setting up
    direct("sync_init", (0, 1), f::init::init, "[schema = 'main']", "creates the tables of syncscope, if they are missing", "SELECT sync_init();"),
    direct("sync_provider", (2, 3), f::provider::provider, "id, config, [options = '{}']", "declares or changes a backend", "SELECT sync_provider('local', '{\"kind\":\"host\"}');").taking(f::provider::KEYS),
    direct("sync_secret", (2, 3), f::provider::secret, "name, value, [origin]", "keeps a token in this connection's memory, for one origin only; value NULL forgets it", "SELECT sync_secret('airline', 'token', 'https://api.example.com');"),
    direct("sync_track", (1, 2), f::track::track, "table, [options = '{}']", "starts capturing a table's changes; existing rows become pending unless \"existing\":\"skip\"", "SELECT sync_track('planes');").taking(f::track::TRACK),
    direct("sync_untrack", (1, 2), f::track::untrack, "table, [options = '{}']", "stops capturing a table; refused while changes are pending, unless \"discard\":true", "SELECT sync_untrack('planes', '{\"discard\":true}');").taking(f::track::UNTRACK),
    direct("sync_capture_existing", (1, 2), f::track::capture_existing, "table, [options = '{}']", "makes every row of a tracked table pending, unless it already is", "SELECT sync_capture_existing('planes');").taking(f::track::PLACE),
    direct("sync_capture_off", (0, 2), f::track::capture_off, "[table], [options = '{}']", "takes the capture triggers away for a migration that changes tables itself, of one table or of all; what waits stays", "SELECT sync_capture_off('planes');").taking(f::track::PLACE),
    direct("sync_capture_on", (0, 2), f::track::capture_on, "[table], [options = '{}']", "captures again after sync_capture_off; what waits is matched to the columns by name", "SELECT sync_capture_on('planes');").taking(f::track::PLACE),
    direct("sync_alter", (2, 3), f::track::alter, "table, sql, [options = '{}']", "runs one ALTER TABLE statement on a tracked table; DROP COLUMN needs it, others may be run directly", "SELECT sync_alter('planes', 'ALTER TABLE planes DROP COLUMN speed');").taking(f::track::PLACE),
    direct("sync_resolver", (2, 3), f::resolver::resolver, "entity, policy, [argument]", "who wins when a row was changed both here and by the server: columns, serverWins, clientWins, lastWriteWins, sql2, sql4; entity '*' is for all others", "SELECT sync_resolver('planes', 'lastWriteWins', 'updated_at');"),
    direct("sync_function", (3, 4), f::function::function, "provider, id, definition, [schema = 'main']", "declares how a provider of kind rest is asked for rows; NULL removes the function", "SELECT sync_function('shop', 'list-books', '{\"path\":\"/books\",\"records\":\"$.items\"}');").taking(f::function::KEYS),
    direct("sync_try_function", (2, 4), f::function::try_function, "provider, id, [parameters = '{}'], [options = '{}']", "sends the first request of a function, and shows it, the rows as they would be kept and what comes next; keeps nothing", "SELECT sync_try_function('shop', 'list-books');").taking(f::function::TRY),
    direct("sync_import_openapi", (2, 3), f::import::openapi, "provider, document, [options = '{}']", "makes functions of what an OpenAPI 3 document describes, and says what it could not make", "SELECT sync_import_openapi('shop', '{\"openapi\":\"3.1.0\",\"paths\":{}}');").taking(f::import::KEYS),
    direct("sync_import_postman", (2, 3), f::import::postman, "provider, document, [options = '{}']", "makes functions of the requests in a Postman collection v2.1, and says what it could not make", "SELECT sync_import_postman('shop', '{\"info\":{\"schema\":\"https://schema.getpostman.com/json/collection/v2.1.0/\"},\"item\":[]}');").taking(f::import::KEYS),
    direct("sync_takeover", (1, 2), f::takeover::takeover, "provider, [options = '{}']", "takes over the tables of a WatermelonDB app, with its pending changes and its cursor", "SELECT sync_takeover('airline-api');").taking(f::takeover::KEYS),
    // Scopes and runs
    direct("sync_start_scope", (1, 2), f::start_scope::start_scope, "id, instance_ids, or one object", "starts or restarts a scope over some instances", "SELECT sync_start_scope('startup', '[\"reference-data\",\"flights\"]');").or_object(&f::start_scope::SHAPE),
    direct("sync_entities", (1, 4), f::entities::entities, "instance_id, provider, entities, [options = '{}'], or one object", "syncs some entities of a provider, up and down", "SELECT sync_entities('reference-data', 'local', '[\"planes\"]');").taking(f::entities::KEYS).or_object(&f::entities::SHAPE),
    direct("sync_upload_once", (1, 2), f::operations::upload_once, "provider, [options = '{}']", "sends what is pending to a provider", "SELECT sync_upload_once('airline-api');").taking(f::operations::UPLOAD),
    direct("sync_download_once", (1, 2), f::operations::download_once, "provider, [options = '{}']", "brings remote changes of a provider here: one page, where it has pages", "SELECT sync_download_once('airline-api');").taking(f::operations::PAGE),
    direct("sync_download_all", (1, 2), f::operations::download_all, "provider, [options = '{}']", "brings all remote changes of a provider here", "SELECT sync_download_all('airline-api');").taking(f::operations::ALL_PAGES),
    direct("sync_hydrate", (1, 2), f::operations::download_all, "provider, [options = '{}']", "sync_download_all under another name, as it is called in SQLiteNow", "SELECT sync_hydrate('airline-api');").taking(f::operations::ALL_PAGES),
    direct("sync_once", (1, 2), f::operations::once, "provider, [options = '{}']", "sends what is pending to a provider and brings its changes here", "SELECT sync_once('airline-api') ->> 'downloaded';").taking(f::operations::BOTH),
    direct("sync_pause", (1, 3), f::pause::pause, "what, [provider], [options = '{}']", "pauses uploads, downloads or all of a provider or of every one; kept in the file, and capture goes on", "SELECT sync_pause('uploads', 'airline-api');").taking(f::pause::PAUSE),
    direct("sync_resume", (1, 3), f::pause::resume, "what, [provider], [options = '{}']", "lets what sync_pause has paused go on", "SELECT sync_resume('all');").taking(f::pause::RESUME),
    direct("sync_auto", (1, 2), f::auto::auto, "provider, [options = '{}']", "schedules uploads and downloads, for sync_worker_start or sync_run_due; options NULL ends that", "SELECT sync_auto('airline-api', '{\"every\":\"30s\",\"downloadEvery\":\"2m\"}');").taking(f::auto::KEYS),
    direct("sync_worker_start", (0, 1), f::auto::start, "[options = '{}']", "starts a thread that does what is due by schedule, until the connection closes", "SELECT sync_worker_start();").taking(f::auto::PLACE),
    direct("sync_worker_stop", (0, 0), f::auto::stop, "", "ends that thread, and waits for it", "SELECT sync_worker_stop();"),
    direct("sync_due", (0, 1), f::auto::due, "[schema = 'main']", "milliseconds until something is due by schedule, for a program with a timer of its own", "SELECT sync_due();"),
    direct("sync_run_due", (0, 1), f::auto::run_due, "[schema = 'main']", "does what is due by schedule, within the call", "SELECT sync_run_due();"),
    direct("sync_wait", (1, 2), f::wait::wait, "run, [timeoutMs = 3600000]", "waits until a run has ended, and returns its answer", "SELECT sync_wait(1, 5000);"),
    direct("sync_wait_current", (1, 2), f::wait::wait_current, "provider, [timeoutMs = 3600000]", "syncs, or waits for whoever does, until all that was pending is there and all that was there is here; or says what is missing", "SELECT sync_wait_current('airline-api', 5000);"),
    direct("sync_next_request", (0, 1), f::requests::next_request, "[run]", "the next request to send for a run with transport \"host\", or the run's answer once it is over", "SELECT sync_next_request();"),
    direct("sync_put_response", (2, 4), f::requests::put_response, "run, status, [headers], [body]", "reports the outcome of that request: status, headers as a JSON object, body; status NULL if no complete answer came", "SELECT sync_put_response(1, 200, '{}', '{\"changes\":{},\"timestamp\":1}');"),
    direct("sync_set_status", (2, 3), f::set_status::set_status, "status_id, state, [error]", "reports how an operation of a host provider ended", "SELECT sync_set_status(1, 'failed', 'HTTP 500');"),
    direct("sync_apply", (2, 3), f::apply::apply, "status_id, response, [page]", "applies a response that the program fetched for an operation of a host provider", "SELECT sync_apply(1, '[{\"id\":\"a\",\"title\":\"Emma\"}]');"),
    direct("sync_has_pending", (0, 1), f::questions::has_pending, "[provider]", "1 when a local change waits to be sent, in any table or in those synced with a provider", "SELECT sync_has_pending();"),
    direct("sync_is_stale", (2, 2), f::questions::is_stale, "provider, max_age_ms", "1 when a provider's last successful sync is older than that, or there was none", "SELECT sync_is_stale('airline-api', 300000);"),
    direct("sync_retry", (1, 2), f::rejected::retry, "rejected_id, or table and key", "sends a row that the backend has refused again with the next sync", "SELECT sync_retry('planes', 'a');"),
    direct("sync_discard", (1, 3), f::rejected::discard, "rejected_id, or table and key, [options = '{}']", "gives up what waits to be sent of a row, or what is held of it; \"revert\":true takes the backend's row back", "SELECT sync_discard('planes', 'a', '{\"revert\":true}');").taking(f::rejected::KEYS),
    direct("sync_uninstall", (0, 1), f::uninstall::uninstall, "[options = '{}']", "takes syncscope out of the file: its triggers and tables go, yours stay as they are; refused while changes are not settled, unless \"force\":true", "SELECT sync_uninstall();").taking(f::uninstall::KEYS),
    direct("sync_detach", (1, 2), f::detach::detach, "provider, [options = '{}']", "leaves a provider, as for a log-out: uploads, then forgets all that is known of it; \"wipe\":true deletes the rows too", "SELECT sync_detach('mara', '{\"wipe\":true}');").taking(f::detach::KEYS),
    direct("sync_delete_scope", (1, 1), f::delete::delete_scope, "id, or one object", "deletes a scope; its work and statuses stay", "SELECT sync_delete_scope('startup');").or_object(&f::delete::SCOPE),
    direct("sync_delete_status", (1, 1), f::delete::delete_status, "id, or one object", "deletes a status row", "SELECT sync_delete_status(1);").or_object(&f::delete::STATUS),
    direct("sync_interrupt", (0, 2), f::interrupt::interrupt, "[scope_id], [reason = 'unspecified'], or one object", "interrupts a scope, or all work of this process", "SELECT sync_interrupt('startup', 'background');").or_object(&f::interrupt::SHAPE),
    direct("sync_cancel", (1, 2), f::cancel::cancel, "run, [schema = 'main']", "ends one run, wherever it runs", "SELECT sync_cancel(1);"),
    direct("sync_check", (1, 2), f::check::check, "provider, [options = '{}']", "compares the tables with everything the server has, and names missing, excess and differing rows; changes nothing", "SELECT sync_check('airline-api', '{\"entities\":[\"planes\"]}');").taking(f::check::KEYS),
    direct("sync_recover", (0, 1), f::recover::recover, "[schema = 'main']", "settles the work that dead owners left", "SELECT sync_recover();"),
    direct("sync_heartbeat", (0, 1), f::init::heartbeat, "[schema = 'main']", "renews this connection's lease", "SELECT sync_heartbeat();"),
    // About
    Function { name: "sync_version", count: (0, 0), effect: Effect::Pure, body: f::version::version, arguments: "", options: &[], object: None, summary: "the version of syncscope", example: "SELECT sync_version();" },
    direct("sync_debug", (0, 0), f::version::debug, "", "what to include in a bug report, as JSON", "SELECT sync_debug();"),
];

const TABLES: &[Table] = &[
    tables::scope::TABLE,
    tables::scope_member::TABLE,
    tables::status::TABLE,
    tables::pending::TABLE,
    tables::conflict::TABLE,
    tables::held::TABLE,
    tables::aside::TABLE,
    tables::log::TABLE,
    tables::progress::TABLE,
    tables::peer::TABLE,
    tables::functions::TABLE,
    tables::cursor::TABLE,
    tables::worker::TABLE,
    tables::help::TABLE,
    tables::help_option::TABLE,
];

static CONTENTS: Contents = Contents {
    functions: FUNCTIONS,
    tables: TABLES,
    opened,
    loaded,
};

fn opened(session: &store::Session) {
    coordination::look_first(session, capture::drift::look);
    session.on_close(|session, _| worker::stop(session));
    session.on_close(|_, _| http::close_idle());
}

fn loaded(session: &std::sync::Arc<store::Session>) {
    coordination::recover_at_load(session);
}

/// Entry point of the loadable file. SQLite finds it by the file's name.
///
/// Returns 256: the library stays in memory for the life of the process.
///
/// # Safety
/// Called by SQLite's loader.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sqlite3_syncscope_init(
    db: *mut sqlite3,
    message: *mut *mut c_char,
    routines: *mut sqlite3_api_routines,
) -> c_int {
    const OK_LOAD_PERMANENTLY: c_int = 256;
    // A loadable file has its own standard library: its panics, which all become SQL errors,
    // must not print to the host's standard error.
    static QUIET: std::sync::Once = std::sync::Once::new();
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    // SAFETY: SQLite's own pointers are passed on.
    unsafe { entry::start(db, message, routines, OK_LOAD_PERMANENTLY, &CONTENTS) }
}

/// Entry point for programs that link the library and pass it to `sqlite3_auto_extension`, which
/// takes anything but 0 for a failure.
///
/// # Safety
/// Called by SQLite.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sqlite3_syncscope_static_init(
    db: *mut sqlite3,
    message: *mut *mut c_char,
    routines: *mut sqlite3_api_routines,
) -> c_int {
    // SAFETY: SQLite's own pointers are passed on.
    unsafe { entry::start(db, message, routines, 0, &CONTENTS) }
}
