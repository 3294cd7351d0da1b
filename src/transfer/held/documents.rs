//! Held rows of tables of documents: what a response does with the rows of a table, it does with these too.

use crate::capture::Key;
use crate::providers::wire::WireId;
use crate::store::{Database, Result, Statement, Value, ValueRef};
use crate::transfer::binding::Binding;

use super::keep;

/// What a row with that id is held under.
pub fn held_key(binding: &Binding, id: &WireId<'_>) -> Key {
    binding.wire_key(id).map_or_else(
        // One that can't be a key here.
        || Key(Value::Text(id.to_string())),
        Key,
    )
}

/// Where the document stands in what is held of a row.
fn path(binding: &Binding) -> String {
    let mut columns = binding.wire.columns.iter();
    let data = columns.find(|column| column.name.eq_ignore_ascii_case("data"));
    format!("$.{}", data.map_or("data", |column| column.name.as_str()))
}

/// The documents that are held of a table.
pub struct HeldDocuments(Statement);

impl HeldDocuments {
    /// # Errors
    /// SQLite's.
    pub fn of(database: &Database, provider: &str, binding: &Binding) -> Result<Self> {
        let mut find = database.connection().prepare(
            "SELECT op = 'row', content ->> ?1 FROM main._syncHeld \
             WHERE provider = ?2 AND tbl = ?3 AND pk IS ?4",
        )?;
        find.bind(1, path(binding).as_str().into())?;
        find.bind(2, provider.into())?;
        find.bind(3, binding.table.id.into())?;
        Ok(Self(find))
    }

    /// The document that is held of a row. None: nothing is held; none inside: its delete is.
    ///
    /// # Errors
    /// SQLite's.
    pub fn find(&mut self, key: &Key) -> Result<Option<Option<String>>> {
        self.0.bind(4, key.0.borrow())?;
        let held = self.0.step()?.then(|| match self.0.integer(0) {
            0 => None,
            _ => Some(self.0.text(1)),
        });
        self.0.reset();
        Ok(held)
    }
}

/// Puts an id in the place of another, as that of a held row and wherever held documents have it as a JSON text.
/// Whether that changed any.
///
/// # Errors
/// SQLite's.
pub fn replace_id(
    database: &Database,
    provider: &str,
    binding: &Binding,
    from: &WireId<'_>,
    to: &WireId<'_>,
) -> Result<bool> {
    if !keep::any(database, provider)? {
        return Ok(false);
    }
    let (table, path) = (binding.table.id, path(binding));
    let (old, new) = (held_key(binding, from), held_key(binding, to));
    let connection = database.connection();
    let mut taken = connection
        .prepare("SELECT 1 FROM main._syncHeld WHERE provider = ?1 AND tbl = ?2 AND pk IS ?3")?;
    taken.bind_all(&[provider.into(), table.into(), new.0.borrow()])?;
    if taken.step()? {
        keep::forget(database, provider, table, &old)?;
    }
    taken.reset();
    let renamed = connection
        .prepare(
            "UPDATE main._syncHeld SET pk = ?4, content = json_replace(content, '$.id', ?4), \
             sent = json_replace(sent, '$.id', ?4) WHERE provider = ?1 AND tbl = ?2 AND pk IS ?3",
        )?
        .run(&[
            provider.into(),
            table.into(),
            old.0.borrow(),
            new.0.borrow(),
        ])?;
    let quoted = |id: &WireId<'_>| match id {
        WireId::Integer(number) => Value::Integer(*number),
        WireId::Text(_) | WireId::Broken(_) => Value::Text(id.to_string()),
    };
    let (from, to) = (quoted(from), quoted(to));
    let values: [ValueRef<'_>; 5] = [
        provider.into(),
        table.into(),
        path.as_str().into(),
        from.borrow(),
        to.borrow(),
    ];
    let rewritten = connection
        .prepare(
            "UPDATE main._syncHeld SET \
             content = json_replace(content, ?3, replace(content ->> ?3, json_quote(?4), json_quote(?5))), \
             sent = json_replace(sent, ?3, replace(sent ->> ?3, json_quote(?4), json_quote(?5))) \
             WHERE provider = ?1 AND tbl = ?2 AND instr(content ->> ?3, json_quote(?4)) > 0",
        )?
        .run(&values)?;
    Ok(renamed + rewritten > 0)
}
