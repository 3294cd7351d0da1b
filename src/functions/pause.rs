//! `sync_pause(what [, provider [, options]])` and `sync_resume(what [, provider [, options]])`.

use serde_json::{Map, Value as Json, json};

use crate::coordination::{now, write};
use crate::ground::key::{Keys, Takes, Usual, key};
use crate::store::{Call, Database, Error, Result, Value};
use crate::transfer::pause::{self, Direction};

use super::arguments;
use super::entities::{provider_kind, providers};
use super::json::{Object, SCHEMA};

#[rustfmt::skip]
pub const PAUSE: Keys = &[&[
    key("forMs", Takes::Number(1, 1 << 50), Usual::Words("until sync_resume"), "milliseconds after which it goes on by itself", r#"{"forMs":900000}"#),
    key("automaticOnly", Takes::Switch, Usual::Json("false"), "whether only work in the background that nobody called for is paused", r#"{"automaticOnly":true}"#),
], SCHEMA];

pub const RESUME: Keys = &[SCHEMA];

/// What a call is about: directions and providers.
struct Meant {
    directions: &'static [Direction],
    provider: Option<String>,
    schema: String,
}

impl Meant {
    fn of(call: &Call<'_>, options: &Object) -> Result<Self> {
        let directions: &[Direction] = match arguments::text(call, 0, "what")? {
            "uploads" => &[Direction::Uploads],
            "downloads" => &[Direction::Downloads],
            "all" => &[Direction::Uploads, Direction::Downloads],
            other => {
                return Err(Error::argument(format!(
                    "what must be 'uploads', 'downloads' or 'all', not '{other}'"
                )));
            }
        };
        Ok(Self {
            directions,
            provider: arguments::optional_text(call, 1, "provider")?.map(str::to_owned),
            schema: options.schema()?,
        })
    }

    /// Does something to every direction of every provider that is meant, and says what is paused then.
    fn each(
        &self,
        call: &Call<'_>,
        change: impl Fn(&Database, &str, Direction) -> Result<()>,
    ) -> Result<Value> {
        write(call.session(), &self.schema, |ground| {
            let database = ground.database;
            let names = match &self.provider {
                Some(name) => {
                    provider_kind(database, name)?;
                    vec![name.clone()]
                }
                None => providers(database)?,
            };
            let mut answer = Map::new();
            for name in names {
                for direction in self.directions {
                    change(database, &name, *direction)?;
                }
                let paused = pause::read(database, &name, true)?;
                let flags = json!({"uploads": paused.uploads, "downloads": paused.downloads});
                answer.insert(name, flags);
            }
            Ok(Json::Object(answer).to_string().into())
        })
    }
}

/// `SELECT sync_pause('uploads', 'airline-api');` returns `{"airline-api":{"uploads":true,"downloads":false}}`.
pub fn pause(call: &Call<'_>) -> Result<Value> {
    let options = Object::options(call, 2)?;
    let automatic_only = options.flag("automaticOnly")?;
    let until = options
        .get::<i64>("forMs")?
        .map(|time| now().saturating_add(time));
    Meant::of(call, &options)?.each(call, |database, provider, direction| {
        pause::pause(database, provider, direction, until, automatic_only)
    })
}

/// `SELECT sync_resume('all');` returns `{"airline-api":{"uploads":false,"downloads":false}}`.
pub fn resume(call: &Call<'_>) -> Result<Value> {
    let options = Object::options(call, 2)?;
    Meant::of(call, &options)?.each(call, pause::resume)
}
