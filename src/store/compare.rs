//! Comparing values as SQLite does, and showing a key in words.

use std::cmp::Ordering;

use super::value::{Value, ValueRef};
use crate::ground::uuid;

/// The order of values in SQLite: numbers, then text, then blobs.
pub fn compare(one: ValueRef<'_>, two: ValueRef<'_>) -> Ordering {
    let rank = |value: ValueRef<'_>| match value {
        ValueRef::Null => 0,
        ValueRef::Integer(_) | ValueRef::Real(_) => 1,
        ValueRef::Text(_) | ValueRef::InvalidText(_) => 2,
        ValueRef::Blob(_) => 3,
    };
    match (one, two) {
        (ValueRef::Integer(one), ValueRef::Integer(two)) => one.cmp(&two),
        (ValueRef::Integer(one), ValueRef::Real(two)) => whole_and_real(one, two),
        (ValueRef::Real(one), ValueRef::Integer(two)) => whole_and_real(two, one).reverse(),
        (ValueRef::Real(one), ValueRef::Real(two)) => {
            one.partial_cmp(&two).unwrap_or(Ordering::Equal)
        }
        (ValueRef::Text(one), ValueRef::Text(two)) => one.cmp(two),
        (ValueRef::Blob(one), ValueRef::Blob(two)) => one.cmp(two),
        (one, two) => rank(one).cmp(&rank(two)),
    }
}

/// Exactly, also where reals have no place for every whole number.
fn whole_and_real(whole: i64, real: f64) -> Ordering {
    const END: f64 = 9_223_372_036_854_775_808.0;
    if real >= END {
        return Ordering::Less;
    }
    if real < -END {
        return Ordering::Greater;
    }
    match whole.cmp(&(real.floor() as i64)) {
        Ordering::Equal if real.fract() != 0.0 => Ordering::Less,
        order => order,
    }
}

/// A key in words; of a blob of 16 bytes its UUID.
pub fn shown(key: &Value) -> String {
    if let Value::Blob(bytes) = key
        && let Some(uuid) = uuid::text(bytes)
    {
        return uuid;
    }
    match key {
        Value::Text(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Null => "NULL".into(),
        Value::Blob(bytes) | Value::InvalidText(bytes) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
            format!("X'{digits}'")
        }
    }
}

/// Equality as SQLite's IS sees it: 1 and 1.0 are the same.
pub fn same(one: ValueRef<'_>, two: ValueRef<'_>) -> bool {
    match (one, two) {
        (ValueRef::Integer(whole), ValueRef::Real(real))
        | (ValueRef::Real(real), ValueRef::Integer(whole)) => {
            whole_and_real(whole, real) == Ordering::Equal
        }
        (one, two) => one == two,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_order_of_sqlite() {
        let ascending = [
            ValueRef::Null,
            ValueRef::Integer(-1),
            ValueRef::Real(-0.5),
            ValueRef::Integer(0),
            ValueRef::Real(0.5),
            ValueRef::Integer(1),
            ValueRef::Real(9_007_199_254_740_992.0),
            ValueRef::Integer(9_007_199_254_740_993),
            ValueRef::Integer(i64::MAX),
            ValueRef::Real(1e300),
            ValueRef::Text("10"),
            ValueRef::Text("9"),
            ValueRef::Blob(b"1"),
        ];
        for (place, one) in ascending.iter().enumerate() {
            for (other, two) in ascending.iter().enumerate() {
                assert_eq!(compare(*one, *two), place.cmp(&other), "{one:?} {two:?}");
            }
        }
    }

    #[test]
    fn numbers_are_the_same_across_types() {
        assert!(same(ValueRef::Integer(1), ValueRef::Real(1.0)));
        assert!(!same(
            ValueRef::Integer(9_007_199_254_740_993),
            ValueRef::Real(9_007_199_254_740_992.0)
        ));
        // The nearest real of the greatest whole number is one above it.
        assert!(!same(
            ValueRef::Integer(i64::MAX),
            ValueRef::Real(i64::MAX as f64)
        ));
        assert!(same(
            ValueRef::Real(i64::MIN as f64),
            ValueRef::Integer(i64::MIN)
        ));
        assert!(!same(ValueRef::Integer(0), ValueRef::Real(f64::NAN)));
        assert!(!same(ValueRef::Integer(1), ValueRef::Text("1")));
    }

    #[test]
    fn keys_are_shown_as_sql_writes_them() {
        for (key, text) in [
            (Value::Text("it's".into()), "it's"),
            (Value::Integer(-7), "-7"),
            (Value::Real(1.5), "1.5"),
            (Value::Blob(vec![0, 255]), "X'00FF'"),
            (
                Value::Blob(vec![0x0f; 16]),
                "0f0f0f0f-0f0f-0f0f-0f0f-0f0f0f0f0f0f",
            ),
            (Value::Null, "NULL"),
        ] {
            assert_eq!(shown(&key), text);
        }
    }
}
