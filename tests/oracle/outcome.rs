//! Comparing what both sides saw.

use serde_json::{Number, Value, json};

/// The first steps that differ: none when both saw the same.
pub fn difference(ours: &[Value], theirs: &[Value]) -> Option<String> {
    if let [Value::Object(only)] = theirs
        && let Some(broken) = only.get("broken").and_then(Value::as_str)
    {
        return Some(format!("the client broke: {broken}"));
    }
    if ours.len() != theirs.len() {
        return Some(format!("{} steps against {}", ours.len(), theirs.len()));
    }
    for (place, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        let (ours, theirs) = (plain(ours), plain(theirs));
        if ours != theirs {
            let mut lines = vec![format!("step {place}:")];
            tell("", &ours, &theirs, &mut lines);
            return Some(lines.join("\n"));
        }
    }
    None
}

/// One form for what means the same: 1.0 is 1, lists of rows and of columns have no order.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(whole(number)),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| match (name.as_str(), value) {
                // Of a pushed row.
                ("_changed", Value::String(text)) => {
                    let columns = text.split(',').filter(|column| !column.is_empty());
                    (name.clone(), sorted(columns.map(Value::from).collect()))
                }
                _ => (name.clone(), plain(value)),
            })
            .collect(),
        // The lists that have an order, pulls and pushes, have one member.
        Value::Array(list) => sorted(list.iter().map(plain).collect()),
        other => other.clone(),
    }
}

fn sorted(mut list: Vec<Value>) -> Value {
    list.sort_by_key(|value| match &value["id"] {
        Value::Null => value.to_string(),
        id => id.to_string(),
    });
    list.into()
}

fn whole(number: &Number) -> Number {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    match number.as_f64() {
        Some(real) if number.is_f64() && real.fract() == 0.0 && real.abs() < LIMIT => {
            Number::from(real as i64)
        }
        Some(real) if number.as_i64().is_none() => {
            Number::from_f64(real).unwrap_or_else(|| number.clone())
        }
        _ => number.clone(),
    }
}

/// Says where two values differ.
fn tell(path: &str, ours: &Value, theirs: &Value, lines: &mut Vec<String>) {
    if ours == theirs {
        return;
    }
    if let (Value::Object(one), Value::Object(two)) = (ours, theirs) {
        let mut names: Vec<&String> = one.keys().chain(two.keys()).collect();
        names.sort();
        names.dedup();
        for name in names {
            tell(
                &format!("{path}/{name}"),
                one.get(name).unwrap_or(&json!("absent")),
                two.get(name).unwrap_or(&json!("absent")),
                lines,
            );
        }
        return;
    }
    lines.push(format!("  {path}: syncscope {ours}, client {theirs}"));
}
