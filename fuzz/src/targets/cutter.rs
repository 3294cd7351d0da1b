//! The cutter, walked to the ground: it agrees with serde_json on what is JSON, and on what it says. Only keys
//! with half a surrogate pair are taken besides, which JavaScript writes.

use serde_json::{Map, Value as Json};
use syncscope::fuzzing::mended;
use syncscope::ground::SyncError;
use syncscope::providers::cutter::{Cutter, parse};

use crate::common;

/// Takes objects and lists apart down to a level, and parses what is left.
fn walk<R: std::io::Read>(cutter: &mut Cutter<R>, levels: usize) -> Result<Json, SyncError> {
    match cutter.peek()? {
        Some(b'{') if levels > 0 => {
            let mut object = Map::new();
            cutter.object(|cutter, key| {
                let value = walk(cutter, levels - 1)?;
                object.insert(key.to_owned(), value);
                Ok(())
            })?;
            Ok(Json::Object(object))
        }
        Some(b'[') if levels > 0 => {
            let mut list = Vec::new();
            cutter.array(|cutter| {
                list.push(walk(cutter, levels - 1)?);
                Ok(())
            })?;
            Ok(Json::Array(list))
        }
        Some(b'n') if cutter.take_null()? => Ok(Json::Null),
        _ => parse(cutter.value()?),
    }
}

fn read<R: std::io::Read>(source: R, levels: usize) -> Result<Json, SyncError> {
    let mut cutter = Cutter::new(source);
    let json = walk(&mut cutter, levels)?;
    cutter.end()?;
    Ok(json)
}

pub fn run(data: &[u8]) {
    let Some((levels, body)) = data.split_first() else {
        return;
    };
    let levels = usize::from(*levels % 6);
    let opened = body
        .iter()
        .filter(|byte| matches!(byte, b'[' | b'{'))
        .count();
    // Both readers have a limit, but count from different places.
    if opened > 100 {
        let _ = read(body, levels);
        return;
    }
    let ours = read(body, levels).ok();
    assert_eq!(read(common::Drip(body, 1), levels).ok(), ours);
    let theirs: Option<Json> = serde_json::from_slice(body).ok();
    if theirs.is_some() || ours.is_none() {
        assert_eq!(ours, theirs);
        return;
    }
    let whole = mended(body).and_then(|body| serde_json::from_slice(&body).ok());
    assert_eq!(ours, whole);
}
