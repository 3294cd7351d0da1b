//! The first question to a server, and what its answer is to be remembered as.

use super::capabilities::{Capabilities, require_tables};
use super::memory::Memory;
use crate::ground::SyncError;
use crate::providers::conversation::Ask;
use crate::providers::oversync::options::Options;
use crate::providers::oversync::tables::Tables;

/// The first question to a server whose protocol is not known.
pub fn first_question(options: &Options, source: &str) -> Ask {
    let mut headers = options.headers.clone();
    headers.push(("Oversync-Source-ID".into(), source.to_owned()));
    Ask {
        headers,
        ..Ask::new(
            "capabilities",
            "GET",
            options.address("/sync/capabilities", None),
        )
    }
}

/// What is to be remembered of a server that has answered it.
///
/// # Errors
/// A server that can't be synced with.
pub fn met(
    body: &[u8],
    options: &Options,
    tables: &Tables,
    generation: &str,
) -> Result<Option<Memory>, SyncError> {
    let Some(capabilities) = Capabilities::read(body) else {
        return Ok(None);
    };
    capabilities.require_spoken()?;
    let known = capabilities.tables(tables.schema());
    require_tables(&known, tables)?;
    let given = options.source.as_deref();
    Ok(Some(Memory::new(
        generation,
        capabilities.limits(),
        known,
        given,
    )))
}
