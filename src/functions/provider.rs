//! `sync_provider` and `sync_secret`: backends and secrets.

use serde_json::Value as Json;

use crate::coordination::{now, write};
use crate::ground::key::{Key, Keys};
use crate::ground::read_object;
use crate::http::Secrets;
use crate::providers::{Settings, kinds};
use crate::runs::redeclare::{self, Standing};
use crate::store::{Call, Error, Result, Value, checked_name};
use crate::transfer::peer;

use super::arguments::{self, MAIN};
use super::json::{self, Object};

pub const KEYS: Keys = &[&[kinds::KEEP_CURSOR, kinds::RESET]];

/// `SELECT sync_provider('airline-api', '{"kind":"watermelon","url":"…"}');` returns the provider's id.
pub fn provider(call: &Call<'_>) -> Result<Value> {
    let id = arguments::text(call, 0, "id")?;
    let (settings, schema, given) = read(call)?;
    let standing = standing(&Object::options(call, 2)?, given)?;
    write(call.session(), &schema, |ground| {
        redeclare::prepare(ground.database, id, &settings, standing)?;
        let changed = ground.database.execute(
            "INSERT INTO main._syncProvider (id, kind, config, updatedAt) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, config = excluded.config, \
             updatedAt = excluded.updatedAt WHERE config <> excluded.config",
            &[
                id.into(),
                settings.kind().name.into(),
                settings.stored().into(),
                now().into(),
            ],
        )?;
        match changed {
            0 => Ok(()),
            _ => peer::forget_batch(ground.database, id),
        }
    })?;
    for (_, condition) in settings.texts("replacementWhere") {
        crate::transfer::declared::declare(call.session(), condition);
    }
    Ok(id.into())
}

/// `given`: what the configuration says of it.
fn standing(options: &Object, given: (bool, bool)) -> Result<Standing> {
    let (keep, reset) = (options.flag("keepCursor")?, options.flag("reset")?);
    match (keep || given.0, reset || given.1) {
        (false, false) => Ok(Standing::Unsaid),
        (true, false) => Ok(Standing::Kept),
        (false, true) => Ok(Standing::Reset),
        (true, true) => Err(Error::argument(
            "options: keepCursor and reset exclude each other; give one of them",
        )),
    }
}

/// The configuration, the attached file that it goes to, and whether cursors are to be kept, or forgotten.
fn read(call: &Call<'_>) -> Result<(Settings, String, (bool, bool))> {
    let text = json::argument(call, 1, "config")?;
    let mut given = read_object(text, "config").map_err(Error::Argument)?;
    let schema = given.shift_remove("schema").unwrap_or(Json::Null);
    let label = "config: schema";
    let checked = kinds::SCHEMA.check(&schema, label);
    checked.map_err(Error::Argument)?;
    let schema = checked_name(schema.as_str().unwrap_or(MAIN), label)?.to_owned();
    let mut switch = |key: Key| {
        let Some(value) = given.shift_remove(key.name) else {
            return Ok(false);
        };
        let checked = key.check(&value, &format!("config: {}", key.name));
        checked.map_err(Error::Argument)?;
        Ok(value == Json::Bool(true))
    };
    let standing = (switch(kinds::KEEP_CURSOR)?, switch(kinds::RESET)?);
    let settings = kinds::read(given).map_err(Error::Argument)?;
    Ok((settings, schema, standing))
}

/// `SELECT sync_secret('airline', 'token', 'https://api.example.com');` returns 1. The value stays in
/// this connection's memory.
pub fn secret(call: &Call<'_>) -> Result<Value> {
    let name = arguments::text(call, 0, "name")?;
    let value = arguments::optional_text(call, 1, "value")?;
    let origin = arguments::optional_text(call, 2, "origin")?;
    let secrets = call.session().part::<Secrets>();
    let before = secrets
        .set(name, value, origin)
        .map_err(|error| Error::argument(error.to_string()))?;
    Ok((value.is_some() || before).into())
}
