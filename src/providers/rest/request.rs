//! The request of one page.

use serde_json::{Map, Value as Json};

use super::function::Function;
use super::paging::{Pages, Part};
use super::template::{self, Values};
use crate::ground::percent_encode;
use crate::providers::conversation::{Ask, AskBody};

/// The address of a path behind the provider's, whose own parameters stay.
fn joined(base: &str, path: &str) -> String {
    let bare = |text: &str| text.split('#').next().unwrap_or_default().to_owned();
    let (base, path) = (bare(base), bare(path));
    let (front, own) = base.split_once('?').unwrap_or((&base, ""));
    let (path, query) = path.split_once('?').unwrap_or((&path, ""));
    let mut url = match path {
        "" => front.to_owned(),
        path => format!(
            "{}/{}",
            front.trim_end_matches('/'),
            path.trim_start_matches('/')
        ),
    };
    for pair in own
        .split('&')
        .chain(query.split('&'))
        .filter(|pair| !pair.is_empty())
    {
        add(&mut url, pair);
    }
    url
}

fn add(url: &mut String, pair: &str) {
    url.push(if url.contains('?') { '&' } else { '?' });
    url.push_str(pair);
}

fn add_parameter(url: &mut String, name: &str, value: &str) {
    let mut pair = String::new();
    percent_encode(name, &mut pair);
    pair.push('=');
    percent_encode(value, &mut pair);
    add(url, &pair);
}

/// A request of a function, without its credentials. `values`: what its places stand for. `more`: parameters besides, each
/// with the part of the request that it goes into.
///
/// # Errors
/// A place in the path without a value.
pub fn build(
    function: &Function,
    (base, headers): (&str, &[(String, String)]),
    values: &Values,
    more: &[(Part, String, Json)],
    next: Option<&str>,
) -> Result<Ask, String> {
    let mut url = match next {
        Some(address) => address.to_owned(),
        None => joined(base, &template::address(&function.path, values)?),
    };
    let mut headers: Vec<(String, String)> = headers.to_vec();
    for (name, value) in &function.headers {
        if let Some(value) = template::text(&Json::from(value.as_str()), values) {
            headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            headers.push((name.clone(), value));
        }
    }
    if next.is_none() {
        for (name, value) in &function.query {
            // A list is the same parameter several times.
            let several = value
                .as_array()
                .map_or(std::slice::from_ref(value), Vec::as_slice);
            for value in several {
                if let Some(value) = template::text(value, values) {
                    add_parameter(&mut url, name, &value);
                }
            }
        }
    }
    let mut body = function
        .body
        .as_ref()
        .and_then(|body| template::body(body, values));
    for (part, name, value) in more {
        match part {
            Part::Query if next.is_some() => {}
            Part::Query => add_parameter(&mut url, name, &template::plain(value)),
            Part::Header => headers.push((name.clone(), template::plain(value))),
            Part::Body => {
                let body = body.get_or_insert_with(|| Json::Object(Map::new()));
                if let Json::Object(members) = body {
                    members.insert(name.clone(), value.clone());
                }
            }
        }
    }
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("accept"))
    {
        headers.push(("accept".into(), "application/json".into()));
    }
    if body.is_some()
        && !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
    {
        headers.push(("content-type".into(), "application/json".into()));
    }
    Ok(Ask {
        headers,
        body: match body {
            Some(body) => AskBody::Bytes(body.to_string().into_bytes()),
            None => AskBody::None,
        },
        ..Ask::new("read", function.method, url)
    })
}

/// The parameters of the next page.
pub fn of_page(function: &Function, pages: &Pages, values: &Values) -> Vec<(Part, String, Json)> {
    let writes = |place: &str| {
        let in_query = function
            .query
            .iter()
            .any(|(_, value)| template::has(value, place));
        let in_body = function
            .body
            .as_ref()
            .is_some_and(|body| template::has(body, place));
        let in_path = template::has(&Json::from(function.path.as_str()), place);
        let mut headers = function.headers.iter();
        in_query
            || in_body
            || in_path
            || headers.any(|(_, value)| template::has(&Json::from(value.as_str()), place))
    };
    let parameters = function.paging.parameters(pages, values, writes);
    parameters
        .into_iter()
        .map(|(name, value)| (function.paging.part, name, value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_put_together() {
        for (base, path, whole) in [
            ("http://h/api/", "/books", "http://h/api/books"),
            ("http://h?k=1", "books?x=2", "http://h/books?k=1&x=2"),
            ("http://h", "", "http://h"),
        ] {
            assert_eq!(joined(base, path), whole);
        }
    }
}
