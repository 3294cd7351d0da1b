//! The kind whose data the host program moves: syncscope only keeps account of it.

use serde_json::Map;

use super::kind::{Kind, Transport};

pub static KIND: Kind = Kind {
    name: "host",
    transport: Transport::Nobody,
    keys: &[],
    fill: |_| Map::new(),
    check: |_| Ok(()),
    functions: None,
    open: None,
};
