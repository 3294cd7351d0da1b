//! The keys that only this protocol has.

use crate::ground::key::{Key, Takes, Usual, key};

/// Shapes of a request that carries changes.
pub const SHAPES: &[&str] = &["batch", "safe"];

/// Generations of the protocol; the first word: whichever the backend speaks.
pub const GENERATIONS: &[&str] = &["auto", "a", "b"];

/// How a column of UUIDs travels.
pub const UUID_FORMS: &[&str] = &["text", "base64"];

/// Rows that one page may have.
pub const PAGE: (u64, u64) = (1, 1000);

#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("generation", Takes::OneOf(GENERATIONS), Usual::Json("\"auto\""), "which protocol the backend speaks: `a` moves changes of rows, `b` bundles; `auto`: it is asked once, and the answer is kept", r#"{"generation":"b"}"#),
    key("sourceId", Takes::Text, Usual::Words("none: own changes are told apart by the backend alone"), "the name of this device, as it is in the token (`did`); never that of another device or of an earlier installation", r#"{"sourceId":"0b6e3a1c-5d0f-4f6e-9a43-0c1f5d8f7f10"}"#),
    key("serverSchema", Takes::Text, Usual::Json("\"public\""), "the schema that the tables have in the backend", r#"{"serverSchema":"business"}"#),
    key("uuidColumns", Takes::Map(&Takes::Map(&Takes::OneOf(UUID_FORMS))), Usual::Words("`text` for columns of blobs that refer to a key of blobs"), "table to its columns that hold UUIDs (16 bytes where they are blobs), each with how these travel: as `text`, or as `base64` of the 16 bytes, which the handler of some tables wants. Both are read", r#"{"uuidColumns":{"file_reviews":{"file_id":"base64"}}}"#),
    key("uploadPath", Takes::Text, Usual::Json("\"/sync/upload\""), "path of an upload, behind that of `url`", r#"{"uploadPath":"/api/upload"}"#),
    key("downloadPath", Takes::Text, Usual::Json("\"/sync/download\""), "path of a download, behind that of `url`", r#"{"downloadPath":"/api/download"}"#),
    key("uploadLimit", Takes::Number(1, 10_000), Usual::Json("200"), "most changes of one upload", r#"{"uploadLimit":50}"#),
    key("uploadShape", Takes::OneOf(SHAPES), Usual::Json("\"batch\""), "`batch`: many changes in one request; `safe`: each in one of its own, so that one that is refused leaves nothing in the backend's log", r#"{"uploadShape":"safe"}"#),
    key("bundleRows", Takes::Number(1, 100_000), Usual::Json("1000"), "generation `b`: most rows of one bundle, which the backend takes or refuses as a whole", r#"{"bundleRows":200}"#),
    key("pullBundles", Takes::Number(1, 5000), Usual::Json("100"), "generation `b`: most bundles of one page", r#"{"pullBundles":1000}"#),
    key("downloadLimit", Takes::Number(PAGE.0, PAGE.1), Usual::Json("1000"), "most changes of one page", r#"{"downloadLimit":500}"#),
    key("lookback", Takes::Number(0, 1_000_000), Usual::Json("100"), "how far before its cursor a sync reads again, in numbers of the backend's log: a slow writer's changes appear there late; 0: never", r#"{"lookback":1000}"#),
];
