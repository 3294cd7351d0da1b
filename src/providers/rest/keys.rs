//! The keys of a provider that is described by functions, and those of a function.

use crate::ground::key::{FOREVER, Key, Keys, Takes, Usual, key};

#[rustfmt::skip]
pub const PROVIDER: &[Key] = &[
    key("order", Takes::OneOf(&["push-first", "pull-first"]), Usual::Json("\"push-first\""), "whether a sync sends what waits before it reads: a backend without a log of changes shows only what it has now", r#"{"order":"pull-first"}"#),
];

#[rustfmt::skip]
const REQUEST: &[Key] = &[
    key("method", Takes::Method(&["GET", "POST", "PUT", "PATCH", "DELETE"]), Usual::Json("\"GET\""), "the method of the request", r#"{"method":"POST","path":"/search"}"#),
    key("path", Takes::Text, Usual::Required, "where to, behind the provider's `url`; with `{param:NAME}` and other [places](rest.md#places-in-a-request), whose values are percent-encoded", r#"{"path":"/shops/{param:shop}/books","parameters":{"shop":{"required":true}}}"#),
    key("query", Takes::Map(&Takes::Json), Usual::Nothing, "parameters of the address; one whose value is a place without a value is left out", r#"{"path":"/books","query":{"sort":"title"}}"#),
    key("headers", Takes::Map(&Takes::Text), Usual::Nothing, "headers besides the provider's; never a credential", r#"{"path":"/books","headers":{"Accept-Language":"en"}}"#),
    key("body", Takes::Json, Usual::Nothing, "the body, as JSON; a text that is one place becomes its value", r#"{"path":"/search","method":"POST","body":{"filter":{"year":2024}}}"#),
    key("parameters", Takes::Map(&Takes::Json), Usual::Nothing, "what calls may give: name to `{\"required\":true}`, `{\"default\":…}`, `{\"type\":\"text\"}` (`text`, `number`, `boolean`)", r#"{"path":"/books","query":{"year":"{param:year}"},"parameters":{"year":{"required":true,"type":"number"}}}"#),
    key("conditional", Takes::Switch, Usual::Json("true"), "whether `ETag` and `Last-Modified` of an answer of one page are kept, and sent with the next request; 304 means that nothing has changed", r#"{"path":"/books","conditional":false}"#),
    key("success", Takes::Map(&Takes::Json), Usual::Words("a status of 2xx, and none of `\"ok\":false`, `\"success\":false` and `\"errors\":[…]` at the top"), "path to the value that it has in a good answer", r#"{"path":"/books","success":{"$.status":"ok"}}"#),
    key("errors", Takes::List(&Takes::Map(&Takes::Json)), Usual::Nothing, "rules for answers that say no, the first that fits counts: `status`, `path` and `is`, or `text` say which; `class`, `retryable`, `message`, `expired` (the cursor is, all is read again) or `ignore` (nothing came) what it means", r#"{"path":"/books","errors":[{"status":410,"expired":true}]}"#),
];

#[rustfmt::skip]
const ROWS: &[Key] = &[
    key("records", Takes::Text, Usual::Json("\"$\""), "the way to the rows in an answer: a list, or one object", r#"{"path":"/books","records":"$.items"}"#),
    key("keyed", Takes::Text, Usual::Nothing, "the rows are the members of an object; their names go into this member of each row", r#"{"path":"/books","records":"$.byId","keyed":"id"}"#),
    key("format", Takes::OneOf(&["auto", "json", "ndjson", "csv"]), Usual::Json("\"auto\""), "how the answer is written; `auto`: by its content type", r#"{"path":"/books.csv","format":"csv"}"#),
    key("key", Takes::Json, Usual::Json("\"id\""), "the member of a row that names it, or the way to it; several in a list are joined with hyphens", r#"{"path":"/books","key":"isbn"}"#),
    key("columns", Takes::Map(&Takes::Json), Usual::Words("members of the columns' names; of a table of documents `data` is the row, `timestamp` the time"), "column to the way to its value, `\"*\"` (the row as JSON), `{\"value\":…}` (always the same), `{\"param\":\"NAME\"}`, `{\"header\":\"etag\"}` (of an answer about this row alone) or `{\"sql\":\"…\"}` (an expression over `:record`, the row as JSON)", r#"{"path":"/books","columns":{"title":"$.info.title","source":{"value":"shop"}}}"#),
    key("timestamp", Takes::Text, Usual::Words("the time of the request"), "of a table of documents: the member that is the time of a row, or the way to it", r#"{"path":"/books","timestamp":"updated_at"}"#),
    key("filter", Takes::Text, Usual::Words("all rows"), "an SQL expression over `:record`, the row as JSON: rows for which it is not true are passed over, and count as gone; only run on connections that were given it", r#"{"path":"/books","filter":":record ->> 'price' > 5"}"#),
];

#[rustfmt::skip]
const READING: &[Key] = &[
    key("paging", Takes::Map(&Takes::Json), Usual::Words("`{\"kind\":\"auto\"}`"), "how one page follows another, see [pages](rest.md#pages)", r#"{"path":"/books","paging":{"kind":"page","size":100}}"#),
    key("incremental", Takes::Map(&Takes::Json), Usual::Words("all is read each time"), "how only what is new is read, see [what is new](rest.md#what-is-new)", r#"{"path":"/books","incremental":{"from":"updated_at","send":{"query":"since"}}}"#),
    key("deletes", Takes::Json, Usual::Words("`sweep`; `none` with `incremental`"), "how rows are known that are gone: `none`, `sweep` (what a whole reading did not name), `{\"tombstone\":\"$.deleted\",\"is\":true}`, `{\"ids\":\"list-ids\"}` (what that function does not list), `{\"sweepEvery\":\"24h\"}`", r#"{"path":"/books","deletes":{"tombstone":"$.deleted","is":true}}"#),
    key("mode", Takes::Map(&Takes::Json), Usual::Words("all rows of the table"), "which rows are replaced by those of a whole reading, see [write modes](rest.md#write-modes)", r#"{"path":"/books","mode":{"forRowsWithMatchingIds":true}}"#),
    key("atomic", Takes::Switch, Usual::Json("false"), "whether all pages are read before any row is applied, in one transaction", r#"{"path":"/books","atomic":true}"#),
    key("when", Takes::Text, Usual::Words("always"), "an SQL expression over the parameters, `:year`: where it is not true, nothing is asked, and the operation is `synced` with `skipped`; only run on connections that were given it", r#"{"path":"/books","when":":year > 1900","parameters":{"year":{}}}"#),
    key("parent", Takes::Map(&Takes::Json), Usual::Nothing, "the function is asked once for each row of another table, see [parents](rest.md#parents)", r#"{"path":"/shops/{param:shop}/books","parameters":{"shop":{"required":true}},"parent":{"entity":"shops","columns":{"shop":"id"}}}"#),
    key("guard", Takes::Map(&Takes::Json), Usual::Words("`{\"maxDeletePercent\":50}`"), "most rows of a table that one reading may remove, in percent; `allowEmpty`: whether it may remove all", r#"{"path":"/books","guard":{"maxDeletePercent":10}}"#),
];

#[rustfmt::skip]
const WRITING: &[Key] = &[
    key("writes", Takes::Map(&Takes::Json), Usual::Words("nothing is sent; what is changed here waits"), "of a function that reads: which functions send changes of its rows, see [writes](rest.md#writes)", r#"{"path":"/books","writes":{"create":"create-book","update":"update-book","delete":"delete-book"}}"#),
];

pub const FUNCTION: Keys = &[REQUEST, ROWS, READING, WRITING];

/// The keys of `writes`.
#[rustfmt::skip]
pub const WRITES: Keys = &[&[
    key("create", Takes::Text, Usual::Nothing, "", ""),
    key("update", Takes::Text, Usual::Nothing, "", ""),
    key("delete", Takes::Text, Usual::Nothing, "", ""),
    key("mints", Takes::Switch, Usual::Json("false"), "", ""),
    key("idempotency", Takes::Text, Usual::Nothing, "", ""),
    key("read", Takes::Text, Usual::Nothing, "", ""),
    key("version", Takes::Text, Usual::Nothing, "", ""),
]];

/// How one page follows another.
const KINDS: &[&str] = &[
    "auto",
    "none",
    "page",
    "offset",
    "cursor",
    "continuation",
    "next",
    "keyset",
];

/// The keys of `paging`.
#[rustfmt::skip]
pub const PAGING: Keys = &[&[
    key("kind", Takes::OneOf(KINDS), Usual::Json("\"auto\""), "", ""),
    key("size", Takes::Number(1, 1_000_000), Usual::Nothing, "", ""),
    key("sizeParam", Takes::Text, Usual::Nothing, "", ""),
    key("param", Takes::Text, Usual::Nothing, "", ""),
    key("in", Takes::OneOf(&["query", "body", "header"]), Usual::Json("\"query\""), "", ""),
    key("start", Takes::Number(0, FOREVER), Usual::Nothing, "", ""),
    key("next", Takes::Text, Usual::Nothing, "", ""),
    key("column", Takes::Text, Usual::Nothing, "", ""),
    key("stop", Takes::OneOf(&["empty", "short"]), Usual::Json("\"empty\""), "", ""),
    key("total", Takes::Text, Usual::Nothing, "", ""),
    key("hasMore", Takes::Text, Usual::Nothing, "", ""),
    key("maxPages", Takes::Number(1, FOREVER), Usual::Json("100000"), "", ""),
]];

/// The keys of `incremental`.
#[rustfmt::skip]
pub const INCREMENTAL: Keys = &[&[
    key("from", Takes::Text, Usual::Required, "", r#"{"from":"updated_at"}"#),
    key("send", Takes::Json, Usual::Required, "", r#"{"send":{"query":"since"}}"#),
    key("initial", Takes::Json, Usual::Nothing, "", ""),
    key("lookback", Takes::Text, Usual::Nothing, "", ""),
    key("order", Takes::OneOf(&["asc", "none"]), Usual::Json("\"none\""), "", ""),
    key("cursor", Takes::Text, Usual::Nothing, "", ""),
]];

/// The keys of `guard`.
#[rustfmt::skip]
pub const GUARD: Keys = &[&[
    key("maxDeletePercent", Takes::Number(0, 100), Usual::Json("50"), "", ""),
    key("allowEmpty", Takes::Switch, Usual::Json("false"), "", ""),
]];

/// The keys of `parent`.
#[rustfmt::skip]
pub const PARENT: Keys = &[&[
    key("entity", Takes::Text, Usual::Required, "", r#"{"entity":"shops"}"#),
    key("columns", Takes::Map(&Takes::Text), Usual::Required, "", r#"{"columns":{"shop":"id"}}"#),
    key("where", Takes::Text, Usual::Nothing, "", ""),
]];

/// The keys of `mode`.
#[rustfmt::skip]
pub const MODE: Keys = &[&[
    key("forRowsWithMatchingIds", Takes::Switch, Usual::Json("false"), "", ""),
    key("forRowsWithValues", Takes::Map(&Takes::Json), Usual::Nothing, "", ""),
    key("forRowsInRange", Takes::Map(&Takes::Json), Usual::Nothing, "", ""),
    key("keepTempIds", Takes::SwitchOrText, Usual::Json("false"), "", ""),
]];

/// The keys of a rule of `errors`.
#[rustfmt::skip]
pub const RULE: Keys = &[&[
    key("status", Takes::Number(100, 599), Usual::Nothing, "", ""),
    key("path", Takes::Text, Usual::Nothing, "", ""),
    key("is", Takes::Json, Usual::Nothing, "", ""),
    key("text", Takes::Text, Usual::Nothing, "", ""),
    key("class", Takes::OneOf(&["network", "auth", "protocol", "server", "conflict", "data"]), Usual::Nothing, "", ""),
    key("retryable", Takes::Switch, Usual::Nothing, "", ""),
    key("message", Takes::Text, Usual::Nothing, "", ""),
    key("expired", Takes::Switch, Usual::Json("false"), "", ""),
    key("ignore", Takes::Switch, Usual::Json("false"), "", ""),
]];

/// The keys of one of `parameters`.
#[rustfmt::skip]
pub const PARAMETER: Keys = &[&[
    key("required", Takes::Switch, Usual::Json("false"), "", ""),
    key("default", Takes::Json, Usual::Nothing, "", ""),
    key("type", Takes::OneOf(&["text", "number", "boolean"]), Usual::Nothing, "", ""),
]];
