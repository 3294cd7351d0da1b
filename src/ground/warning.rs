//! Problems that did not stop a sync: shown in its answer and in the log.

use serde_json::{Value as Json, json};

/// Every code there is: what a user can ask to be silent about.
pub const CODES: &[&str] = &[
    "announcedWrongly",
    "captureRestored",
    "changeNumbersUsed",
    "columnGone",
    "columnsAwaited",
    "countedKey",
    "createdDespiteSetting",
    "cursorExpired",
    "cursorMissing",
    "deletedByTrigger",
    "foreignKeyWithoutIndex",
    "goneAlong",
    "goneWithTable",
    "idTwice",
    "ignoredByTrigger",
    "lastWriteWinsColumn",
    "lastWriteWinsUnreadable",
    "missingEntity",
    "orphanedTriggers",
    "pushUnfinished",
    "pushedAgain",
    "rejectedAfterRepeat",
    "resolverFailed",
    "rowsHeld",
    "rowsNotSendable",
    "rowsOfUnknownColumns",
    "rowsRefused",
    "schemaVersionUnknown",
    "tableGone",
    "tableRecognised",
    "tablesMissing",
    "timestampWentBack",
    "typeNotCarried",
    "unaskedTables",
    "unknownList",
    "valuesKeptAside",
];

/// One warning. Shown as JSON `{code, entity, count, message}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Warning {
    /// Names the kind of warning. Stable: programs may depend on it.
    pub code: &'static str,
    /// The entity that it is about, if it is about one.
    pub entity: Option<String>,
    /// How often it happened.
    pub count: i64,
    /// What happened and what to do, in our words.
    pub message: String,
    /// What the server said, which may hold values of rows. Shown behind the message.
    pub said: Option<String>,
}

impl Warning {
    /// Something that happened once.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            entity: None,
            count: 1,
            message: message.into(),
            said: None,
        }
    }

    /// It is about an entity.
    pub fn of(mut self, entity: &str) -> Self {
        self.entity = Some(entity.to_owned());
        self
    }

    /// It happened so often.
    pub fn times(mut self, count: i64) -> Self {
        self.count = count;
        self
    }

    /// With what the server said.
    pub fn saying(mut self, said: Option<String>) -> Self {
        self.said = said;
        self
    }

    /// The same thing again only adds to the count.
    pub fn is_like(&self, other: &Self) -> bool {
        (self.code, &self.entity, &self.message, &self.said)
            == (other.code, &other.entity, &other.message, &other.said)
    }

    /// The warning as JSON, its texts passed through `clean`.
    pub fn to_json(&self, clean: &dyn Fn(&str) -> String) -> Json {
        let message = match &self.said {
            Some(said) => format!("{}: {said}", self.message),
            None => self.message.clone(),
        };
        json!({
            "code": self.code,
            "entity": self.entity,
            "count": self.count,
            "message": clean(&message),
        })
    }
}

/// Adds a warning to others.
pub fn add_warning(warnings: &mut Vec<Warning>, warning: Warning) {
    match warnings.iter_mut().find(|known| known.is_like(&warning)) {
        Some(known) => known.count += warning.count,
        None => warnings.push(warning),
    }
}
