//! A trouble as the scripted backends are told of it.

use serde_json::{Value, json};

use super::server::{On, Trouble};

/// A trouble in the words that the scripted backends understand.
pub(super) fn fault(on: On, trouble: &Trouble, times: Option<u32>) -> Value {
    let mut fault = match trouble {
        Trouble::Refused(status, words) => json!({"status": status, "says": words}),
        Trouble::Lost { done } => json!({"drop": true, "afterCommit": done}),
        Trouble::Rejected(rows) => {
            let mut tables = json!({});
            for (table, id, reason) in rows {
                let named = json!({"id": id, "reason": reason});
                match tables[table].as_array_mut() {
                    Some(listed) => listed.push(named),
                    None => tables[table] = json!([named]),
                }
            }
            json!({ "rejectIds": tables })
        }
        Trouble::Broken(bytes) => json!({ "truncate": bytes }),
        Trouble::Cut(bytes) => json!({ "cut": bytes }),
        Trouble::Garbage => json!({"garbage": true}),
        Trouble::Unheard(table) => json!({"renameTables": {*table: "unheard_of"}}),
        Trouble::Silent => json!({"delayMs": 86_400_000}),
    };
    fault["on"] = json!(match on {
        On::Download => "pull",
        On::Upload => "push",
    });
    if let Some(times) = times {
        fault["times"] = json!(times);
    }
    fault
}
