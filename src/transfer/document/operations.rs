//! The operations on a response, in the order they are written in.

use serde_json::{Map, Value as Json};

use crate::store::{Error, Result, Statement, Value, ValueRef};
use crate::transfer::declared;
use crate::transfer::meant::sql_value;

use super::entity_table::{self, EntityTable};
use super::find_replace::find_replace;
use super::outcome::{Failure, Job, Outcome, Page};
use super::records::{Record, Records};
use super::scope::Scope;
use super::settings::{ExecuteSql, FindReplace, Operation, Settings, TableOperation, When};

const HOW: &str = "call sync_entities with these operations on this connection";

struct Runner<'a> {
    job: &'a Job<'a>,
    settings: &'a Settings,
    page: &'a Page<'a>,
    outcome: Outcome,
}

/// Runs all operations on one page.
///
/// # Errors
/// Whatever the first that fails says.
pub fn run_operations(
    job: &Job<'_>,
    settings: &Settings,
    operations: &[Operation],
    page: &Page<'_>,
) -> Result<Outcome, Failure> {
    let mut runner = Runner {
        job,
        settings,
        page,
        outcome: Outcome::default(),
    };
    for operation in operations {
        match operation {
            Operation::DeleteInsert(table) => runner.delete_insert(table)?,
            Operation::UpsertReplace(table) => {
                runner.each(table, |table, record| table.replace(record))?;
            }
            Operation::UpsertMerge(table) => {
                runner.each(table, |table, record| table.merge(record))?;
            }
            Operation::FindReplace(find) => runner.find_replace(find)?,
            Operation::ExecuteSql(execute) => runner.execute_sql(execute)?,
        }
    }
    Ok(runner.outcome)
}

impl Runner<'_> {
    fn delete_insert(&mut self, operation: &TableOperation) -> Result<(), Failure> {
        let number = self.page.number;
        let meant = operation.meant(&self.settings.meant.keep_temp_ids);
        let clear = |table: &mut EntityTable<'_>, records: &Records<'_>| {
            table.clear(&Scope::new(&meant, records.ids()?))
        };
        self.write(operation, |table, records| {
            if number == 1 {
                clear(table, records)?;
            }
            records.iter().try_for_each(|record| table.put(&record?))
        })
    }

    /// Does something with each record.
    fn each(
        &mut self,
        operation: &TableOperation,
        write: impl Fn(&mut EntityTable<'_>, &Record<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.write(operation, |table, records| {
            records.iter().try_for_each(|record| write(table, &record?))
        })
    }

    /// Writes the records of an operation, if it is due, to its table.
    fn write(
        &mut self,
        operation: &TableOperation,
        body: impl FnOnce(&mut EntityTable<'_>, &Records<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if !self.is_due(operation.when.as_ref())? {
            return Ok(());
        }
        let text = self.records(operation)?;
        let (key, stamp) = (
            operation.primary_key.as_ref(),
            operation.time_stamp.as_deref(),
        );
        let records = Records::of_response(&text)?.keyed(key, stamp);
        let name = operation.table.as_deref().unwrap_or(self.job.entity);
        let outcome = entity_table::write(self.job, name, |table| body(table, &records))?;
        self.outcome.add(outcome);
        Ok(())
    }

    fn find_replace(&mut self, operation: &FindReplace) -> Result<(), Failure> {
        if !self.is_due(operation.when.as_ref())? {
            return Ok(());
        }
        let find = self.resolved(&Json::String(operation.find.clone()), "find")?;
        let replace = self.resolved(&operation.replace, "replace")?;
        let Value::Text(find) = find else {
            return Err(Failure::response("find-replace: find is not text"));
        };
        if find.is_empty() || replace == Value::Null || replace == Value::Text(String::new()) {
            return Err(Failure::response(
                "find-replace: find or replace is empty; nothing was applied",
            ));
        }
        let mut names: Vec<&str> = operation.tables.iter().map(String::as_str).collect();
        names.extend(operation.table.as_deref());
        if names.is_empty() {
            names.push(self.job.entity);
        }
        for name in names {
            let outcome = find_replace(self.job, name, &find, &replace)?;
            self.outcome.add(outcome);
        }
        Ok(())
    }

    /// The program's own SQL. What it writes to a tracked table is captured, as any program's writes are.
    fn execute_sql(&mut self, operation: &ExecuteSql) -> Result<(), Failure> {
        if !self.is_due(operation.when.as_ref())? {
            return Ok(());
        }
        for sql in operation.texts() {
            let mut statement = self.prepare(sql, &operation.parameters)?;
            while statement.step()? {}
        }
        Ok(())
    }

    fn is_due(&self, when: Option<&When>) -> Result<bool, Failure> {
        match when {
            None => Ok(true),
            Some(When::Switch(due)) => Ok(*due),
            Some(When::Sql(sql)) => {
                declared::require(self.job.session, sql, HOW)?;
                let mut statement = self.bound(&format!("SELECT ({sql}) IS TRUE"), &Map::new())?;
                statement.step()?;
                Ok(statement.integer(0) == 1)
            }
        }
    }

    /// The records as JSON text.
    fn records(&self, operation: &TableOperation) -> Result<String, Failure> {
        match &operation.records {
            None | Some(Json::Null) => Ok(self.page.response.to_owned()),
            Some(Json::String(text)) if text.starts_with('$') => self.part(text),
            Some(Json::String(sql)) => {
                let mut statement = self.prepare(sql, &Map::new())?;
                let mut texts = Vec::new();
                while statement.step()? {
                    texts.push(statement.text(0));
                }
                Ok(format!("[{}]", texts.join(",")))
            }
            Some(records) => Ok(records.to_string()),
        }
    }

    /// The JSON at a path of the response.
    fn part(&self, path: &str) -> Result<String, Failure> {
        let part = self.job.database.query_value(
            "SELECT CASE WHEN json_valid(?1) THEN ?1 -> ?2 END",
            &[self.page.response.into(), path.into()],
        )?;
        match part {
            Value::Text(part) => Ok(part),
            _ => Err(Failure::response(format!(
                "the response has nothing at {path}; nothing was applied"
            ))),
        }
    }

    /// A literal, or the plain value at a path of the response.
    fn resolved(&self, value: &Json, name: &str) -> Result<Value, Failure> {
        let Some(path) = value.as_str().filter(|text| text.starts_with("$.")) else {
            return Ok(sql_value(value));
        };
        let part: Json = serde_json::from_str(&self.part(path)?).unwrap_or_default();
        if part.is_array() || part.is_object() {
            return Err(Failure::response(format!(
                "{name}: the response has no plain value at {path}; nothing was applied"
            )));
        }
        Ok(sql_value(&part))
    }

    fn prepare(&self, sql: &str, parameters: &Map<String, Json>) -> Result<Statement, Failure> {
        declared::require(self.job.session, sql, HOW)?;
        self.bound(sql, parameters)
    }

    /// `:response`, `:entity` and `:page` are there for every SQL text.
    fn bound(&self, sql: &str, parameters: &Map<String, Json>) -> Result<Statement, Failure> {
        let mut statement = self.job.database.connection().prepare(sql)?;
        for (place, name) in statement.parameters().into_iter().enumerate() {
            let bare = name.trim_start_matches([':', '@', '$']);
            let given;
            let value = match (parameters.get(bare), bare) {
                (Some(value), _) => {
                    given = sql_value(value);
                    given.borrow()
                }
                (None, "response") => self.page.response.into(),
                (None, "entity") => self.job.entity.into(),
                (None, "page") => ValueRef::Integer(self.page.number),
                _ => {
                    let problem = match name.as_str() {
                        "" => "a parameter without a name can't be given a value; call it :name"
                            .to_owned(),
                        _ => format!("parameter {name} has no value; give it in parameters"),
                    };
                    return Err(Error::argument(problem).into());
                }
            };
            statement.bind(place + 1, value)?;
        }
        Ok(statement)
    }
}
