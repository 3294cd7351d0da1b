//! The requests of a run.

use serde_json::json;

use super::super::push;
use super::super::revision::Revision;
use super::super::snapshot;
use super::{CONFLICT, Reading, Talk};
use crate::providers::conversation::{AboutParcel, Again, Ask, AskBody};

/// Statuses by which a server refuses a bundle for some of its rows.
const REFUSALS: &[u16] = &[400, 413, 422];

/// The same where it is about no single row.
const TOO_MANY: &[u16] = &[413];

/// The same of a commit, which fails where the database refuses a row.
const COMMIT_REFUSALS: &[u16] = &[400, 413, 422, 500];

/// Whatever says no but a server in trouble.
const SAYS_NO: [u16; 200] = {
    let mut all = [0; 200];
    let mut place = 0;
    while place < all.len() {
        all[place] = 300 + place as u16;
        place += 1;
    }
    all
};

impl Talk {
    pub(super) fn ask(&self, label: &'static str, method: &'static str, path: &str) -> Ask {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let url = self.options.address(path, Some(query));
        let mut headers = self.options.headers.clone();
        headers.push(("Oversync-Source-ID".into(), self.memory.source.clone()));
        Ask {
            headers,
            ..Ask::new(label, method, url)
        }
    }

    pub(super) fn ask_with(&self, label: &'static str, path: &str, body: AskBody) -> Ask {
        let mut ask = self.ask(label, "POST", path);
        ask.headers
            .push(("Content-Type".into(), "application/json".into()));
        Ask { body, ..ask }
    }

    pub(super) fn connect(&self) -> Ask {
        let body = json!({"has_local_pending_rows": self.pending}).to_string();
        self.ask_with(
            "connect",
            "/sync/connect",
            AskBody::Bytes(body.into_bytes()),
        )
    }

    pub(super) fn open(&self) -> Ask {
        let body = match self.memory.limits.revision() {
            Revision::Earlier => AskBody::Bytes(self.opening(None)),
            // The hash in it is made of the rows.
            Revision::Later => AskBody::Parcel,
        };
        Ask {
            parcel: Some(AboutParcel {
                may_store: false,
                refusals: match self.memory.initialization {
                    // It may be about the right to bring the first rows.
                    Some(_) => TOO_MANY,
                    None => REFUSALS,
                },
                open: &[],
            }),
            ..self.ask_with("open bundle", "/sync/push-sessions", body)
        }
    }

    pub(super) fn opening(&self, hash: Option<&str>) -> Vec<u8> {
        let initialization = self.memory.initialization.as_deref();
        push::opening(
            self.memory.next_bundle,
            self.under.rows,
            initialization,
            hash,
        )
    }

    pub(super) fn fill(&self) -> Ask {
        let path = format!("/sync/push-sessions/{}/chunks", self.under.push_id);
        Ask {
            parcel: Some(AboutParcel {
                may_store: false,
                refusals: REFUSALS,
                open: &[],
            }),
            ..self.ask_with("push", &path, AskBody::Parcel)
        }
    }

    pub(super) fn commit(&self) -> Ask {
        let path = format!("/sync/push-sessions/{}/commit", self.under.push_id);
        Ask {
            parcel: Some(AboutParcel {
                may_store: true,
                refusals: COMMIT_REFUSALS,
                open: &[404, 410],
            }),
            reads: &[CONFLICT],
            ..self.ask("commit", "POST", &path)
        }
    }

    pub(super) fn committed(&self, after: Option<i64>) -> Ask {
        let seq = self
            .under
            .committed
            .as_ref()
            .map_or(0, |one| one.bundle_seq);
        let most = self.memory.limits.committed_rows;
        let mut path = format!("/sync/committed-bundles/{seq}/rows?max_rows={most}");
        if let Some(after) = after {
            path.push_str(&format!("&after_row_ordinal={after}"));
        }
        Ask {
            parcel: Some(AboutParcel {
                may_store: true,
                refusals: &[],
                open: &SAYS_NO,
            }),
            ..self.ask("committed rows", "GET", &path)
        }
    }

    pub(super) fn pull(&self, reading: Reading, after: i64) -> Ask {
        let most = match reading {
            Reading::Pages => self.call.limit.unwrap_or(self.options.pull_bundles),
            _ => self.options.pull_bundles,
        };
        let most = most.clamp(1, self.memory.limits.bundles);
        let mut path = format!("/sync/pull?after_bundle_seq={after}&max_bundles={most}");
        if let Some(target) = self.target(reading) {
            path.push_str(&format!("&target_bundle_seq={target}"));
        }
        let known = |cursor: &Option<i64>| cursor.is_some_and(|cursor| cursor > after);
        Ask {
            again: self.again(known),
            ..self.ask("pull", "GET", &path)
        }
    }

    /// The last bundle that is wanted: the one that was named, or that the first page named.
    pub(super) fn target(&self, reading: Reading) -> Option<i64> {
        let until = match reading {
            Reading::Pages => self.call.until.filter(|until| *until > 0),
            _ => None,
        };
        until.or(self.window.filter(|_| self.call.windowed))
    }

    pub(super) fn again(&self, comes: impl Fn(&Option<i64>) -> bool) -> Vec<(usize, Again)> {
        let cursors = self.cursors.iter().enumerate();
        cursors
            .filter(|(_, cursor)| comes(cursor))
            .map(|(place, _)| (place, Again::RowsAndDeletes))
            .collect()
    }

    pub(super) fn make_snapshot(&self, reason: Option<&str>) -> Ask {
        let path = "/sync/snapshot-sessions";
        match reason {
            None => self.ask("snapshot", "POST", path),
            Some(reason) => {
                let (previous, new) = (&self.memory.source, self.memory.next_source());
                let body = snapshot::replacement(previous, &new, reason);
                self.ask_with("snapshot", path, AskBody::Bytes(body))
            }
        }
    }

    pub(super) fn snapshot_page(&self, after: i64) -> Ask {
        let id = self.snapshot.as_ref().map_or("", |one| one.id.as_str());
        let most = self.memory.limits.snapshot_rows;
        let mut path =
            format!("/sync/snapshot-sessions/{id}?after_row_ordinal={after}&max_rows={most}");
        if let Some(bytes) = self.memory.limits.snapshot_bytes {
            let bytes = self.page_bytes.unwrap_or(bytes.usual);
            path.push_str(&format!("&max_bytes={bytes}"));
        }
        Ask {
            again: self.again(Option::is_some),
            ..self.ask("snapshot", "GET", &path)
        }
    }

    pub(super) fn drop_snapshot(&self) -> Ask {
        let id = self.snapshot.as_ref().map_or("", |one| one.id.as_str());
        self.ask(
            "snapshot",
            "DELETE",
            &format!("/sync/snapshot-sessions/{id}"),
        )
    }
}
