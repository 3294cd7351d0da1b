//! The stream that says when there is a new bundle. It is a hint only: what counts is the pull that follows.

use serde_json::Value as Json;

use crate::providers::conversation::Ask;
use crate::providers::oversync::options::Options;

/// The request for the stream.
pub fn ask(options: &Options, source: &str, cursors: &[Option<String>]) -> Ask {
    let query = format!("after_bundle_seq={}", reached(cursors));
    let mut headers = options.headers.clone();
    headers.push(("Oversync-Source-ID".into(), source.to_owned()));
    Ask {
        headers,
        ..Ask::new("watch", "GET", options.address("/sync/watch", Some(&query)))
    }
}

/// Whether an event is about a bundle that is not here. The server also tells of our own.
pub fn is_news(said: &str, cursors: &[Option<String>]) -> bool {
    let event: Json = serde_json::from_str(said).unwrap_or_default();
    event["bundle_seq"]
        .as_i64()
        .is_none_or(|bundle| bundle > reached(cursors))
}

/// The last bundle that is here.
fn reached(cursors: &[Option<String>]) -> i64 {
    let number = |cursor: &Option<String>| cursor.as_deref().and_then(|text| text.parse().ok());
    cursors
        .iter()
        .map(|cursor| number(cursor).unwrap_or(0))
        .min()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o3_only_bundles_that_are_not_here_are_news() {
        let cursors = [Some("7".to_owned()), Some("9".to_owned())];
        assert!(is_news(r#"{"bundle_seq":8,"source_id":"s"}"#, &cursors));
        assert!(!is_news(r#"{"bundle_seq":7}"#, &cursors));
        assert!(is_news(r#"{"bundle_seq":1}"#, &[None]));
        // What can't be read may be anything.
        assert!(is_news("?", &cursors) && is_news("{}", &cursors));
    }
}
