//! Operations: begun by a call, ended by a [`super::result`].

use super::clock::now;
use super::owner::{OwnerDescription, OwnerId, text};
use super::recovery::Judged;
use crate::store::{Database, Error, Result, Statement, Value, ValueRef};

/// One entity of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationSpec {
    pub entity: String,
    pub function_id: Option<String>,
    /// Canonical JSON, see [`super::canonical`].
    pub parameters: String,
}

/// How the answer of a call is shaped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// Entity by entity.
    #[default]
    Entities,
    /// As the sum of an operation.
    Operation,
}

/// One call that syncs entities, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct EntitiesCall {
    /// The attached file it acts on.
    pub schema: String,
    /// None: work that no scope follows.
    pub instance_id: Option<String>,
    pub provider: String,
    /// No two are equal.
    pub operations: Vec<OperationSpec>,
    pub form: Form,
    /// Nobody called for it: it is due by schedule.
    pub automatic: bool,
    /// Settings of the call, without `schema`.
    pub options: serde_json::Map<String, serde_json::Value>,
}

impl EntitiesCall {
    /// A call about whole entities that no scope follows.
    pub fn of(
        schema: &str,
        provider: &str,
        entities: Vec<String>,
        options: serde_json::Map<String, serde_json::Value>,
    ) -> Self {
        let operation = |entity| OperationSpec {
            entity,
            function_id: None,
            parameters: "{}".into(),
        };
        Self {
            schema: schema.to_owned(),
            instance_id: None,
            provider: provider.to_owned(),
            operations: entities.into_iter().map(operation).collect(),
            form: Form::default(),
            automatic: false,
            options,
        }
    }
}

/// An operation that a call has opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenOperation {
    /// Its row in `_syncOperation`.
    pub id: i64,
    pub status_id: i64,
    pub entity: String,
    pub function_id: Option<String>,
}

/// Opens the operations of a call. An instance already in flight keeps its open operations, unless
/// their status row was deleted; otherwise the call replaces what the instance ran before.
///
/// `runs`: whoever calls ends just these operations, by their ids. Then calls without an instance have operations of their
/// own, for one of them may wait until the other has ended; else they share what is open.
///
/// # Errors
/// SQLite's.
pub fn begin(
    database: &Database,
    owner: OwnerId,
    call: &EntitiesCall,
    runs: bool,
) -> Result<Vec<OpenOperation>> {
    let at = now();
    let instance = text(call.instance_id.as_deref());
    if let Some(instance_id) = &call.instance_id {
        run_instance(database, instance_id, &call.provider)?;
    }
    let mut writers = Writers::new(database);
    let settings = kept_settings(call);
    let mut opened = Vec::with_capacity(call.operations.len());
    for (ordinal, operation) in call.operations.iter().enumerate() {
        let (status_id, exists) = status_row(database, &mut writers, call, operation)?;
        let running = Running {
            instance,
            alone: runs && call.instance_id.is_none(),
            status_id,
            ordinal: ordinal as i64,
            at,
            owner,
            settings: text(settings.as_deref()),
        };
        // The operation comes first: the trigger of the row then finds it open and leaves it alone.
        let id = open_operation(database, &mut writers, &running, operation)?;
        if exists {
            writers.reopen_status.run(&[status_id.into(), at.into()])?;
        } else {
            writers.insert_status.run(&[
                status_id.into(),
                (&call.provider).into(),
                (&operation.entity).into(),
                text(operation.function_id.as_deref()),
                at.into(),
            ])?;
        }
        opened.push(OpenOperation {
            id,
            status_id,
            entity: operation.entity.clone(),
            function_id: operation.function_id.clone(),
        });
    }
    database.execute(
        "UPDATE main._syncInstance SET hold = 0, revision = revision + 1 WHERE instanceId IS ?1",
        &[instance],
    )?;
    Ok(opened)
}

/// What `sync_apply` must know of a call, as JSON; none when it is the default.
fn kept_settings(call: &EntitiesCall) -> Option<String> {
    let mut settings = call.options.clone();
    settings.remove("background");
    (!settings.is_empty()).then(|| serde_json::Value::Object(settings).to_string())
}

/// Holds the instance, begins a new run unless one is in flight, and drops what the call replaces.
fn run_instance(database: &Database, instance: &str, provider: &str) -> Result<()> {
    database.execute(
        "INSERT INTO main._syncInstance (instanceId) SELECT ?1 \
         WHERE NOT EXISTS (SELECT 1 FROM main._syncInstance WHERE instanceId = ?1)",
        &[instance.into()],
    )?;
    database.execute(
        "UPDATE main._syncInstance SET hold = 1, provider = ?2, run = run + (state <> 'syncing') \
         WHERE instanceId = ?1",
        &[instance.into(), provider.into()],
    )?;
    database.execute(
        "DELETE FROM main._syncOperation WHERE instanceId = ?1 AND (state <> 'syncing' \
         OR NOT EXISTS (SELECT 1 FROM main._syncStatus WHERE id = statusId))",
        &[instance.into()],
    )?;
    Ok(())
}

/// The status id of an operation's key, and whether the row exists. A new id is greater than any
/// ever used, also after deletions.
fn status_row(
    database: &Database,
    writers: &mut Writers<'_>,
    call: &EntitiesCall,
    operation: &OperationSpec,
) -> Result<(i64, bool)> {
    let instance = text(call.instance_id.as_deref());
    let found = database.query_value(
        "SELECT statusId FROM main._syncOperationKey WHERE provider = ?1 AND entity = ?2 \
         AND coalesce(functionId, '') = coalesce(?3, '') AND parameters = ?4",
        &[
            (&call.provider).into(),
            (&operation.entity).into(),
            text(operation.function_id.as_deref()),
            (&operation.parameters).into(),
        ],
    )?;
    if let Value::Integer(id) = found {
        writers.claim_key.run(&[id.into(), instance])?;
        return Ok((id, true));
    }
    let next = database.query_value(
        "SELECT 1 + max( \
           coalesce((SELECT seq FROM main.sqlite_sequence WHERE name = '_syncStatus'), 0), \
           coalesce((SELECT max(id) FROM main._syncStatus), 0))",
        &[],
    )?;
    let id = next
        .as_i64()
        .ok_or_else(|| Error::Corrupt("no id is left for a new row of _syncStatus".into()))?;
    writers.insert_key.run(&[
        id.into(),
        (&call.provider).into(),
        (&operation.entity).into(),
        text(operation.function_id.as_deref()),
        (&operation.parameters).into(),
        instance,
    ])?;
    Ok((id, false))
}

/// An operation about to be opened.
struct Running<'a> {
    instance: ValueRef<'a>,
    /// Nobody else is to have the same one.
    alone: bool,
    status_id: i64,
    ordinal: i64,
    at: i64,
    owner: OwnerId,
    settings: ValueRef<'a>,
}

fn open_operation(
    database: &Database,
    writers: &mut Writers<'_>,
    running: &Running<'_>,
    operation: &OperationSpec,
) -> Result<i64> {
    let known = database.query_value(
        "SELECT id FROM main._syncOperation \
         WHERE instanceId IS ?1 AND statusId = ?2 AND NOT (?3 AND state = 'syncing')",
        &[
            running.instance,
            running.status_id.into(),
            running.alone.into(),
        ],
    )?;
    if let Value::Integer(id) = known {
        let values = [
            id.into(),
            running.ordinal.into(),
            running.at.into(),
            running.owner.into(),
            running.settings,
        ];
        writers.reopen_operation.run(&values)?;
        return Ok(id);
    }
    writers.insert_operation.run(&[
        running.instance,
        running.status_id.into(),
        running.ordinal.into(),
        (&operation.entity).into(),
        text(operation.function_id.as_deref()),
        running.at.into(),
        running.owner.into(),
        running.settings,
    ])?;
    Ok(database.connection().last_insert_rowid())
}

/// The statements that a call runs for each operation. Preparing one compiles all triggers behind
/// it, which takes longer than running it; so each is prepared once, and only when needed.
struct Writers<'a> {
    claim_key: Writer<'a>,
    insert_key: Writer<'a>,
    reopen_operation: Writer<'a>,
    insert_operation: Writer<'a>,
    reopen_status: Writer<'a>,
    insert_status: Writer<'a>,
}

impl<'a> Writers<'a> {
    fn new(database: &'a Database) -> Self {
        let writer = |sql| Writer {
            database,
            sql,
            statement: None,
        };
        Self {
            claim_key: writer(
                "UPDATE main._syncOperationKey SET lastInstanceId = ?2 WHERE statusId = ?1",
            ),
            insert_key: writer(
                "INSERT INTO main._syncOperationKey \
                 (statusId, provider, entity, functionId, parameters, lastInstanceId) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            ),
            reopen_operation: writer(
                "UPDATE main._syncOperation SET state = 'syncing', error = NULL, ordinal = ?2, \
                 timestamp = ?3, ownerId = ?4, settings = ?5 WHERE id = ?1",
            ),
            insert_operation: writer(
                "INSERT INTO main._syncOperation \
                 (instanceId, statusId, ordinal, entity, functionId, state, timestamp, ownerId, \
                 settings) VALUES (?1, ?2, ?3, ?4, ?5, 'syncing', ?6, ?7, ?8)",
            ),
            reopen_status: writer(
                "UPDATE main._syncStatus SET state = 'syncing', error = NULL, timestamp = ?2 \
                 WHERE id = ?1",
            ),
            insert_status: writer(
                "INSERT INTO main._syncStatus (id, provider, entity, functionId, state, timestamp) \
                 VALUES (?1, ?2, ?3, ?4, 'syncing', ?5)",
            ),
        }
    }
}

/// A statement prepared when first run.
struct Writer<'a> {
    database: &'a Database,
    sql: &'static str,
    statement: Option<Statement>,
}

impl Writer<'_> {
    fn run(&mut self, values: &[ValueRef<'_>]) -> Result<()> {
        let statement = match &mut self.statement {
            Some(statement) => statement,
            none => none.insert(self.database.prepare(self.sql)?),
        };
        statement.run(values)?;
        Ok(())
    }
}

/// State of an instance; none when it never ran.
///
/// # Errors
/// SQLite's.
pub fn instance_state(database: &Database, instance: &str) -> Result<Option<String>> {
    database.query_row(
        "SELECT state FROM main._syncInstance WHERE instanceId = ?1",
        &[instance.into()],
        |row| Ok(row.text(0)),
    )
}

/// An operation that is open, as [`open_work`] finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenWork {
    /// None when neither the status row nor an instance says.
    pub provider: Option<String>,
    pub entity: String,
    /// JSON; none: the default.
    pub settings: Option<String>,
    /// Kind of the provider; none when the status row or the provider is gone.
    pub kind: Option<String>,
}

/// What is open under a status row; none when nothing is. Of several calls, the latest.
///
/// # Errors
/// SQLite's.
pub fn open_work(database: &Database, status_id: i64) -> Result<Option<OpenWork>> {
    database.query_row(
        "SELECT operation.entity, operation.settings, provider.kind, \
           coalesce(status.provider, instance.provider) \
         FROM main._syncOperation AS operation \
         LEFT JOIN main._syncInstance AS instance ON instance.instanceId = operation.instanceId \
         LEFT JOIN main._syncStatus AS status ON status.id = operation.statusId \
         LEFT JOIN main._syncProvider AS provider ON provider.id = status.provider \
         WHERE operation.statusId = ?1 AND operation.state = 'syncing' \
         ORDER BY operation.timestamp DESC, operation.id DESC LIMIT 1",
        &[status_id.into()],
        |row| {
            Ok(OpenWork {
                entity: row.text(0),
                settings: row.optional_text(1),
                kind: row.optional_text(2),
                provider: row.optional_text(3),
            })
        },
    )
}

/// Whether an operation is still open. A running sync asks, to notice an interruption.
///
/// # Errors
/// SQLite's.
pub fn is_open(database: &Database, operation: &OpenOperation) -> Result<bool> {
    let found = database.query_value(
        "SELECT 1 FROM main._syncOperation WHERE id = ?1 AND statusId = ?2 AND state = 'syncing'",
        &[operation.id.into(), operation.status_id.into()],
    )?;
    Ok(found != Value::Null)
}

/// Whether an operation is still open and belongs to `owner`.
///
/// # Errors
/// SQLite's.
pub fn is_open_for(database: &Database, status_id: i64, owner: OwnerId) -> Result<bool> {
    let found = database.query_value(
        "SELECT 1 FROM main._syncOperation \
         WHERE statusId = ?1 AND state = 'syncing' AND ownerId = ?2",
        &[status_id.into(), owner.into()],
    )?;
    Ok(found != Value::Null)
}

/// Who is running an instance right now, if a live process is.
///
/// # Errors
/// SQLite's.
pub fn live_owner_of(database: &Database, instance: &str) -> Result<Option<OwnerDescription>> {
    let open = database.query_all(
        "SELECT operation.ownerId, operation.timestamp, owner.processId, instance.startedAt \
         FROM main._syncOperation AS operation \
         JOIN main._syncInstance AS instance ON instance.instanceId = operation.instanceId \
         LEFT JOIN main._syncOwner AS owner ON owner.id = operation.ownerId \
         WHERE operation.instanceId = ?1 AND operation.state = 'syncing' ORDER BY operation.id",
        &[instance.into()],
        |row| {
            Ok((
                row.column(0).as_i64(),
                row.integer(1),
                OwnerDescription {
                    process_id: row.column(2).as_i64(),
                    since: row.integer(3),
                },
            ))
        },
    )?;
    if open.is_empty() {
        return Ok(None);
    }
    let judged = Judged::new(database)?;
    Ok(open
        .into_iter()
        .find(|(owner, timestamp, _)| judged.is_live(*owner, *timestamp))
        .map(|(_, _, description)| description))
}
