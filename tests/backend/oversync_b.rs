//! The stand-in for a server of oversync protocol B answers what was recorded from a real one, can
//! be put right where that one is wrong, and lets tests do what other devices do.

mod client;
mod defects;
mod later;
mod operator;
mod others;
mod replay;
mod volatile;

use crate::recording::files;
use replay::replay;

/// Files, and how many of their steps are compared and left out.
const FILES: [(&str, usize, usize); 20] = [
    ("01-signin-auth-and-capabilities.jsonl", 33, 0),
    ("02-capabilities-and-limits.jsonl", 16, 0),
    ("03-connect.jsonl", 53, 0),
    ("04-push-and-replay.jsonl", 59, 0),
    ("05-push-invalid.jsonl", 73, 0),
    ("06-push-conflicts.jsonl", 84, 0),
    ("07-push-permanent-failures.jsonl", 67, 0),
    ("08-cascades-and-server-images.jsonl", 43, 0),
    ("09-value-types.jsonl", 94, 0),
    ("10-pull.jsonl", 45, 0),
    ("11-history-pruned-by-hand.jsonl", 42, 0),
    ("12-history-pruned-by-retention.jsonl", 32, 0),
    ("13-snapshots.jsonl", 47, 0),
    ("14-source-replacement.jsonl", 47, 0),
    ("15-watch.jsonl", 27, 1),
    ("16-watch-configured.jsonl", 35, 1),
    ("17-expiry.jsonl", 42, 0),
    ("18-two-users.jsonl", 19, 0),
    ("19-server-writes.jsonl", 18, 0),
    ("20-concurrency-and-trouble.jsonl", 41, 0),
];

#[test]
fn what_was_recorded_is_answered() {
    let mut wrong = Vec::new();
    for (file, compared, left_out) in FILES {
        let replay = replay(file);
        let counted = (replay.compared, replay.left_out);
        if counted != (compared, left_out) {
            wrong.push(format!(
                "{file}: {counted:?} steps, not {:?}",
                (compared, left_out)
            ));
        }
        wrong.extend(replay.wrong);
    }
    assert!(
        wrong.is_empty(),
        "{} differences\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_recording_is_in_the_list() {
    assert_eq!(files("b"), FILES.map(|(file, ..)| file));
}
