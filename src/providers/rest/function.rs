//! A function: how rows are asked for, as `sync_function` takes it.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value as Json};

use super::given::{object, path_at, text_of};
use super::incremental::Incremental;
use super::keys::{FUNCTION, GUARD, PARAMETER, RULE, WRITES};
use super::mode::Mode;
use super::paging::Paging;
use super::parent::Parent;
use super::path::{Path, Step};
use super::template::{self, Values};
use crate::ground::{Class, SyncError, quoted};
use crate::providers::credential::refuse_credentials;
use crate::providers::kind::Expression;
use crate::providers::wire::ChangeKind;

/// One function, checked.
#[derive(Debug, Clone)]
pub struct Function {
    pub id: String,
    pub method: &'static str,
    pub path: String,
    pub query: Vec<(String, Json)>,
    pub headers: Vec<(String, String)>,
    pub body: Option<Json>,
    parameters: Vec<Parameter>,
    pub conditional: bool,
    /// Places and the values that they have in a good answer; none: the usual ones.
    pub success: Option<Vec<(Path, Json)>>,
    pub rules: Vec<Rule>,
    pub records: Path,
    pub keyed: Option<String>,
    pub format: Format,
    pub key: Vec<Path>,
    pub columns: Option<BTreeMap<String, Take>>,
    pub timestamp: Option<Path>,
    pub filter: Option<String>,
    pub paging: Paging,
    pub incremental: Option<Incremental>,
    pub deletes: Deletes,
    /// Most rows that one reading may remove, in percent; none: any number.
    pub most: Option<u64>,
    pub writes: Option<Writes>,
    pub mode: Mode,
    /// Whether there is anything to do at all, as an SQL expression over the parameters.
    pub when: Option<String>,
    pub parent: Option<Parent>,
    /// All pages are read before anything is applied, in one transaction.
    pub atomic: bool,
    /// Tells definitions apart.
    pub mark: u64,
}

/// Which functions send changes of the rows that a function reads.
#[derive(Debug, Clone, Default)]
pub struct Writes {
    pub create: Option<String>,
    pub update: Option<String>,
    pub delete: Option<String>,
    /// The backend gives new rows ids of its own.
    pub mints: bool,
    /// The header that takes the key by which a request that came twice is known.
    pub idempotency: Option<String>,
    /// The function that reads one row by its key, when the backend says that it has another state of it.
    pub read: Option<String>,
    /// The column that has the version of a row: whatever is made of two states of the row, theirs counts.
    pub version: Option<String>,
}

#[derive(Debug, Clone)]
struct Parameter {
    name: String,
    required: bool,
    default: Option<Json>,
    kind: Option<String>,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Auto,
    Json,
    Lines,
    Csv,
}

/// Where the value of a column comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Take {
    At(Path),
    /// The row as JSON.
    Whole,
    Always(Json),
    /// The value of a parameter.
    Parameter(String),
    /// A header of an answer about this row alone, in small letters.
    Header(String),
    Sql(String),
}

/// How rows are known that are gone.
#[derive(Debug, Clone, PartialEq)]
pub enum Deletes {
    No,
    /// What a whole reading did not name.
    Sweep,
    /// That, with a whole reading after so many milliseconds.
    SweepEvery(i64),
    /// What another function, which lists the keys there are, does not name.
    Ids(String),
    /// Rows with a mark: where it is, and what it is; none: anything but false, null and nothing.
    Tombstone(Path, Option<Json>),
}

/// What an answer that says no means.
#[derive(Debug, Clone)]
pub struct Rule {
    pub status: Option<u16>,
    pub path: Option<Path>,
    pub is: Option<Json>,
    pub text: Option<String>,
    pub class: Option<Class>,
    pub retryable: Option<bool>,
    pub message: Option<String>,
    pub expired: bool,
    pub ignore: bool,
}

impl Function {
    /// Reads a definition whose keys were checked one by one.
    ///
    /// # Errors
    /// `<key> <problem>; <what to do>`.
    pub fn read(id: &str, given: &Map<String, Json>) -> Result<Self, String> {
        let text = |key: &str| text_of(given, FUNCTION, key);
        let method = text("method").unwrap_or_default().to_ascii_uppercase();
        let method = ["GET", "POST", "PUT", "PATCH", "DELETE"]
            .into_iter()
            .find(|known| *known == method)
            .unwrap_or("GET");
        let parameters = members(given, "parameters")
            .map(|(name, value)| Parameter::read(name, value))
            .collect::<Result<Vec<_>, _>>()?;
        let incremental = match given.get("incremental") {
            Some(incremental) => Some(Incremental::read(incremental)?),
            None => None,
        };
        let path = text("path").unwrap_or_default();
        if path.contains("://") {
            return Err(
                "path is an address of its own; write what comes behind the provider's url".into(),
            );
        }
        let mut hasher = DefaultHasher::new();
        Json::Object(given.clone()).to_string().hash(&mut hasher);
        let function = Self {
            mark: hasher.finish() >> 1,
            id: id.to_owned(),
            method,
            path,
            query: members(given, "query")
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            headers: members(given, "headers")
                .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect(),
            body: given.get("body").filter(|body| !body.is_null()).cloned(),
            parameters,
            conditional: given.get("conditional") != Some(&Json::Bool(false)),
            success: match given.get("success").and_then(Json::as_object) {
                Some(success) => Some(
                    success
                        .iter()
                        .map(|(path, value)| {
                            let path = Path::parse(path).map_err(|why| format!("success {why}"))?;
                            Ok((path, value.clone()))
                        })
                        .collect::<Result<_, String>>()?,
                ),
                None => None,
            },
            rules: given
                .get("errors")
                .and_then(Json::as_array)
                .into_iter()
                .flatten()
                .enumerate()
                .map(|(place, rule)| Rule::read(&format!("errors[{place}]."), rule))
                .collect::<Result<_, _>>()?,
            records: path_at("records", &text("records").unwrap_or_default())?,
            keyed: text("keyed"),
            format: match text("format").as_deref() {
                Some("json") => Format::Json,
                Some("ndjson") => Format::Lines,
                Some("csv") => Format::Csv,
                _ => Format::Auto,
            },
            key: read_key(given.get("key"))?,
            columns: match given.get("columns").and_then(Json::as_object) {
                Some(columns) => Some(
                    columns
                        .iter()
                        .map(|(column, take)| Ok((column.clone(), Take::read(column, take)?)))
                        .collect::<Result<_, String>>()?,
                ),
                None => None,
            },
            timestamp: match text("timestamp") {
                Some(path) => Some(path_at("timestamp", &path)?),
                None => None,
            },
            filter: text("filter"),
            paging: Paging::read(given.get("paging"))?,
            deletes: Deletes::read(given.get("deletes"), incremental.is_some())?,
            incremental,
            most: read_guard(given.get("guard"))?,
            writes: match given.get("writes") {
                Some(writes) => Some(Writes::read(writes)?),
                None => None,
            },
            mode: Mode::read(given.get("mode"))?,
            when: text("when"),
            parent: match given.get("parent") {
                Some(parent) => Some(Parent::read(parent)?),
                None => None,
            },
            atomic: given.get("atomic") == Some(&Json::Bool(true)),
        };
        function.check()?;
        Ok(function)
    }

    fn check(&self) -> Result<(), String> {
        let names: Vec<&str> = self
            .parameters
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        let at =
            |key: &str, checked: Result<(), String>| checked.map_err(|why| format!("{key} {why}"));
        at("path", template::check(&self.path, &names))?;
        for (name, value) in &self.query {
            at(
                &format!("query.{name}"),
                template::check_json(value, &names),
            )?;
        }
        for (name, value) in &self.headers {
            at(&format!("headers.{name}"), template::check(value, &names))?;
        }
        if let Some(body) = &self.body {
            at("body", template::check_body(body, &names))?;
        }
        for take in self.columns.iter().flatten() {
            if let (column, Take::Parameter(name)) = take
                && !names.contains(&name.as_str())
            {
                return Err(format!(
                    "columns.{column} takes the parameter {}, which parameters has not; add it there",
                    quoted(name)
                ));
            }
        }
        let written = |value: &Json| !template::has_any(value);
        let written = self.query.iter().filter(|(_, value)| written(value));
        refuse_credentials(
            "the parameter of query",
            written.map(|(name, _)| name.as_str()),
        )?;
        refuse_credentials("header", self.headers.iter().map(|(name, _)| name.as_str()))?;
        if self.body.is_some() && self.method == "GET" {
            return Err("body does not go with the method GET; give another method".into());
        }
        if self.records.is_wide() && self.keyed.is_some() {
            return Err("keyed does not go with [*] in records; leave one of them out".into());
        }
        self.mode.check(&names)?;
        if let Some(parent) = &self.parent {
            parent.check(&names)?;
        }
        if let (Deletes::SweepEvery(_), None) = (&self.deletes, &self.incremental) {
            return Err("deletes goes with incremental here; without it every reading is whole, and sweep does it".into());
        }
        Ok(())
    }

    /// Puts the value of a column where rows of the backend have it; nothing of one that has no place there.
    pub fn put(&self, column: &str, value: Json, row: &mut Map<String, Json>) {
        let mut declared = self.columns.iter().flatten();
        match declared.find(|(name, _)| name.eq_ignore_ascii_case(column)) {
            Some((_, Take::At(path))) => put_at(path, value, row),
            Some(_) => {}
            None => {
                row.insert(column.to_owned(), value);
            }
        }
    }

    /// The same of the key, where it is one member.
    pub fn put_key(&self, key: &Json, row: &mut Map<String, Json>) {
        if let [path] = self.key.as_slice() {
            put_at(path, key.clone(), row);
        }
    }

    /// The SQL in it, each with the key that has it, and the table whose columns it is about.
    pub fn sql(&self) -> Vec<Expression> {
        let columns = self.columns.iter().flatten();
        let columns = columns.filter_map(|(column, take)| match take {
            Take::Sql(sql) => Some(Expression::new(&format!("columns.{column}"), sql)),
            _ => None,
        });
        let alone = [("filter", &self.filter), ("when", &self.when)];
        let alone = alone
            .into_iter()
            .filter_map(|(key, sql)| Some(Expression::new(key, sql.as_ref()?)));
        let parents = self.parent.iter().filter_map(Parent::expression);
        columns.chain(alone).chain(parents).collect()
    }

    /// The values of the places that the parameters of a call have.
    ///
    /// # Errors
    /// One that is missing, or that the function has not.
    pub fn values(&self, given: &Map<String, Json>) -> Result<Values, String> {
        if let Some(stray) = given
            .keys()
            .find(|name| !self.parameters.iter().any(|one| one.name == **name))
        {
            let known: Vec<&str> = self
                .parameters
                .iter()
                .map(|one| one.name.as_str())
                .collect();
            return Err(match known.is_empty() {
                true => format!(
                    "function {} has no parameters; leave {} out",
                    quoted(&self.id),
                    quoted(stray)
                ),
                false => format!(
                    "function {} has no parameter {}; it has {}",
                    quoted(&self.id),
                    quoted(stray),
                    known.join(", ")
                ),
            });
        }
        let mut values = Values::new();
        for parameter in &self.parameters {
            let value = given.get(&parameter.name).filter(|value| !value.is_null());
            let Some(value) = value.or(parameter.default.as_ref()) else {
                let comes_later = |parent: &Parent| parent.gives(&parameter.name);
                if parameter.required && !self.parent.as_ref().is_some_and(comes_later) {
                    return Err(format!(
                        "function {} needs the parameter {}; give it in the call's parameters",
                        quoted(&self.id),
                        quoted(&parameter.name)
                    ));
                }
                continue;
            };
            parameter.check(&self.id, value)?;
            values.insert(format!("param:{}", parameter.name), value.clone());
        }
        Ok(values)
    }

    /// Whether calls with other parameters read other rows.
    pub fn has_parameters(&self) -> bool {
        !self.parameters.is_empty()
    }
}

impl Writes {
    fn read(value: &Json) -> Result<Self, String> {
        let given = object("writes", value, WRITES)?;
        let text = |key: &str| given.get(key).and_then(Json::as_str).map(str::to_owned);
        let writes = Self {
            create: text("create"),
            update: text("update"),
            delete: text("delete"),
            mints: given.get("mints") == Some(&Json::Bool(true)),
            idempotency: text("idempotency"),
            read: text("read"),
            version: text("version"),
        };
        match writes.create.is_some() || writes.update.is_some() || writes.delete.is_some() {
            true => Ok(writes),
            false => Err("writes names no function; give create, update or delete".into()),
        }
    }

    pub fn of(&self, kind: ChangeKind) -> Option<&str> {
        match kind {
            ChangeKind::Created => self.create.as_deref(),
            ChangeKind::Updated => self.update.as_deref(),
            ChangeKind::Deleted => self.delete.as_deref(),
        }
    }
}

impl Parameter {
    fn read(name: &str, value: &Json) -> Result<Self, String> {
        let given = object(&format!("parameters.{name}"), value, PARAMETER)?;
        Ok(Self {
            name: name.to_owned(),
            required: given.get("required") == Some(&Json::Bool(true)),
            default: given
                .get("default")
                .filter(|value| !value.is_null())
                .cloned(),
            kind: given.get("type").and_then(Json::as_str).map(str::to_owned),
        })
    }

    fn check(&self, function: &str, value: &Json) -> Result<(), String> {
        let fits = match self.kind.as_deref() {
            Some("number") => value.is_number(),
            Some("boolean") => value.is_boolean(),
            Some(_) => value.is_string(),
            None => !value.is_object(),
        };
        match fits {
            true => Ok(()),
            false => Err(format!(
                "the parameter {} of function {} must be {}, not {}",
                quoted(&self.name),
                quoted(function),
                self.kind
                    .as_deref()
                    .unwrap_or("text, a number, true or false"),
                crate::ground::key::shown(value)
            )),
        }
    }
}

impl Take {
    fn read(column: &str, value: &Json) -> Result<Self, String> {
        let wrong = || {
            format!(
                "columns.{column} must be a path such as \"$.info.title\", \"*\", {{\"value\":…}}, {{\"param\":\"NAME\"}}, \
                 {{\"header\":\"NAME\"}} or {{\"sql\":\"…\"}}, not {value}"
            )
        };
        match value {
            Json::String(text) if text == "*" => Ok(Self::Whole),
            Json::String(text) => Ok(Self::At(path_at(&format!("columns.{column}"), text)?)),
            Json::Object(members) => match (members.len(), members.iter().next()) {
                (1, Some((name, value))) if name == "value" => Ok(Self::Always(value.clone())),
                (1, Some((name, Json::String(text)))) if name == "param" => {
                    Ok(Self::Parameter(text.clone()))
                }
                (1, Some((name, Json::String(text)))) if name == "header" => {
                    Ok(Self::Header(text.to_ascii_lowercase()))
                }
                (1, Some((name, Json::String(text)))) if name == "sql" => {
                    Ok(Self::Sql(text.clone()))
                }
                _ => Err(wrong()),
            },
            _ => Err(wrong()),
        }
    }
}

impl Deletes {
    fn read(value: Option<&Json>, incremental: bool) -> Result<Self, String> {
        let wrong = |value: &Json| {
            format!(
                "deletes must be \"none\", \"sweep\", {{\"tombstone\":\"$.deleted\",\"is\":true}}, {{\"ids\":\"list-ids\"}} or \
                 {{\"sweepEvery\":\"24h\"}}, not {value}"
            )
        };
        let Some(value) = value else {
            return Ok(match incremental {
                true => Self::No,
                false => Self::Sweep,
            });
        };
        match value {
            Json::String(word) if word == "none" => Ok(Self::No),
            Json::String(word) if word == "sweep" && incremental => Err(
                "deletes is \"sweep\", but an incremental function does not read all rows; give {\"sweepEvery\":\"24h\"}, or a \
                 tombstone"
                    .into(),
            ),
            Json::String(word) if word == "sweep" => Ok(Self::Sweep),
            Json::Object(members) => {
                let text = |name: &str| members.get(name).and_then(Json::as_str);
                if let Some(path) = text("tombstone") {
                    let is = members.get("is").cloned();
                    return Ok(Self::Tombstone(path_at("deletes.tombstone", path)?, is));
                }
                if let Some(function) = text("ids") {
                    return Ok(Self::Ids(function.to_owned()));
                }
                if let Some(every) = text("sweepEvery") {
                    let every = super::incremental::duration(every);
                    return every.map(Self::SweepEvery).ok_or_else(|| wrong(value));
                }
                Err(wrong(value))
            }
            other => Err(wrong(other)),
        }
    }
}

impl Rule {
    fn read(level: &str, value: &Json) -> Result<Self, String> {
        let given = object(level.trim_end_matches('.'), value, RULE)?;
        let text = |key: &str| given.get(key).and_then(Json::as_str).map(str::to_owned);
        let status = given.get("status").and_then(Json::as_u64);
        let rule = Self {
            status: status.and_then(|status| u16::try_from(status).ok()),
            path: match text("path") {
                Some(path) => Some(path_at(&format!("{level}path"), &path)?),
                None => None,
            },
            is: given.get("is").cloned(),
            text: text("text"),
            class: text("class").and_then(|class| Class::named(&class)),
            retryable: given.get("retryable").and_then(Json::as_bool),
            message: text("message"),
            expired: given.get("expired") == Some(&Json::Bool(true)),
            ignore: given.get("ignore") == Some(&Json::Bool(true)),
        };
        if rule.status.is_none() && rule.path.is_none() && rule.text.is_none() {
            return Err(format!(
                "{level}status is missing; say by status, path or text which answers are meant"
            ));
        }
        Ok(rule)
    }

    /// Whether an answer with a good status is one of those that are meant, by what it says besides its rows.
    pub fn fits_envelope(&self, status: u16, envelope: &Json) -> bool {
        let Some(path) = &self.path else {
            return false;
        };
        let is_status = self.status.is_none_or(|wanted| wanted == status);
        let found = path.find(envelope);
        is_status
            && match &self.is {
                Some(wanted) => found == Some(wanted),
                None => found.is_some_and(|found| !found.is_null()),
            }
    }

    /// An error as the rule has it.
    pub fn error(&self, mut error: SyncError) -> SyncError {
        if let Some(class) = self.class {
            error.class = class;
            error.code = match class {
                Class::Network => "SYNC_ERROR_NETWORK",
                Class::Auth => "SYNC_ERROR_AUTH",
                Class::Protocol => "SYNC_ERROR_PROTOCOL",
                _ => error.code,
            };
        }
        error.retryable = self.retryable.unwrap_or(error.retryable);
        if let Some(message) = &self.message {
            error.message.clone_from(message);
        }
        error
    }

    /// Whether an answer is one of those that are meant. `body`: its beginning.
    pub fn fits(&self, status: u16, body: &str) -> bool {
        let is_status = self.status.is_none_or(|wanted| wanted == status);
        let is_text = self
            .text
            .as_ref()
            .is_none_or(|wanted| body.contains(wanted.as_str()));
        let is_value = self.path.as_ref().is_none_or(|path| {
            let json: Option<Json> = serde_json::from_str(body).ok();
            let found = json.as_ref().and_then(|json| path.find(json));
            match &self.is {
                Some(wanted) => found == Some(wanted),
                None => found.is_some_and(|found| !found.is_null()),
            }
        });
        is_status && is_text && is_value
    }
}

fn put_at(path: &Path, value: Json, row: &mut Map<String, Json>) {
    let mut steps = path.0.iter();
    let Some(Step::Member(first)) = steps.next() else {
        return;
    };
    let mut at = row.entry(first.clone()).or_insert(Json::Null);
    for step in steps {
        let Step::Member(name) = step else { return };
        if !at.is_object() {
            *at = Json::Object(Map::new());
        }
        at = &mut at[name.as_str()];
    }
    *at = value;
}

fn read_key(value: Option<&Json>) -> Result<Vec<Path>, String> {
    let wrong = || "key must be the name of a member, a path, or a list of such".to_owned();
    match value {
        None => Ok(vec![path_at("key", "id")?]),
        Some(Json::String(name)) => Ok(vec![path_at("key", name)?]),
        Some(Json::Array(names)) if !names.is_empty() => names
            .iter()
            .map(|name| path_at("key", name.as_str().ok_or_else(wrong)?))
            .collect(),
        Some(_) => Err(wrong()),
    }
}

fn read_guard(value: Option<&Json>) -> Result<Option<u64>, String> {
    let usual = Json::Object(Map::new());
    let guard = object("guard", value.unwrap_or(&usual), GUARD)?;
    if guard.get("allowEmpty") == Some(&Json::Bool(true)) {
        return Ok(None);
    }
    let most = guard.get("maxDeletePercent").and_then(Json::as_u64);
    Ok(Some(most.unwrap_or(50)))
}

fn members<'g>(
    given: &'g Map<String, Json>,
    key: &str,
) -> impl Iterator<Item = (&'g String, &'g Json)> {
    given
        .get(key)
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
}
