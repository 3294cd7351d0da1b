//! `sync_apply(status_id, response [, page])`: a host program hands over what its backend answered.

use crate::coordination::write;
use crate::store::{Call, Error, Result, Value, ValueRef};
use crate::transfer::document::Page;
use crate::transfer::document::apply_response;
use crate::transfer::held::Refusals;

use super::arguments;
use super::delete::status_id;

/// `SELECT sync_apply(7, '[{"id":"a","title":"x"}]');` returns
/// `{"statusId":7,"entity":"local/books","page":1,"state":"synced","deleted":0,"inserted":1,…}`.
///
/// Without `page` the response is the whole answer and ends the operation. With it, it is one page of
/// several, and the operation stays open until `sync_set_status` ends it.
pub fn apply(call: &Call<'_>) -> Result<Value> {
    let id = status_id(call, 0)?;
    let response = match call.argument(1) {
        ValueRef::Text(text) => text,
        other => {
            return Err(Error::argument(format!(
                "response must be JSON text, not {}",
                other.type_name()
            )));
        }
    };
    let (number, close) = match call.argument(2) {
        ValueRef::Null => (1, true),
        _ => (page_number(arguments::integer(call, 2, "page")?)?, false),
    };
    let page = Page { response, number };
    let session = call.session();
    let refusals = Refusals::default();
    let answer = refusals.settle(session.connection(), || {
        write(session, "main", |ground| {
            apply_response(session, ground, id, &page, close, &refusals)
        })
    })?;
    Ok(answer.to_string().into())
}

fn page_number(number: i64) -> Result<i64> {
    if number < 1 {
        return Err(Error::argument(format!(
            "page is {number}; pages are counted from 1"
        )));
    }
    Ok(number)
}
