//! What an answer has that nobody knows, and lacks that was asked for: nothing of it stops a sync, and nothing of
//! it is passed over in silence.

use serde::de::IgnoredAny;

use crate::ground::{Warning, quoted};
use crate::providers::names::Names;
use crate::providers::wire::Entity;

/// Most warnings of a kind.
const FEW: usize = 5;

/// Everything odd about one answer.
#[derive(Default)]
pub struct Oddities {
    /// Tables that nobody asked for.
    pub strangers: Names,
    /// Entities that the answer names.
    pub named: Vec<usize>,
    /// Lists that the protocol does not have: entity, name, rows.
    lists: Vec<(usize, String, i64)>,
    /// Rows of which no column is known: entity, how many, what the first one has.
    columns: Vec<(usize, i64, Names)>,
}

impl Oddities {
    /// An entity has a member that is no list of the protocol. An empty one loses nobody anything.
    pub fn unknown_list(&mut self, entity: usize, name: &str, rows: i64) {
        if rows > 0 && self.lists.len() < FEW {
            self.lists.push((entity, name.to_owned(), rows));
        }
    }

    /// A row has no column that is here. One that has an id only says nothing.
    pub fn unknown_columns(&mut self, entity: usize, row: &[u8]) {
        let known = self.columns.iter_mut().find(|known| known.0 == entity);
        if let Some((_, rows, _)) = known {
            *rows += 1;
            return;
        }
        let members: std::collections::BTreeMap<String, IgnoredAny> =
            serde_json::from_slice(row).unwrap_or_default();
        let mut names = Names::default();
        let own = ["id", "_status", "_changed"];
        let strange = members.keys().filter(|name| !own.contains(&name.as_str()));
        strange.for_each(|name| names.add(name));
        if names.count > 0 {
            self.columns.push((entity, 1, names));
        }
    }

    /// One warning for each oddity. `wanted`: the entities that were asked for; `all`: the answer is to have all there is.
    pub fn warnings(&self, entities: &[Entity], wanted: &[usize], all: bool) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for (place, name, rows) in &self.lists {
            let entity = &entities[*place].name;
            let message = format!(
                "{entity}: {} is no list of this protocol and was ignored; it has created, updated and deleted",
                quoted(name)
            );
            warnings.push(Warning::new("unknownList", message).of(entity).times(*rows));
        }
        for (place, rows, names) in &self.columns {
            let entity = &entities[*place].name;
            let message = format!(
                "{entity}: rows came of which no column is known here; the first has {}",
                names.shown()
            );
            let warning = Warning::new("rowsOfUnknownColumns", message);
            warnings.push(warning.of(entity).times(*rows));
        }
        warnings.extend(self.strangers.unasked());
        warnings.extend(self.missing(entities, wanted, all));
        warnings
    }

    /// An answer without any table says that nothing has changed, and one that is only about what has changed since may
    /// leave out an entity of which nothing has, unless it has a table with nearly its name.
    fn missing(&self, entities: &[Entity], wanted: &[usize], all: bool) -> Option<Warning> {
        if self.named.is_empty() && self.strangers.count == 0 {
            return None;
        }
        let mut missing = Names::default();
        let absent = wanted.iter().filter(|place| !self.named.contains(place));
        let absent = absent.map(|place| entities[*place].name.as_str());
        let suspect = absent.filter(|name| all || self.strangers.have_one_like(name));
        suspect.for_each(|name| missing.add(name));
        let message = format!(
            "tables that this sync asked for are not in the answer: {}; tableMap names them as the backend does",
            missing.shown()
        );
        (missing.count > 0).then(|| Warning::new("missingEntity", message).times(missing.count))
    }
}
