//! The kinds of providers, and how a configuration is read.
//!
//! A new kind is a folder or file next to this one, and one line in [`KINDS`].

use parking_lot::RwLock;
use serde_json::{Map, Value as Json};

use super::kind::{Kind, Settings};
use super::{host, http_keys, oversync, rest, sqlite, table_keys, watermelon};
use crate::ground::key::{Key, Keys, Takes, Usual, key, key_names, shown, unknown_key};
use crate::ground::read_object;

/// The kinds that this library brings.
pub const KINDS: &[&Kind] = &[
    &host::KIND,
    &watermelon::KIND,
    &oversync::KIND,
    &rest::KIND,
    &sqlite::KIND,
];

/// The keys of the functions that providers have.
pub const FUNCTION_KEYS: Keys = rest::FUNCTION_KEYS;

/// Those that were added to it.
static ADDED: RwLock<Vec<&'static Kind>> = RwLock::new(Vec::new());

/// Adds a kind, for programs (and tests) that link the library and bring a protocol of their own. Call it
/// before a connection uses it. One of the same name as a known kind is not reached.
pub fn add(kind: &'static Kind) {
    ADDED.write().push(kind);
}

/// Every kind there is.
pub fn all() -> Vec<&'static Kind> {
    KINDS.iter().chain(ADDED.read().iter()).copied().collect()
}

/// The kind of a name.
pub fn find(name: &str) -> Option<&'static Kind> {
    all().into_iter().find(|kind| kind.name == name)
}

/// The names of all kinds, for a reader.
pub fn names() -> String {
    let names: Vec<&str> = all().iter().map(|kind| kind.name).collect();
    names.join(", ")
}

/// What a configuration of any kind may have. `schema` goes to `sync_provider`, which takes it out.
#[rustfmt::skip]
pub const EVERY: &[Key] = &[
    key("kind", Takes::Text, Usual::Required, "who moves the data: your program, or syncscope by a protocol", r#"{"kind":"host"}"#),
    SCHEMA,
];

/// What becomes of what is known of the backend, where the call may change which one it is: options of `sync_provider`,
/// which also takes them out of a configuration.
#[rustfmt::skip]
pub const KEEP_CURSOR: Key = key("keepCursor", Takes::Switch, Usual::Json("false"), "another origin, parameters or `cursorUnit` mean the same data; cursors and what is known of pushes stay", r#"{"keepCursor":true}"#);
#[rustfmt::skip]
pub const RESET: Key = key("reset", Takes::Switch, Usual::Json("false"), "the next pull starts from the beginning, and what is known of pushes is forgotten; what waits to be sent stays", r#"{"reset":true}"#);

/// The attached file that a provider belongs to.
#[rustfmt::skip]
pub const SCHEMA: Key = key("schema", Takes::Text, Usual::Json("\"main\""), "the attached file that the provider belongs to", r#"{"schema":"main"}"#);

/// Reads a configuration as `sync_provider` takes it.
///
/// # Errors
/// `config: <key> <problem>; <what to do>`.
pub fn read(given: Map<String, Json>) -> Result<Settings, String> {
    let checked = || {
        let (kind, mut given) = split(given)?;
        // A key that is null counts as not given, if any kind has it.
        given.retain(|key, value| !value.is_null() || has(kind, key) || owners(key).is_empty());
        if let Some(stray) = given.keys().find(|key| !has(kind, key)) {
            return Err(refusal(kind, stray));
        }
        check(kind, &given)
    };
    checked().map_err(|problem| format!("config: {problem}"))
}

/// The same from its text.
///
/// # Errors
/// As [`read`].
pub fn parse(text: &str) -> Result<Settings, String> {
    read(read_object(text, "config")?)
}

/// Reads a configuration out of a file. Version 0.1.0 has stored keys that only another kind has; they
/// never had an effect, and are ignored.
///
/// # Errors
/// As [`read`].
pub fn parse_stored(text: &str) -> Result<Settings, String> {
    let given = read_object(text, "config")?;
    let checked = || {
        let (kind, mut given) = split(given)?;
        given.retain(|key, _| has(kind, key) || owners(key).is_empty());
        check(kind, &given)
    };
    checked().map_err(|problem| format!("config: {problem}"))
}

/// The kind, and the other keys.
fn split(mut given: Map<String, Json>) -> Result<(&'static Kind, Map<String, Json>), String> {
    let kind = given
        .shift_remove("kind")
        .ok_or_else(|| format!("kind is missing; give one of {}", names()))?;
    match kind.as_str().and_then(find) {
        Some(kind) => Ok((kind, given)),
        None => Err(format!(
            "kind must be one of {}, not {}",
            names(),
            shown(&kind)
        )),
    }
}

fn check(kind: &'static Kind, given: &Map<String, Json>) -> Result<Settings, String> {
    let settings = Settings::read(kind, given)?;
    http_keys::check(&settings)?;
    table_keys::check(&settings)?;
    (kind.check)(&settings)?;
    Ok(settings)
}

fn has(kind: &Kind, key: &str) -> bool {
    key_names(kind.keys).contains(&key)
}

/// The names of the kinds that have a key.
fn owners(key: &str) -> Vec<&'static str> {
    all()
        .into_iter()
        .filter(|kind| has(kind, key))
        .map(|kind| kind.name)
        .collect()
}

fn refusal(kind: &Kind, stray: &str) -> String {
    let owners = owners(stray);
    if owners.is_empty() {
        let mut known = key_names(&[EVERY]);
        known.extend(key_names(kind.keys));
        return unknown_key("", stray, &known, kind.name);
    }
    format!(
        "{stray} is a key of kind {}, which kind {} does not have; leave it out",
        owners.join(" and "),
        kind.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Policy;
    use crate::providers::table_keys::apply_rules;
    use crate::providers::{Transport, policy};

    fn refused(text: &str) -> String {
        parse(text).err().unwrap_or_default()
    }

    #[test]
    fn what_is_refused() {
        for (text, said) in [
            (
                "{",
                "config is not valid JSON: it ends too early (line 1, column 1)",
            ),
            ("[]", "config must be a JSON object, not a list"),
            (
                r#"{"kind":"pigeon"}"#,
                "config: kind must be one of host, watermelon, oversync, rest, sqlite",
            ),
            (r#"{"kind":7}"#, "not 7"),
            (
                r#"{"url":"http://x"}"#,
                "config: kind is missing; give one of host, watermelon, oversync, rest, sqlite",
            ),
            (
                r#"{"kind":"watermelon"}"#,
                r#"config: url is missing; give it, as in {"url":"http"#,
            ),
            (
                r#"{"kind":"watermelon","url":{}}"#,
                "config: url must be text, not an object",
            ),
            (
                r#"{"kind":"watermelon","url":"ftp://x"}"#,
                "url must start with http:// or https://",
            ),
            (
                r#"{"kind":"watermelon","url":"http://{lastPulledAt}.org"}"#,
                "config: url has a placeholder in its host",
            ),
            (
                r#"{"kind":"watermelon","url":"http://a b"}"#,
                "config: url has white space",
            ),
            (
                r#"{"kind":"watermelon","url":"http://x?token=y"}"#,
                "config: the parameter of url token would write a secret",
            ),
            (
                r#"{"kind":"watermelon","url":"http://x","ulr":1}"#,
                "config: unknown key \"ulr\"; did you mean \"url\"?",
            ),
            (
                r#"{"kind":"watermelon","url":"http://x","shema":"main"}"#,
                "did you mean \"schema\"?",
            ),
            (
                r#"{"kind":"watermelon","url":"http://x","colour":1}"#,
                "SELECT key FROM sync_help_option WHERE of = 'watermelon'",
            ),
            (
                r#"{"kind":"host","colour":1}"#,
                "unknown key \"colour\"; known are kind, schema",
            ),
            (
                r#"{"kind":"host","url":"http://x"}"#,
                "url is a key of kind watermelon and oversync and rest, which kind host does not have; leave it out",
            ),
            (
                r#"{"kind":"watermelon","url":"http://x","headers":{"authorization":"Bearer t"}}"#,
                "header authorization would write a secret into the database; use token",
            ),
        ] {
            let refusal = refused(text);
            assert!(refusal.contains(said), "{text}: {refusal}");
        }
    }

    #[test]
    fn a_key_of_another_kind_that_is_null_counts_as_not_given() {
        assert!(parse(r#"{"kind":"host","url":null}"#).is_ok());
        let refusal = refused(r#"{"kind":"host","colour":null}"#);
        assert!(refusal.contains("unknown key \"colour\""), "{refusal}");
    }

    #[test]
    fn keys_with_a_wrong_value_are_named() {
        for (key, value) in [
            ("sendMeta", "5"),
            ("migrationsEnabledAtVersion", "\"9\""),
            ("migrationsEnabledAtVersion", "1.5"),
            ("migrationsEnabledAtVersion", "0"),
            ("schemaVersion", "0"),
            ("cursorUnit", "\"days\""),
            ("boolAs", "\"yes\""),
            ("idAs", "1"),
            ("rejectedFormat", "\"map\""),
            ("preset", "\"nope\""),
            ("pushBatch", "-1"),
            ("pushBatch", "1000001"),
            ("overlap", "0.5"),
            ("overlap", "9007199254740993"),
            ("echoIgnore", "\"a\""),
            ("echoIgnore", "[1]"),
            ("excludeColumns", r#"{"a":"b"}"#),
            ("params", "[]"),
            ("firstToken", "\"null\""),
            ("firstToken", "1"),
            ("pullMethod", "\"FETCH\""),
            ("pushMethod", "\"GET\""),
            ("pullUrl", "\"?a={nope}\""),
            ("pullUrl", "\"http://{schemaVersion}.org\""),
            ("pullUrl", "\"http://a b\""),
            ("pushUrl", "\"?a={changes}\""),
            ("pullBody", "{}"),
            ("pushBody", "{}"),
            ("pushBody", "\"{changes\""),
            ("timestampPath", "\"timestamp\""),
            ("timestampPath", "\"$\""),
            ("changesPath", "\"$\""),
            ("changesPath", "\"$.timestamp.changes\""),
            ("rejectedPath", "\"\""),
            ("successPath", "\"$.a[0]\""),
            ("lenient", "null"),
            ("params", r#"{"apiKey":"x"}"#),
            ("pullUrl", "\"?token=x\""),
            ("pushBody", r#"{"changes":"{changes}","password":"x"}"#),
            ("headers", r#"{"X":"{param:x}"}"#),
            ("migrations", "5"),
            ("attempts", "0"),
            ("busyTimeoutMs", "3600001"),
        ] {
            let text = format!(r#"{{"kind":"watermelon","url":"http://x","{key}":{value}}}"#);
            let refusal = refused(&text);
            let said = refusal.strip_prefix("config: ").unwrap_or_default();
            assert!(said.contains(key), "{text}: {refusal}");
        }
    }

    #[test]
    fn combinations_that_make_no_sense() {
        for (keys, said) in [
            (r#""cursorUnit":"opaque","overlap":1"#, "overlap"),
            (r#""preset":"seed","pullMethod":"GET""#, "pullBody"),
            (r#""preset":"seed","migrations":"auto""#, "{migration}"),
            (r#""migrationsEnabledAtVersion":1"#, "no migrations"),
            (r#""pullMethod":"POST","pullBody":"{changes}""#, "pullBody"),
        ] {
            let text = format!(r#"{{"kind":"watermelon","url":"http://x",{keys}}}"#);
            assert!(refused(&text).contains(said), "{text}: {}", refused(&text));
        }
    }

    #[test]
    fn every_preset_is_a_configuration_and_explicit_keys_win() {
        for preset in ["docs", "seed", "camel_query", "rpc", "seconds"] {
            let text =
                format!(r#"{{"kind":"watermelon","url":"http://x/v1","preset":"{preset}"}}"#);
            let settings = parse(&text).unwrap();
            assert_eq!(settings.stored(), text);
            assert!(settings.is_set("pushUrl"), "{preset}");
        }
        let text = r#"{"kind":"watermelon","url":"http://x","preset":"camel_query","firstToken":null,
            "rejectedFormat":"tables"}"#;
        let settings = parse(text).unwrap();
        assert_eq!(settings.get("firstToken"), Some(&Json::Null));
        assert_eq!(settings.text("rejectedFormat"), "tables");
        assert_eq!(settings.text("rejectedPath"), "$.rejected");
    }

    #[test]
    fn defaults_are_not_written_out() {
        let text = r#"{"kind":"watermelon","url":"http://x"}"#;
        let settings = parse(text).unwrap();
        assert!(settings.flag("retryOnce") && settings.flag("sendMeta"));
        assert_eq!(settings.stored(), text);
        assert_eq!(policy(&settings), Policy::default());
        let rules = apply_rules(&settings);
        assert_eq!(rules.echo_ignore, ["created_at", "updated_at"]);
    }

    #[test]
    fn what_is_stored_does_not_depend_on_how_it_was_written() {
        let written = r#"{"headers": {"X-B":"b","X-A":"a"}, "attempts":2, "token":null, "url":"http://x",
            "kind":"watermelon"}"#;
        let settings = parse(written).unwrap();
        assert_eq!(
            settings.stored(),
            r#"{"kind":"watermelon","url":"http://x","headers":{"X-A":"a","X-B":"b"},"attempts":2}"#
        );
        let again = parse(settings.stored()).unwrap();
        assert_eq!(again.stored(), settings.stored());
        assert_eq!(again.optional_text("token"), None);
    }

    #[test]
    fn what_an_earlier_version_stored_still_loads() {
        let stray = r#"{"kind":"host","pullUrl":"x","attempts":2}"#;
        assert!(refused(stray).contains("pullUrl is a key of kind watermelon"));
        let settings = parse_stored(stray).unwrap();
        assert_eq!(settings.stored(), r#"{"kind":"host"}"#);
        assert_eq!(settings.optional_text("pullUrl"), None);
        let unheard = parse_stored(r#"{"kind":"host","colour":1}"#);
        assert!(unheard.unwrap_err().contains("unknown key \"colour\""));
    }

    #[test]
    fn every_declaration_is_sound() {
        for kind in all() {
            let mut seen = Vec::new();
            for key in EVERY.iter().chain(kind.keys.iter().copied().flatten()) {
                assert!(!seen.contains(&key.name), "{kind:?} has {} twice", key.name);
                seen.push(key.name);
                let default = key.default_value();
                assert!(matches!(key.default, Usual::Json(_)) == default.is_some());
                if let Some(default) = default {
                    assert_eq!(key.check(&default, key.name), Ok(()));
                }
                let example: Json = serde_json::from_str(key.example).expect(key.example);
                assert!(example.get(key.name).is_some(), "{}", key.example);
            }
        }
    }

    #[test]
    fn a_program_can_add_a_kind_of_its_own() {
        static TAPE: Kind = Kind {
            name: "tape",
            transport: Transport::Nobody,
            keys: &[&[key(
                "speed",
                Takes::Number(1, 3),
                Usual::Json("2"),
                "",
                r#"{"speed":1}"#,
            )]],
            fill: |_| Map::new(),
            functions: None,
            check: |settings| match settings.number("speed") {
                3 => Err("speed is 3, which tears the tape; give 1 or 2".into()),
                _ => Ok(()),
            },
            open: None,
        };
        assert!(refused(r#"{"kind":"tape"}"#).contains("kind must be"));
        add(&TAPE);
        assert_eq!(parse(r#"{"kind":"tape"}"#).unwrap().number("speed"), 2);
        assert!(refused(r#"{"kind":"tape","speed":3}"#).contains("config: speed is 3"));
        let elsewhere = refused(r#"{"kind":"host","speed":1}"#);
        assert!(
            elsewhere.contains("speed is a key of kind tape"),
            "{elsewhere}"
        );
    }
}
