//! Reading the values of a row straight into what their columns get.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use crate::ground::Affinity;

use super::fit::{JS_EXACT, Leniency, fit};
use super::wire::{Slot, WireColumn, WireType};

/// Reads one value for a column. By far the most values fit as they are, and are read in one go; for the others
/// their text is needed, so that the row has to be read once more.
pub struct ValueSeed<'c> {
    pub column: &'c WireColumn,
    pub leniency: Leniency,
    /// Set when a value does not fit as it is; none: this is the second reading.
    pub again: Option<&'c Cell<bool>>,
}

impl<'a> DeserializeSeed<'a> for ValueSeed<'_> {
    type Value = Slot<'a>;

    fn deserialize<D: Deserializer<'a>>(self, parser: D) -> Result<Slot<'a>, D::Error> {
        let plain = matches!(
            (self.column.kind, self.column.holds.affinity),
            (WireType::String, Affinity::Text)
                | (WireType::Number, Affinity::Integer)
                | (WireType::Boolean, Affinity::Numeric | Affinity::Integer)
        );
        match self.again {
            Some(again) if plain => parser.deserialize_any(Plain {
                column: self.column,
                numbers: self.leniency.booleans_as_numbers,
                again,
            }),
            _ => {
                let raw = <&RawValue>::deserialize(parser)?;
                Ok(fit(self.column, self.leniency, raw.get()))
            }
        }
    }
}

/// Takes the values that a column holds as they are.
struct Plain<'c> {
    column: &'c WireColumn,
    /// Booleans are sent as numbers.
    numbers: bool,
    again: &'c Cell<bool>,
}

impl Plain<'_> {
    fn other<'a>(&self) -> Slot<'a> {
        self.again.set(true);
        Slot::Missing
    }

    fn text<'a>(&self, text: Cow<'a, str>) -> Slot<'a> {
        match self.column.kind {
            WireType::String => Slot::Text(text),
            _ => self.other(),
        }
    }
}

impl<'a> Visitor<'a> for Plain<'_> {
    type Value = Slot<'a>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Slot<'a>, E> {
        Ok(self.text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Slot<'a>, E> {
        Ok(self.text(Cow::Owned(text.to_owned())))
    }

    fn visit_i64<E>(self, whole: i64) -> Result<Slot<'a>, E> {
        Ok(match self.column.kind {
            WireType::Number if whole.unsigned_abs() <= JS_EXACT => Slot::Integer(whole),
            _ => self.other(),
        })
    }

    fn visit_u64<E: serde::de::Error>(self, whole: u64) -> Result<Slot<'a>, E> {
        match i64::try_from(whole) {
            Ok(whole) => self.visit_i64(whole),
            Err(_) => Ok(self.other()),
        }
    }

    fn visit_f64<E>(self, _: f64) -> Result<Slot<'a>, E> {
        Ok(self.other())
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Slot<'a>, E> {
        Ok(match self.column.kind {
            WireType::Boolean if !self.numbers => Slot::Integer(truth.into()),
            _ => self.other(),
        })
    }

    fn visit_unit<E>(self) -> Result<Slot<'a>, E> {
        Ok(match self.column.required {
            false => Slot::Null,
            true => self.other(),
        })
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Slot<'a>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.other())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<Slot<'a>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.other())
    }
}
