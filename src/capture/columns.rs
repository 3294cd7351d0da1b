//! Which bit of the masks in the log stands for which column of a table.
//!
//! A bit means one column for ever: a column that is dropped leaves its bit behind, a new one gets the next. So the
//! log is never rewritten. What a bit's column is called now is read from the capture triggers, which SQLite keeps
//! exact when a column is renamed; where there are none, the record in `_syncTable` says what it was called.

use std::collections::BTreeMap;

use super::names::quoted_list;
use super::op::GROUP;
use super::shape::{Column, Shape};

/// Names by bit; none for a column that is gone.
pub type Names = Vec<Option<String>>;

/// What the capture triggers say: names by bit.
pub type Known = BTreeMap<usize, String>;

/// What became of the column of a bit.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    At(usize),
    Gone,
    /// It may be any of the columns whose name is not known.
    Lost,
}

/// The columns of a table and their bits.
#[derive(Debug, Clone, PartialEq)]
pub struct Columns {
    /// The bit of each column, by its position; none for a computed one. One that the triggers do not know has the bit
    /// that it will get.
    bits: Vec<Option<usize>>,
    /// By bit.
    places: Vec<Place>,
    /// As the record is to have them.
    pub names: Names,
    /// Positions of columns whose changes the triggers do not see.
    pub added: Vec<usize>,
    /// Positions of columns whose name no record knows.
    unnamed: Vec<usize>,
    /// Names of the record, and what these columns are called now.
    pub renamed: Vec<(String, String)>,
    /// Each column has its position for a bit, and there is nothing else to know.
    straight: bool,
}

impl Columns {
    /// Finds each bit's column, from the record and from what the triggers say, if there are any.
    pub fn resolve(record: &[Option<String>], known: Option<&Known>, shape: &Shape) -> Self {
        Self::resolve_but(record, known, shape, &[])
    }

    /// The same where some names of the record may be another column's now: without triggers to say, their columns are as
    /// unknown as those whose names are gone.
    pub fn resolve_but(
        record: &[Option<String>],
        known: Option<&Known>,
        shape: &Shape,
        moved: &[String],
    ) -> Self {
        // Triggers that a tool has put back say what columns were called when it saved them.
        let recorded = |bit: &usize| record.get(*bit).and_then(|name| name.as_deref());
        let is_there = |name: &str| shape.position(name).is_some();
        let is_stale =
            |bit: &usize, name: &str| !is_there(name) && recorded(bit).is_some_and(is_there);
        let known: Option<Known> = known.map(|known| {
            let known = known.iter();
            let current = known.filter(|(bit, name)| !is_stale(bit, name));
            current.map(|(bit, name)| (*bit, name.clone())).collect()
        });
        let known = known.as_ref();
        let mut names: Names = record.to_vec();
        let mut renamed = Vec::new();
        for (bit, name) in known.into_iter().flatten() {
            if names.len() <= *bit {
                names.resize(bit + 1, None);
            }
            if let Some(old) = names[*bit].replace(name.clone())
                && old != *name
            {
                renamed.push((old, name.clone()));
            }
        }
        let from_triggers = |bit: usize| known.is_some_and(|known| known.contains_key(&bit));
        let mut bits = vec![None; shape.columns.len()];
        // What the triggers say goes first: a name that they use is no other bit's any more.
        let order = (0..names.len()).filter(|bit| from_triggers(*bit));
        let order = order.chain((0..names.len()).filter(|bit| !from_triggers(*bit)));
        for bit in order {
            let is_sure = |name: &&str| {
                known.is_some() || !moved.iter().any(|moved| moved.eq_ignore_ascii_case(name))
            };
            let name = names[bit].as_deref().filter(is_sure);
            let position = name.and_then(|name| shape.position(name));
            // A column that has a bit was none that is computed: another one has its name now.
            if let Some(position) = position
                && bits[position].is_none()
                && !shape.columns[position].generated
            {
                bits[position] = Some(bit);
            }
        }
        let plain = |position: &usize| {
            let column = &shape.columns[*position];
            !column.generated && column.key_place == 0
        };
        let unnamed: Vec<usize> = (0..bits.len())
            .filter(|position| bits[*position].is_none())
            .filter(plain)
            .collect();
        let mut places: Vec<Place> = (0..names.len())
            .map(|bit| match names[bit] {
                // Triggers that are there know all columns but computed ones.
                Some(_) if known.is_none() || from_triggers(bit) => match unnamed.is_empty() {
                    true => Place::Gone,
                    false => Place::Lost,
                },
                _ => Place::Gone,
            })
            .collect();
        for (position, bit) in bits.iter().enumerate() {
            if let Some(bit) = bit {
                places[*bit] = Place::At(position);
            }
        }
        for (name, place) in names.iter_mut().zip(&places) {
            *name = match place {
                Place::At(position) => recorded_name(&shape.columns[*position]),
                Place::Gone | Place::Lost => None,
            }
        }
        for (position, bit) in bits.iter_mut().enumerate() {
            let column = &shape.columns[position];
            if column.generated {
                *bit = None;
            } else if bit.is_none() {
                *bit = Some(names.len());
                names.push(recorded_name(column));
                places.push(Place::At(position));
            }
        }
        // Where a column may have been renamed, what it holds does not say whether it was changed.
        let is_lost = places.contains(&Place::Lost);
        let is_named = |position: &usize| !is_lost || !unnamed.contains(position);
        let added: Vec<usize> = (0..bits.len())
            .filter(plain)
            .filter(|position| match known {
                None => unnamed.contains(position),
                Some(_) => !bits[*position].is_some_and(from_triggers),
            })
            .filter(is_named)
            .collect();
        let mut all = bits.iter().enumerate();
        let straight = added.is_empty()
            && !is_lost
            && all.all(|(position, bit)| bit.is_none_or(|bit| bit == position));
        Self {
            bits,
            places,
            names,
            added,
            unnamed,
            renamed,
            straight,
        }
    }

    /// The bit of the column at `position`; none of a computed one, whose changes are not logged.
    pub fn bit(&self, position: usize) -> Option<usize> {
        self.bits.get(position).copied().flatten()
    }

    /// Whether masks can be read as they are.
    pub fn is_straight(&self) -> bool {
        self.straight
    }

    /// Positions of the columns that a mask of a group may speak of.
    pub fn positions(&self, group: usize, mask: i64) -> impl Iterator<Item = usize> + '_ {
        let bits = (0..GROUP).filter(move |bit| mask & 1 << bit != 0);
        bits.flat_map(move |bit| self.candidates(group * GROUP + bit))
            .copied()
    }

    fn candidates(&self, bit: usize) -> &[usize] {
        match self.places.get(bit) {
            Some(Place::Lost) => &self.unnamed,
            Some(Place::At(position)) => std::slice::from_ref(position),
            Some(Place::Gone) | None => &[],
        }
    }

    /// Positions of the columns that an update may be about of which the log only says that the triggers did not
    /// know its columns; none where the values show it.
    pub fn suspects(&self) -> &[usize] {
        match self.places.contains(&Place::Lost) {
            true => &self.unnamed,
            false => &[],
        }
    }

    /// What becomes of what was logged of columns that are not there any more, in words.
    pub fn fate_of_missing(&self, shape: &Shape) -> String {
        let suspects: Vec<&str> = self
            .suspects()
            .iter()
            .map(|position| shape.columns[*position].name.as_str())
            .collect();
        match suspects.is_empty() {
            true => "what waits of it is given up".into(),
            false => format!(
                "it may have another name now, so what waits of it counts as an edit of {}",
                quoted_list(&suspects)
            ),
        }
    }

    /// What the triggers of this table are to say.
    pub fn known(&self, shape: &Shape) -> Known {
        let columns = shape.columns.iter().zip(&self.bits);
        columns
            .filter_map(|(column, bit)| Some(((*bit)?, column.name.clone())))
            .collect()
    }
}

/// What the record says of a column. Of a computed one there is nothing to know.
fn recorded_name(column: &Column) -> Option<String> {
    (!column.generated).then(|| column.name.clone())
}
