//! Ways to misbehave, on request.
//!
//! A fault is a JSON object: which requests it is for, and one or more switches.
//!
//! ```json
//! {"on": "pull", "skip": 1, "times": 2, "status": 429, "retryAfter": "1"}
//! ```
//!
//! | key | meaning |
//! |---|---|
//! | `on` | `"pull"`, `"push"`, `"other"` (asks for something else) or `"any"` (default) |
//! | `path` | only if this stands in the path (default: every path) |
//! | `times` | for the next N requests only (default: until cleared) |
//! | `skip` | first let N such requests pass (default 0) |
//! | any other | a switch, see `switches.rs` |
//!
//! If several faults fit a request, their switches are combined; the later one wins.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};

use super::switches::{Switches, whole};

/// What a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Pull,
    Push,
    /// Neither: it asks what the server can do, or signs in.
    Other,
}

struct Fault {
    on: Option<Kind>,
    path: Option<String>,
    skip: u64,
    times: Option<u64>,
    switches: Map<String, Value>,
}

/// The faults in force.
#[derive(Default)]
pub struct Faults {
    faults: Mutex<Vec<Fault>>,
}

impl Faults {
    /// Adds one fault to those in force. Panics if it is not understood: meant for tests.
    pub fn add(&self, fault: Value) {
        self.try_add(&fault)
            .unwrap_or_else(|error| panic!("backend: {error}"));
    }

    /// Behaves well again. Requests under way keep their faults.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Adds one fault, or says why it is not understood.
    pub fn try_add(&self, fault: &Value) -> Result<(), String> {
        let fault = Fault::parse(fault)?;
        self.lock().push(fault);
        Ok(())
    }

    /// Puts these faults in place of those in force; if one is not understood, nothing changes.
    pub fn try_replace(&self, faults: &[Value]) -> Result<(), String> {
        let faults = faults
            .iter()
            .map(Fault::parse)
            .collect::<Result<Vec<_>, _>>()?;
        *self.lock() = faults;
        Ok(())
    }

    /// The faults in force as JSON, with what is left of `skip` and `times`.
    pub fn to_json(&self) -> Value {
        self.lock().iter().map(Fault::to_json).collect()
    }

    /// The switches for a request that has just come in; uses up one of their `times`.
    pub fn take(&self, kind: Kind, path: &str) -> Switches {
        let mut combined = Map::new();
        let mut faults = self.lock();
        for fault in faults.iter_mut() {
            if fault.fits(kind, path) && fault.fires() {
                combined.extend(fault.switches.clone());
            }
        }
        faults.retain(|fault| fault.times != Some(0));
        // Each fault was checked when it was added, so the combination is understood too.
        Switches::parse(&combined).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fault {
    fn parse(value: &Value) -> Result<Fault, String> {
        let Value::Object(object) = value else {
            return Err("a fault is a JSON object".to_string());
        };
        let mut fault = Fault {
            on: None,
            path: None,
            skip: 0,
            times: None,
            switches: Map::new(),
        };
        for (name, value) in object {
            match name.as_str() {
                "on" => fault.on = kind(value)?,
                "path" => fault.path = Some(text(name, value)?),
                "skip" => fault.skip = whole(name, value)?,
                "times" => fault.times = Some(whole(name, value)?),
                _ => {
                    fault.switches.insert(name.clone(), value.clone());
                }
            }
        }
        Switches::parse(&fault.switches)?;
        Ok(fault)
    }

    fn fits(&self, kind: Kind, path: &str) -> bool {
        let part = self.path.as_deref();
        self.on.is_none_or(|on| on == kind) && part.is_none_or(|part| path.contains(part))
    }

    /// Counts a request that fits; true if the fault applies to it.
    fn fires(&mut self) -> bool {
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        match &mut self.times {
            Some(0) => return false,
            Some(times) => *times -= 1,
            None => {}
        }
        true
    }

    fn to_json(&self) -> Value {
        let mut object = self.switches.clone();
        let on = match self.on {
            None => "any",
            Some(Kind::Pull) => "pull",
            Some(Kind::Push) => "push",
            Some(Kind::Other) => "other",
        };
        object.insert("on".to_string(), json!(on));
        if let Some(path) = &self.path {
            object.insert("path".to_string(), json!(path));
        }
        if self.skip > 0 {
            object.insert("skip".to_string(), json!(self.skip));
        }
        if let Some(times) = self.times {
            object.insert("times".to_string(), json!(times));
        }
        Value::Object(object)
    }
}

fn kind(value: &Value) -> Result<Option<Kind>, String> {
    match value.as_str() {
        Some("any") => Ok(None),
        Some("pull") => Ok(Some(Kind::Pull)),
        Some("push") => Ok(Some(Kind::Push)),
        Some("other") => Ok(Some(Kind::Other)),
        _ => Err("on: \"pull\", \"push\", \"other\" or \"any\"".to_string()),
    }
}

fn text(name: &str, value: &Value) -> Result<String, String> {
    let text = value.as_str().map(str::to_string);
    text.ok_or_else(|| format!("{name}: a text"))
}
