//! `sync_detach(provider [, options])`: for somebody who logs out, or for another user.

use crate::ground::key::{Keys, Takes, Usual, key};
use crate::providers::Transport;
use crate::runs::{self, Leaving};
use crate::store::{Call, Error, Result, Value};

use super::arguments;
use super::entities::provider_kind;
use super::json::{Object, SCHEMA};

#[rustfmt::skip]
pub const KEYS: Keys = &[&[
    key("wipe", Takes::Switch, Usual::Json("false"), "whether all rows of the tables go, too", r#"{"wipe":true}"#),
    key("keep", Takes::List(&Takes::Text), Usual::Nothing, "with `wipe`: tables whose rows stay", r#"{"wipe":true,"keep":["planes"]}"#),
    key("force", Takes::Switch, Usual::Json("false"), "whether to give up what has not been uploaded, was refused or is held", r#"{"force":true}"#),
], SCHEMA];

/// `SELECT sync_detach('airline-api');` returns `{"provider":"airline-api","uploaded":0,"wiped":0,"kept":4780,…}`.
pub fn detach(call: &Call<'_>) -> Result<Value> {
    let options = Object::options(call, 1)?;
    let leaving = Leaving {
        provider: arguments::text(call, 0, "provider")?.to_owned(),
        wipe: options.flag("wipe")?,
        keep: options.names("keep")?.unwrap_or_default(),
        force: options.flag("force")?,
    };
    if !leaving.keep.is_empty() && !leaving.wipe {
        return Err(Error::argument(
            "options.keep goes with \"wipe\":true; without that all rows stay, so leave keep out",
        ));
    }
    let (session, schema) = (call.session(), options.schema()?);
    if let Some(answer) = runs::answered(session, &schema, &leaving)? {
        return Ok(answer.to_string().into());
    }
    let kind = provider_kind(&session.database(&schema)?, &leaving.provider)?;
    let sends = kind.transport != Transport::Nobody;
    let answer = runs::detach(session, &schema, sends, &leaving)?;
    Ok(answer.to_string().into())
}
