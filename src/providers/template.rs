//! Requests as the configuration describes them: URLs, headers and bodies with placeholders.
//!
//! | placeholder | value |
//! |---|---|
//! | `{lastPulledAt}` | the cursor, as it came |
//! | `{schemaVersion}` | the schema version |
//! | `{migration}` | what has changed in the schema since the last pull, or null |
//! | `{changes}` | the rows to push; in the body of a push only |
//! | `{param:NAME}` | the value of NAME in `params` |
//!
//! Values are percent-encoded in URLs, JSON in bodies, and plain in headers. Braces around anything but a
//! word are just braces.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::Value as Json;

use crate::ground::{percent_encode, quoted, syntax_problem};

/// The values of `params`.
pub type Params = BTreeMap<String, Json>;

/// What a request says in place of a cursor when there is none yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstToken {
    Null,
    Zero,
    /// The parameter or key is left out.
    Omitted,
    Empty,
}

/// What placeholders stand for in one request.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// The cursor as JSON, once there is one.
    pub cursor: Option<&'a str>,
    pub first: FirstToken,
    pub schema_version: i64,
    /// JSON.
    pub migration: Option<&'a str>,
}

#[derive(Debug, Clone, PartialEq)]
enum Hole {
    LastPulledAt,
    SchemaVersion,
    Migration,
    Changes,
    Param(Json),
}

impl Hole {
    fn named(name: &str, params: &Params) -> Result<Self, String> {
        Ok(match name {
            "lastPulledAt" => Self::LastPulledAt,
            "schemaVersion" => Self::SchemaVersion,
            "migration" => Self::Migration,
            "changes" => Self::Changes,
            _ => match name.strip_prefix("param:") {
                Some(param) => Self::Param(
                    params
                        .get(param)
                        .ok_or_else(|| {
                            format!(
                                "has {{{name}}}, but params has no {}; add it there",
                                quoted(param)
                            )
                        })?
                        .clone(),
                ),
                None => {
                    return Err(format!(
                        "has {{{name}}}; placeholders are {{lastPulledAt}}, {{schemaVersion}}, \
                         {{migration}}, {{changes}} and {{param:NAME}}"
                    ));
                }
            },
        })
    }

    /// The value as JSON.
    fn json(&self, values: &Values<'_>) -> String {
        match self {
            Self::LastPulledAt => match (values.cursor, values.first) {
                (Some(cursor), _) => cursor.to_owned(),
                (None, FirstToken::Zero) => "0".into(),
                (None, FirstToken::Empty) => "\"\"".into(),
                (None, FirstToken::Null | FirstToken::Omitted) => "null".into(),
            },
            Self::SchemaVersion => values.schema_version.to_string(),
            Self::Migration => values.migration.unwrap_or("null").to_owned(),
            Self::Changes => String::new(),
            Self::Param(value) => value.to_string(),
        }
    }

    /// The value as plain text: text without its quotes, anything else as JSON.
    fn text(&self, values: &Values<'_>) -> String {
        if let (Self::LastPulledAt, None, FirstToken::Omitted) = (self, values.cursor, values.first)
        {
            return String::new();
        }
        let json = self.json(values);
        serde_json::from_str::<String>(&json).unwrap_or(json)
    }

    fn is_omitted(&self, values: &Values<'_>) -> bool {
        *self == Self::LastPulledAt
            && values.cursor.is_none()
            && values.first == FirstToken::Omitted
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Literal(String),
    Hole(Hole),
}

/// A text with placeholders in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Text(Vec<Piece>);

impl Text {
    /// # Errors
    /// An unknown placeholder, a parameter without a value.
    pub fn parse(text: &str, params: &Params) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, name, after)) = next_hole(rest) {
            if !before.is_empty() {
                pieces.push(Piece::Literal(before.to_owned()));
            }
            pieces.push(Piece::Hole(Hole::named(name, params)?));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    /// The values put in as they are.
    pub fn plain(&self, values: &Values<'_>) -> String {
        self.fill(values, |value, out| out.push_str(value))
    }

    fn encoded(&self, values: &Values<'_>) -> String {
        self.fill(values, percent_encode)
    }

    fn fill(&self, values: &Values<'_>, put: impl Fn(&str, &mut String)) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Hole(hole) => put(&hole.text(values), &mut out),
            }
        }
        out
    }

    fn holes(&self) -> impl Iterator<Item = &Hole> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Hole(hole) => Some(hole),
            Piece::Literal(_) => None,
        })
    }

    pub fn has_changes(&self) -> bool {
        self.holes().any(|hole| *hole == Hole::Changes)
    }

    pub fn has_migration(&self) -> bool {
        self.holes().any(|hole| *hole == Hole::Migration)
    }

    /// Whether the configuration alone says where a request to this address goes. A server that had a part
    /// of the host in its hands, in the timestamp, could send the rows elsewhere.
    fn has_fixed_host(&self) -> bool {
        let mut slashes = 0;
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => slashes += text.matches('/').count(),
                Piece::Hole(Hole::Param(_)) => {}
                Piece::Hole(_) => return slashes > 2,
            }
        }
        true
    }

    /// The one placeholder that it consists of.
    fn only_hole(&self) -> Option<&Hole> {
        match self.0.as_slice() {
            [Piece::Hole(hole)] => Some(hole),
            _ => None,
        }
    }

    /// Whether nothing of it was written by whoever wrote the configuration.
    fn is_generated(&self) -> bool {
        self.only_hole()
            .is_some_and(|hole| !matches!(hole, Hole::Param(_)))
    }
}

/// The text before the first placeholder, its name, and the text after it.
fn next_hole(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(open) = text[from..].find('{').map(|at| from + at) {
        let inside = &text[open + 1..];
        if let Some(close) = inside.find('}')
            && is_hole(&inside[..close])
        {
            return Some((&text[..open], &inside[..close], &inside[close + 1..]));
        }
        from = open + 1;
    }
    None
}

fn is_hole(name: &str) -> bool {
    name.starts_with("param:")
        || (!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic()))
}

/// The address of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Url {
    path: Text,
    /// The parameters, each with its name.
    query: Vec<Text>,
}

impl Url {
    /// `template` follows `base`, unless it is a full address.
    ///
    /// # Errors
    /// As [`Text::parse`]; `{changes}`, which is too long for an address; a host that changes.
    pub fn parse(base: &str, template: &str, params: &Params) -> Result<Self, String> {
        let (path, query) = join(base, template);
        let query = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| Text::parse(pair, params))
            .collect::<Result<Vec<_>, _>>()?;
        let path = Text::parse(&path, params)?;
        if path.has_changes() || query.iter().any(Text::has_changes) {
            return Err("has {changes}, which belongs in pushBody".into());
        }
        if !path.has_fixed_host() {
            return Err(
                "has a placeholder in its host; only {param:NAME} may stand before the path".into(),
            );
        }
        Ok(Self { path, query })
    }

    pub fn fill(&self, values: &Values<'_>) -> String {
        let mut url = self.path.encoded(values);
        let sent = |pair: &&Text| !pair.holes().any(|hole| hole.is_omitted(values));
        for pair in self.query.iter().filter(sent) {
            add_parameter(&mut url, &pair.encoded(values));
        }
        url
    }

    pub fn has_migration(&self) -> bool {
        self.path.has_migration() || self.query.iter().any(Text::has_migration)
    }

    /// The names of parameters whose value is in the configuration.
    pub fn written_parameters(&self) -> Vec<String> {
        let written = |pair: &Text| {
            let Some(Piece::Literal(first)) = pair.0.first() else {
                return None;
            };
            let (name, value) = first.split_once('=').unwrap_or((first, ""));
            let rest = Text(pair.0[1..].to_vec());
            (!value.is_empty() || !rest.is_generated()).then(|| name.to_owned())
        };
        self.query.iter().filter_map(written).collect()
    }
}

/// Path and query of a template behind a base address. Fragments are not sent.
fn join(base: &str, template: &str) -> (String, String) {
    let cut = |text: &str| {
        let text = text.split('#').next().unwrap_or_default();
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        (path.to_owned(), query.to_owned())
    };
    let (path, query) = cut(template);
    if path.starts_with("http://") || path.starts_with("https://") {
        return (path, query);
    }
    let (base_path, base_query) = cut(base);
    let path = match path.as_str() {
        "" => base_path,
        path => format!(
            "{}/{}",
            base_path.trim_end_matches('/'),
            path.trim_start_matches('/')
        ),
    };
    (path, format!("{base_query}&{query}"))
}

/// Appends `name=value`, encoded already.
pub fn add_parameter(url: &mut String, pair: &str) {
    url.push(if url.contains('?') { '&' } else { '?' });
    url.push_str(pair);
}

/// The body of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    Text(Text),
    List(Vec<Body>),
    Object(Vec<(String, Body)>),
    /// Numbers, booleans, null.
    Plain(Json),
}

/// Writes the value of `{changes}`.
pub type WriteChanges<'a> = &'a mut dyn FnMut(&mut dyn Write) -> io::Result<()>;

impl Body {
    /// Reads JSON in which a text that is a placeholder is replaced by its value. A body given as text is such
    /// JSON with the placeholders' quotes left out.
    ///
    /// # Errors
    /// As [`Text::parse`]; a text that is not JSON.
    pub fn parse(template: &Json, params: &Params) -> Result<Self, String> {
        let Json::String(text) = template else {
            return Self::parse_part(template, params);
        };
        let json = serde_json::from_str(&with_quotes(text)).map_err(|error| {
            let problem = syntax_problem(&error);
            format!("is not JSON, even with its placeholders filled in: {problem}")
        })?;
        Self::parse_part(&json, params)
    }

    fn parse_part(part: &Json, params: &Params) -> Result<Self, String> {
        Ok(match part {
            Json::String(text) => {
                let text = Text::parse(text, params)?;
                if text.has_changes() && text.only_hole().is_none() {
                    return Err("has {changes} within a text; give it a place of its own".into());
                }
                Self::Text(text)
            }
            Json::Array(parts) => Self::List(
                parts
                    .iter()
                    .map(|part| Self::parse_part(part, params))
                    .collect::<Result<_, _>>()?,
            ),
            Json::Object(members) => Self::Object(
                members
                    .iter()
                    .map(|(key, part)| Ok((key.clone(), Self::parse_part(part, params)?)))
                    .collect::<Result<_, String>>()?,
            ),
            plain => Self::Plain(plain.clone()),
        })
    }

    /// # Errors
    /// Those of writing.
    pub fn write(
        &self,
        values: &Values<'_>,
        changes: WriteChanges<'_>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        match self {
            Self::Plain(json) => write!(out, "{json}"),
            Self::Text(text) => match text.only_hole() {
                Some(Hole::Changes) => changes(out),
                Some(hole) => out.write_all(hole.json(values).as_bytes()),
                None => write!(out, "{}", Json::String(text.plain(values))),
            },
            Self::List(parts) => {
                out.write_all(b"[")?;
                for (number, part) in parts.iter().enumerate() {
                    if number > 0 {
                        out.write_all(b",")?;
                    }
                    part.write(values, &mut *changes, out)?;
                }
                out.write_all(b"]")
            }
            Self::Object(members) => {
                out.write_all(b"{")?;
                let sent = |(_, part): &&(String, Body)| !part.is_omitted(values);
                for (number, (key, part)) in members.iter().filter(sent).enumerate() {
                    if number > 0 {
                        out.write_all(b",")?;
                    }
                    write!(out, "{}:", Json::from(key.as_str()))?;
                    part.write(values, &mut *changes, out)?;
                }
                out.write_all(b"}")
            }
        }
    }

    fn is_omitted(&self, values: &Values<'_>) -> bool {
        match self {
            Self::Text(text) => text.only_hole().is_some_and(|hole| hole.is_omitted(values)),
            _ => false,
        }
    }

    pub fn has_changes(&self) -> bool {
        self.any(&mut |text| text.has_changes())
    }

    pub fn has_migration(&self) -> bool {
        self.any(&mut |text| text.has_migration())
    }

    fn any(&self, is: &mut dyn FnMut(&Text) -> bool) -> bool {
        match self {
            Self::Text(text) => is(text),
            Self::List(parts) => parts.iter().any(|part| part.any(is)),
            Self::Object(members) => members.iter().any(|(_, part)| part.any(is)),
            Self::Plain(_) => false,
        }
    }

    /// The keys whose value is in the configuration as text.
    pub fn written_keys(&self) -> Vec<String> {
        match self {
            Self::List(parts) => parts.iter().flat_map(Self::written_keys).collect(),
            Self::Object(members) => members
                .iter()
                .flat_map(|(key, part)| match part {
                    Self::Text(text) if !text.is_generated() => vec![key.clone()],
                    part => part.written_keys(),
                })
                .collect(),
            Self::Text(_) | Self::Plain(_) => Vec::new(),
        }
    }
}

/// Puts quotes around placeholders that stand outside of any.
fn with_quotes(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    let mut quoted = false;
    let mut escaped = false;
    while let Some(character) = rest.chars().next() {
        if !quoted
            && character == '{'
            && let Some(("", name, after)) = next_hole(rest)
        {
            out.push_str(&format!("\"{{{name}}}\""));
            rest = after;
            continue;
        }
        quoted ^= character == '"' && !escaped;
        escaped = quoted && character == '\\' && !escaped;
        out.push(character);
        rest = &rest[character.len_utf8()..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const KNOWN: Values<'_> = Values {
        cursor: Some("1.50"),
        first: FirstToken::Omitted,
        schema_version: 3,
        migration: Some(r#"{"from":1}"#),
    };

    fn first(first: FirstToken) -> Values<'static> {
        Values {
            cursor: None,
            first,
            schema_version: 3,
            migration: None,
        }
    }

    fn params() -> Params {
        [
            ("a", json!("x y&")),
            ("n", json!(5)),
            ("o", json!({"p": [1]})),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    fn url(base: &str, template: &str, values: &Values<'_>) -> String {
        Url::parse(base, template, &params()).unwrap().fill(values)
    }

    fn body(template: Json, values: &Values<'_>) -> String {
        let mut out = Vec::new();
        Body::parse(&template, &params())
            .unwrap()
            .write(values, &mut |out| out.write_all(b"<changes>"), &mut out)
            .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn templates_follow_the_base() {
        for (base, template, whole) in [
            ("http://h/sync", "", "http://h/sync"),
            ("http://h/sync", "?a=1", "http://h/sync?a=1"),
            ("http://h/sync?k=1#f", "?a=1", "http://h/sync?k=1&a=1"),
            ("http://h/v1/", "/pull", "http://h/v1/pull"),
            ("http://h/v1?k=1", "pull?a=1#f", "http://h/v1/pull?k=1&a=1"),
            ("http://h", "/pull", "http://h/pull"),
            ("http://h", "https://other/x?y", "https://other/x?y"),
        ] {
            assert_eq!(url(base, template, &KNOWN), whole, "{base} {template}");
        }
    }

    #[test]
    fn values_are_encoded_in_urls() {
        let template =
            "/{param:a}?c={lastPulledAt}&v={schemaVersion}&m={migration}&n={param:n}&{x-y}={}";
        assert_eq!(
            url("http://h", template, &KNOWN),
            "http://h/x%20y%26?c=1.50&v=3&m=%7B%22from%22%3A1%7D&n=5&{x-y}={}"
        );
        let opaque = Values {
            cursor: Some(r#""a/b""#),
            ..KNOWN
        };
        assert_eq!(
            url("http://h", "?c={lastPulledAt}", &opaque),
            "http://h?c=a%2Fb"
        );
    }

    #[test]
    fn the_first_token() {
        for (token, in_url, in_body) in [
            (FirstToken::Null, "?v=1&c=null", r#"{"v":1,"c":null}"#),
            (FirstToken::Zero, "?v=1&c=0", r#"{"v":1,"c":0}"#),
            (FirstToken::Empty, "?v=1&c=", r#"{"v":1,"c":""}"#),
            (FirstToken::Omitted, "?v=1", r#"{"v":1}"#),
        ] {
            let values = first(token);
            assert_eq!(
                url("", "?v=1&c={lastPulledAt}", &values),
                in_url,
                "{token:?}"
            );
            let template = json!({"v": 1, "c": "{lastPulledAt}"});
            assert_eq!(body(template, &values), in_body, "{token:?}");
        }
    }

    #[test]
    fn bodies_are_json() {
        assert_eq!(body(json!("{changes}"), &KNOWN), "<changes>");
        let template = json!({"changes": "{changes}", "at": "{lastPulledAt}", "v": "{schemaVersion}",
            "m": "{migration}", "user": {"id": "{param:a}", "o": "{param:o}"}, "l": ["{param:n}", null, true],
            "said": "v{schemaVersion} of {param:a}"});
        assert_eq!(
            body(template, &KNOWN),
            r#"{"changes":<changes>,"at":1.50,"v":3,"m":{"from":1},"user":{"id":"x y&","o":{"p":[1]}},"l":[5,null,true],"said":"v3 of x y&"}"#
        );
        let text = r#"{"changes": {changes}, "at":{lastPulledAt}, "quo\"ted": "{schemaVersion}!"}"#;
        assert_eq!(
            body(json!(text), &KNOWN),
            r#"{"changes":<changes>,"at":1.50,"quo\"ted":"3!"}"#
        );
        assert_eq!(
            body(
                json!("{\"at\":{lastPulledAt}}"),
                &first(FirstToken::Omitted)
            ),
            "{}"
        );
    }

    #[test]
    fn what_is_refused() {
        let none = Params::new();
        assert!(Url::parse("http://h", "?x={lastpulledat}", &none).is_err());
        assert!(Url::parse("http://h", "?x={param:zzz}", &none).is_err());
        assert!(Url::parse("http://h", "?x={changes}", &none).is_err());
        for template in [
            json!("hello"),
            json!("{\"a\":{lastPulledAt}"),
            json!({"a": "x{changes}"}),
            json!({"a": ["{nope}"]}),
        ] {
            assert!(Body::parse(&template, &none).is_err(), "{template}");
        }
    }

    /// Found by fuzzing.
    #[test]
    fn no_server_has_a_part_of_the_host_in_its_hands() {
        for (base, template) in [
            ("http://h{lastPulledAt}", ""),
            ("http://{lastPulledAt}/sync", "?a=1"),
            ("http://h:{schemaVersion}/", "x"),
            ("http://h", "https://{migration}.example.com/"),
            ("http://{param:a}{lastPulledAt}/", ""),
        ] {
            let refusal = Url::parse(base, template, &params()).unwrap_err();
            assert!(refusal.contains("host"), "{base} {template}: {refusal}");
        }
        for (base, template, whole) in [
            (
                "http://h{param:n}/{lastPulledAt}",
                "?v={schemaVersion}",
                "http://h5/1.50?v=3",
            ),
            ("http://h", "{lastPulledAt}", "http://h/1.50"),
            ("http://h?{lastPulledAt}", "", "http://h?1.50"),
        ] {
            assert_eq!(url(base, template, &KNOWN), whole, "{base} {template}");
        }
    }

    #[test]
    fn what_the_configuration_wrote_itself() {
        let url = Url::parse(
            "http://h?k=1",
            "?token={lastPulledAt}&auth={param:a}&secret=x{schemaVersion}&bare",
            &params(),
        );
        assert_eq!(
            url.unwrap().written_parameters(),
            ["k", "auth", "secret", "bare"]
        );
        let template = json!({"token": "{lastPulledAt}", "secret": "x", "in": [{"auth": "{param:a}"}], "n": 1});
        let body = Body::parse(&template, &params()).unwrap();
        assert_eq!(body.written_keys(), ["secret", "auth"]);
    }
}
