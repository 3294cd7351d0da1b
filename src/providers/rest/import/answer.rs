//! Where the rows are in an answer, by its schema.

use serde_json::Value as Json;

use super::document::Document;
use super::fields::{Fields, fields};
use super::schema::{Kind, Shape};

/// What is known of an answer.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The way to the rows.
    pub records: String,
    /// The rows are the members of an object; their names go here.
    pub keyed: Option<String>,
    /// None: nothing is said of the rows.
    pub row: Option<Fields>,
    /// Several rows, as opposed to one object.
    pub is_list: bool,
    /// What the answer says besides its rows.
    pub envelope: Vec<Said>,
    /// The names of its headers, in lower case.
    pub headers: Vec<String>,
    /// How it is written, where it is no JSON.
    pub format: Option<&'static str>,
}

/// A value in an answer.
#[derive(Debug, Clone)]
pub struct Said {
    /// Its name, with those of what it is in before it, between dots.
    pub name: String,
    pub path: String,
    pub kind: Option<Kind>,
    pub is_address: bool,
}

/// Members that hold the rows of an answer, where there are several lists.
const ROWS: &[&str] = &[
    "items", "data", "results", "records", "rows", "value", "values", "entries", "content", "hits",
    "objects", "elements", "list", "members",
];

/// Members that name a row, besides those that the path names.
pub const NAMES: &[&str] = &["id", "_id", "uuid", "guid"];

impl Answer {
    /// One that nothing is said of.
    pub fn unknown() -> Self {
        Self {
            records: "$".into(),
            ..Self::default()
        }
    }

    /// `path`: of the request. `item`: the parameter that it ends with.
    ///
    /// # Errors
    /// No rows in it, or several kinds; references that lead nowhere.
    pub fn of(
        document: &Document<'_>,
        schema: &Json,
        path: &str,
        item: Option<&str>,
    ) -> Result<Self, String> {
        let shape = Shape::of(document, schema)?;
        match shape.kind {
            None => Ok(Self::unknown()),
            Some(Kind::List) => {
                let row = row(document, shape.items)?;
                Ok(Self {
                    row: row.ok_or("its answer is a list of values that are no objects")?,
                    is_list: true,
                    ..Self::unknown()
                })
            }
            Some(Kind::Object) => Self::of_object(document, &shape, path, item),
            Some(_) => Err("its answer is one value, with no rows in it".into()),
        }
    }

    fn of_object(
        document: &Document<'_>,
        shape: &Shape<'_>,
        path: &str,
        item: Option<&str>,
    ) -> Result<Self, String> {
        let own = fields(document, shape)?;
        let whole = |own: Fields| Self {
            row: (!own.names.is_empty()).then_some(own),
            ..Self::unknown()
        };
        if key_of(&own, item).is_some() {
            return Ok(whole(own));
        }
        let found = Found::in_answer(document, shape, item)?;
        let envelope = found.envelope;
        if let Some((path, row)) = chosen(found.lists, path)? {
            return Ok(Self {
                records: path,
                row,
                is_list: true,
                envelope,
                ..Self::default()
            });
        }
        if let (true, Some(others)) = (own.names.is_empty(), shape.others) {
            let row = row(document, Some(others))?;
            let row = row.ok_or("its answer is an object of values that are no objects")?;
            return Ok(Self {
                keyed: Some(name_for(row.as_ref())),
                row,
                is_list: true,
                ..Self::unknown()
            });
        }
        if let [(path, row)] = found.maps.as_slice() {
            return Ok(Self {
                records: path.clone(),
                keyed: Some(name_for(row.as_ref())),
                row: row.clone(),
                is_list: true,
                envelope,
                ..Self::default()
            });
        }
        let named = |fields: &&(String, Fields)| key_of(&fields.1, item).is_some();
        let mut objects = found.objects.iter().filter(named);
        if let (Some((path, row)), None) = (objects.next(), objects.next()) {
            return Ok(Self {
                records: path.clone(),
                row: Some(row.clone()),
                ..Self::default()
            });
        }
        Ok(whole(own))
    }
}

/// What is in the object of an answer, and in the objects in it.
#[derive(Default)]
struct Found {
    lists: Vec<(String, String, Option<Fields>)>,
    maps: Vec<(String, Option<Fields>)>,
    objects: Vec<(String, Fields)>,
    envelope: Vec<Said>,
}

impl Found {
    fn in_answer(
        document: &Document<'_>,
        shape: &Shape<'_>,
        item: Option<&str>,
    ) -> Result<Self, String> {
        let mut found = Self::default();
        found.add(document, shape, ("", "$"), item, 0)?;
        Ok(found)
    }

    fn add(
        &mut self,
        document: &Document<'_>,
        shape: &Shape<'_>,
        (names, trail): (&str, &str),
        item: Option<&str>,
        depth: usize,
    ) -> Result<(), String> {
        for (name, member) in &shape.members {
            let Some(path) = step(trail, name) else {
                continue;
            };
            // What can't be read may well be something else than the rows.
            let Ok(inner) = Shape::of(document, member) else {
                continue;
            };
            let full = match names {
                "" => (*name).to_owned(),
                names => format!("{names}.{name}"),
            };
            match inner.kind {
                Some(Kind::List) => {
                    if let Some(row) = row(document, inner.items)? {
                        self.lists.push(((*name).to_owned(), path, row));
                    }
                }
                Some(Kind::Object) => {
                    let is_map = inner.members.is_empty() && inner.others.is_some();
                    match row(document, inner.others)?.filter(|_| is_map) {
                        Some(row) => self.maps.push((path, row)),
                        None => {
                            let own = fields(document, &inner)?;
                            // The lists of one object are no rows.
                            if depth == 0 && key_of(&own, item).is_none() {
                                self.add(document, &inner, (&full, &path), item, depth + 1)?;
                            }
                            self.objects.push((path, own));
                        }
                    }
                }
                kind => self.envelope.push(Said {
                    name: full,
                    path,
                    kind,
                    is_address: matches!(inner.format, Some("uri" | "url" | "uri-reference")),
                }),
            }
        }
        Ok(())
    }
}

/// The list that has the rows. A list in an object of the answer counts only where the answer has none itself.
fn chosen(
    lists: Vec<(String, String, Option<Fields>)>,
    path: &str,
) -> Result<Option<(String, Option<Fields>)>, String> {
    let level = |path: &str| path.matches(['.', '[']).count();
    let highest = lists.iter().map(|(_, path, _)| level(path)).min();
    let mut lists: Vec<_> = lists
        .into_iter()
        .filter(|(_, path, _)| Some(level(path)) == highest)
        .collect();
    if lists.len() > 1 {
        let collection = path
            .trim_end_matches('/')
            .rsplit('/')
            .find(|step| !step.starts_with('{'))
            .unwrap_or_default();
        let wanted = lists
            .iter()
            .position(|(name, _, _)| name.eq_ignore_ascii_case(collection))
            .or_else(|| {
                ROWS.iter()
                    .find_map(|known| lists.iter().position(|(name, _, _)| name == known))
            });
        let Some(wanted) = wanted else {
            let names: Vec<&str> = lists
                .iter()
                .take(5)
                .map(|(name, _, _)| name.as_str())
                .collect();
            return Err(format!(
                "its answer has several lists ({}), and nothing says which has the rows; declare it with sync_function and \
                 records",
                names.join(", ")
            ));
        };
        lists = vec![lists.swap_remove(wanted)];
    }
    Ok(lists.pop().map(|(_, path, row)| (path, row)))
}

/// The members of a row; none where it is no object, none inside where nothing is said of it.
fn row(document: &Document<'_>, schema: Option<&Json>) -> Result<Option<Option<Fields>>, String> {
    let Some(schema) = schema else {
        return Ok(Some(None));
    };
    let shape = Shape::of(document, schema)?;
    Ok(match shape.kind {
        None => Some(None),
        Some(Kind::Object) => {
            let fields = fields(document, &shape)?;
            Some((!fields.names.is_empty()).then_some(fields))
        }
        Some(_) => None,
    })
}

/// The member that names a row: the one that the path names, or a usual one.
pub fn key_of(row: &Fields, item: Option<&str>) -> Option<String> {
    let plain = |name: &str| name.replace(['_', '-'], "").to_ascii_lowercase();
    if let Some(item) = item.filter(|item| row.has(item)) {
        return Some(item.to_owned());
    }
    if let Some(name) = NAMES.iter().find(|name| row.has(name)) {
        return Some((*name).to_owned());
    }
    let item = item?;
    let alike = row.names.iter().find(|name| plain(name) == plain(item));
    alike.cloned()
}

/// Where the name of a row goes that is a member of an object.
fn name_for(row: Option<&Fields>) -> String {
    let is_taken = row.is_some_and(|row| row.has("id"));
    if is_taken { "_key" } else { "id" }.to_owned()
}

/// The way to a member; none to one that no way can be written to.
pub fn step(trail: &str, name: &str) -> Option<String> {
    let is_plain = !name.is_empty() && !name.contains(['.', '[', ']', '\'']);
    if is_plain {
        return Some(format!("{trail}.{name}"));
    }
    (!name.is_empty() && !name.contains("']")).then(|| format!("{trail}['{name}']"))
}
