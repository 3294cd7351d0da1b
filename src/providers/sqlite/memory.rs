//! What is remembered of the other file.

use serde_json::{Value as Json, json};

use crate::hub::wire::moment;
use crate::store::random_token;

#[derive(Debug, Clone, PartialEq)]
pub struct Memory {
    /// The name by which this file goes there.
    pub device: String,
    /// What the other file gave out when this one last wrote there.
    pub token: String,
    /// A moment of it.
    pub known: Option<(i64, String)>,
}

impl Memory {
    pub fn read(json: &Json) -> Self {
        let text = |key: &str| json[key].as_str().map(str::to_owned);
        Self {
            device: text("device").unwrap_or_else(random_token),
            token: text("token").unwrap_or_default(),
            known: moment(&json["known"]),
        }
    }

    pub fn to_json(&self) -> Json {
        json!({"device": self.device, "token": self.token, "known": self.known})
    }

    /// As it is after an answer.
    pub fn after(&self, head: &Json) -> Self {
        let mut memory = self.clone();
        if let Some(now) = moment(&head["now"]) {
            memory.known = Some(now);
        }
        if let Some(token) = head["token"].as_str() {
            memory.token = token.to_owned();
        }
        if head["isCopy"].as_bool() == Some(true) {
            // Another file goes by that name.
            memory.device = random_token();
            memory.token = String::new();
        }
        memory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_takes_another_name() {
        let memory = Memory::read(&Json::Null);
        assert_eq!(Memory::read(&memory.to_json()), memory);
        let head = json!({"now": [7, "m"], "token": "t"});
        let after = memory.after(&head);
        assert_eq!((after.token.as_str(), &after.device), ("t", &memory.device));
        assert_eq!(after.known, Some((7, "m".to_owned())));
        let copy = after.after(&json!({"isCopy": true}));
        assert_ne!(copy.device, after.device);
        assert_eq!(copy.token, "");
    }
}
