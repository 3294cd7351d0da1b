//! An answer to a pull, byte by byte: what is taken is JSON, and it is read alike however it arrives.

use syncscope::providers::cutter::BYTE_ORDER_MARK;

use crate::common;

/// The first byte says how the answer is read.
const WAYS: &[&str] = &[
    "",
    r#","lenient":false"#,
    r#","stripMeta":true,"coerce":true"#,
    r#","jsNumbers":true"#,
    r#","cursorUnit":"opaque""#,
    r#","changesPath":"$.data.changes","timestampPath":"$.data.now""#,
    r#","changesPath":"$.timestamp2","timestampPath":"$.a.b.c""#,
    r#","sendCreatedAsUpdated":true"#,
];

pub fn run(data: &[u8]) {
    let Some((way, body)) = data.split_first() else {
        return;
    };
    let keys = WAYS[usize::from(*way) % WAYS.len()];
    let (end, events) = common::pull(keys, body);
    if let Ok(end) = &end {
        let json = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
        assert!(common::is_json(json), "taken, but no JSON");
        let [(0, cursor), (1, same)] = end.cursors.as_slice() else {
            panic!("{:?}", end.cursors);
        };
        assert_eq!(cursor, same);
        let cursor: serde_json::Value = serde_json::from_str(cursor).expect("JSON");
        assert!(cursor.is_number() || (keys.contains("opaque") && cursor.is_string()));
    }
    for pieces in [1, 7] {
        let (again, same) = common::pull(keys, common::Drip(body, pieces));
        // What is said of a broken answer may name a place; whether it is broken may not depend on it.
        assert_eq!(end.is_ok(), again.is_ok());
        if end.is_ok() {
            assert_eq!((&end, &events), (&again, &same));
        }
    }
}
