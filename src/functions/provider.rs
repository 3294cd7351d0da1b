//! `sync_provider` and `sync_secret`: backends and secrets.

use serde_json::Value as Json;

use crate::coordination::{now, write};
use crate::ground::read_object;
use crate::http::Secrets;
use crate::providers::{Settings, kinds};
use crate::store::{Call, Error, Result, Value, checked_name};
use crate::transfer::peer;

use super::arguments::{self, MAIN};
use super::json;

/// `SELECT sync_provider('airline-api', '{"kind":"watermelon","url":"…"}');` returns the provider's id.
pub fn provider(call: &Call<'_>) -> Result<Value> {
    let id = arguments::text(call, 0, "id")?;
    let (settings, schema) = read(call)?;
    write(call.session(), &schema, |ground| {
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

/// The configuration, and the attached file that it goes to.
fn read(call: &Call<'_>) -> Result<(Settings, String)> {
    let text = json::argument(call, 1, "config")?;
    let mut given = read_object(text, "config").map_err(Error::Argument)?;
    let schema = given.shift_remove("schema").unwrap_or(Json::Null);
    let label = "config: schema";
    let checked = kinds::SCHEMA.check(&schema, label);
    checked.map_err(Error::Argument)?;
    let schema = checked_name(schema.as_str().unwrap_or(MAIN), label)?.to_owned();
    let settings = kinds::read(given).map_err(Error::Argument)?;
    Ok((settings, schema))
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
