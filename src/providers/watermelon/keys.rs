//! The keys that only this protocol has.

use super::preset;
use crate::ground::key::{FOREVER, Key, Takes, Usual, key};

pub const PULL_METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH"];
pub const PUSH_METHODS: &[&str] = &["POST", "PUT", "PATCH"];

/// As far as the numbers of JavaScript are exact.
const MOST_OVERLAP: u64 = 1 << 53;

#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("schemaVersion", Takes::Number(1, FOREVER), Usual::Words("`PRAGMA user_version`, at least 1"), "schema version sent to the backend", r#"{"schemaVersion":4}"#),
    key("migrations", Takes::Json, Usual::Nothing, "list of migrations sent to the backend, or `\"auto\"`", r#"{"migrations":"auto"}"#),
    key("migrationsEnabledAtVersion", Takes::Number(1, FOREVER), Usual::Nothing, "the schema version from which migrations are sent; needs a list of `migrations`", r#"{"migrationsEnabledAtVersion":1,"migrations":[{"toVersion":2,"steps":[{"type":"add_columns","table":"planes","columns":["range"]}]}]}"#),
    key("preset", Takes::OneOf(preset::NAMES), Usual::Nothing, "a backend of a known shape: fills in keys that are not given; `url` is then the base address", r#"{"preset":"seed"}"#),
    key("pullMethod", Takes::Method(PULL_METHODS), Usual::Json("\"GET\""), "method of a pull", r#"{"pullMethod":"POST"}"#),
    key("pullUrl", Takes::Text, Usual::Json("\"?last_pulled_at={lastPulledAt}&schema_version={schemaVersion}&migration={migration}\""), "what is appended to `url` in a pull, or a full address; a template", r#"{"pullUrl":"/pull?since={lastPulledAt}"}"#),
    key("pullBody", Takes::Json, Usual::Nothing, "body of a pull; a template", r#"{"pullMethod":"POST","pullBody":{"since":"{lastPulledAt}"}}"#),
    key("pushMethod", Takes::Method(PUSH_METHODS), Usual::Json("\"POST\""), "method of a push", r#"{"pushMethod":"PUT"}"#),
    key("pushUrl", Takes::Text, Usual::Json("\"?last_pulled_at={lastPulledAt}\""), "as `pullUrl`, for a push", r#"{"pushUrl":"/push"}"#),
    key("pushBody", Takes::Json, Usual::Json("\"{changes}\""), "body of a push; a template with `{changes}` in it", r#"{"pushBody":{"changes":"{changes}"}}"#),
    key("params", Takes::Map(&Takes::Json), Usual::Nothing, "the values of `{param:NAME}` in templates", r#"{"params":{"account":7}}"#),
    key("firstToken", Takes::Values(&["null", "0", "\"omitted\"", "\"empty\""]), Usual::Json("null"), "what `{lastPulledAt}` is before the first pull; `\"omitted\"`: the parameter or key is left out", r#"{"firstToken":0}"#),
    key("cursorUnit", Takes::OneOf(&["ms", "s", "opaque"]), Usual::Json("\"ms\""), "the unit of the backend's timestamp; `opaque`: any number or text, never used in arithmetic", r#"{"cursorUnit":"s"}"#),
    key("overlap", Takes::Number(0, MOST_OVERLAP), Usual::Words("1 for `s`, else 0"), "how far before its cursor a pull begins, in that unit; a second one begins at the cursor. Never for the first pull, never in a push", r#"{"overlap":1000}"#),
    key("timestampPath", Takes::Text, Usual::Json("\"$.timestamp\""), "place of the timestamp in a pull answer: `$.` and names with dots between them", r#"{"timestampPath":"$.data.now"}"#),
    key("changesPath", Takes::Text, Usual::Json("\"$.changes\""), "place of the changes in a pull answer", r#"{"changesPath":"$.data.changes"}"#),
    key("rejectedPath", Takes::Text, Usual::Json("\"$.experimentalRejectedIds\""), "place of the rejected rows in a push answer; `$` is the whole answer", r#"{"rejectedPath":"$.rejected"}"#),
    key("rejectedFormat", Takes::OneOf(&["tables", "list"]), Usual::Json("\"tables\""), "`tables`: `{\"table\":[\"id\"…]}`; `list`: `[{\"table\",\"id\",\"reason\"}…]`; either is understood unless `lenient` is false", r#"{"rejectedFormat":"list"}"#),
    key("successPath", Takes::Text, Usual::Nothing, "place in a 2xx push answer that must be true; if not, the push counts as refused", r#"{"successPath":"$.ok"}"#),
    key("sendMeta", Takes::Switch, Usual::Json("true"), "whether pushed rows carry `_status` and `_changed`", r#"{"sendMeta":false}"#),
    key("sendTables", Takes::Switch, Usual::Words("true; false with `preset` or `pullUrl`"), "whether a pull names its entities in the parameter `tables`", r#"{"sendTables":false}"#),
    key("sendEmptyTables", Takes::Switch, Usual::Json("true"), "whether a push names entities without rows to push", r#"{"sendEmptyTables":false}"#),
    key("boolAs", Takes::OneOf(&["true/false", "0/1"]), Usual::Json("\"true/false\""), "how booleans are sent; both forms are accepted", r#"{"boolAs":"0/1"}"#),
    key("idAs", Takes::OneOf(&["string", "number"]), Usual::Json("\"string\""), "how ids of INTEGER keys are sent; both forms are accepted", r#"{"idAs":"number"}"#),
    key("lenient", Takes::Switch, Usual::Json("true"), "whether a pull answer can leave lists out and name a row twice; false: it is refused", r#"{"lenient":false}"#),
    key("stripMeta", Takes::Switch, Usual::Words("false; true with a `preset` other than `docs`"), "whether `_status` and `_changed` in pulled rows are ignored; false: the answer is refused", r#"{"stripMeta":true}"#),
    key("jsNumbers", Takes::Switch, Usual::Json("false"), "whether pulled integers beyond 2^53 lose digits, as in JavaScript", r#"{"jsNumbers":true}"#),
    key("coerce", Takes::Switch, Usual::Json("false"), "whether pulled values of another type than their column's are converted (`\"5\"` to 5), not replaced", r#"{"coerce":true}"#),
    key("sendCreatedAsUpdated", Takes::Switch, Usual::Json("false"), "the backend announces new rows as updated: no warning for those, one if rows come as created", r#"{"sendCreatedAsUpdated":true}"#),
    key("retryOnce", Takes::Switch, Usual::Json("true"), "whether a push that is refused is answered by one more pull and push", r#"{"retryOnce":false}"#),
];
