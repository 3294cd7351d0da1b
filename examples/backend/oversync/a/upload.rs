//! `POST /sync/upload`: what becomes of the changes of a request.

use std::collections::{HashMap, HashSet, VecDeque};

use super::change::{Change, Known, Op, Refusal, check};
use super::keys;
use super::outcome::{Fault, Outcome, answer};
use super::state::{Breakdown, State};
use super::tables::parents_first;
use super::transaction::{Placed, Transaction, Who};
use crate::oversync::stamp;
use crate::switches::Switches;

/// What is special about an upload.
#[derive(Default)]
pub struct Terms {
    /// Numbers of the log that it has taken already.
    pub numbers: VecDeque<i64>,
    /// Places of changes that met another request under way.
    pub collided: HashSet<usize>,
    pub switches: Switches,
}

/// Reasons that a switch may give to a change; anything else is a message of `bad_payload`.
const REASONS: [&str; 5] = [
    "fk_missing",
    "precheck_error",
    "internal_error",
    "unregistered_table",
    "batch_too_large",
];

/// Takes the changes of a request and gives the answer; after a fault nothing of it was done.
pub fn upload(
    state: &mut State,
    who: &Who,
    changes: &[Change],
    terms: &mut Terms,
) -> Result<String, Fault> {
    let outcomes = apply(state, who, changes, terms)?;
    let highest = match state.breakdown {
        Breakdown::Log => 0,
        _ => state.highest(&who.user),
    };
    let ids = changes.iter().map(|change| change.source_change_id);
    let outcomes: Vec<(i64, Outcome)> = ids.zip(outcomes).collect();
    Ok(answer(highest, &outcomes))
}

/// The same, with the outcomes by themselves.
pub fn apply(
    state: &mut State,
    who: &Who,
    changes: &[Change],
    terms: &mut Terms,
) -> Result<Vec<Outcome>, Fault> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(most) = state.options.max_changes
        && changes.len() > most
    {
        let message = format!("batch too large: changes={} limit={most}", changes.len());
        let refusal = Refusal::new("batch_too_large", message);
        return Ok(vec![Outcome::Invalid(refusal); changes.len()]);
    }
    if state.breakdown == Breakdown::Log {
        return Err(Fault::Failed);
    }
    let mut outcomes = HashMap::new();
    let mut known = looked_at(state, who, changes, terms, &mut outcomes)?;
    loop {
        state.begin();
        let mut transaction = Transaction {
            who,
            numbers: &mut terms.numbers,
            at: stamp::now(),
            outcomes: HashMap::new(),
            state,
        };
        let (upserts, deletes) = in_order(&transaction.state.options.tables, &known);
        let done = transaction.upserts(&upserts);
        let done = done.and_then(|()| transaction.deletes(&deletes));
        let taken = transaction.outcomes;
        let broken = match done {
            Ok(()) => keys::broken(state),
            Err(fault) => {
                state.go_back(0);
                return Err(fault);
            }
        };
        if broken.is_empty() {
            outcomes.extend(taken);
            break;
        }
        state.go_back(0);
        let before = outcomes.len();
        if !state.options.defects.late_keys_fail {
            give_up(&mut known, &broken, &mut outcomes);
        }
        if outcomes.len() == before {
            return Err(Fault::Failed);
        }
    }
    let in_order = (0..changes.len()).filter_map(|place| outcomes.remove(&place));
    Ok(in_order.collect())
}

/// The changes that can be taken, by their places; the others get their outcomes.
fn looked_at(
    state: &State,
    who: &Who,
    changes: &[Change],
    terms: &Terms,
    outcomes: &mut HashMap<usize, Outcome>,
) -> Result<Vec<(usize, Known)>, Fault> {
    let brought = keys::brought(changes);
    let mut known = Vec::new();
    for (place, change) in changes.iter().enumerate() {
        let refusal = match check(change, &state.options) {
            Ok(change) => {
                let mut refusal = rejection(&change, &terms.switches);
                if refusal.is_none() && change.op != Op::Delete {
                    refusal = keys::check(state, &who.user, &brought, &change)?;
                }
                if refusal.is_none() && terms.collided.contains(&place) {
                    let message = "apply failed with 40001 but triplet is missing; retry";
                    refusal = Some(Refusal::new("internal_error", message));
                }
                if refusal.is_none() {
                    known.push((place, change));
                }
                refusal
            }
            Err(refusal) => Some(refusal),
        };
        if let Some(refusal) = refusal {
            outcomes.insert(place, Outcome::Invalid(refusal));
        }
    }
    Ok(known)
}

fn rejection(change: &Known, switches: &Switches) -> Option<Refusal> {
    let reason = switches.rejection(&change.table, &change.pk)?;
    let known = REASONS.into_iter().find(|known| *known == reason);
    Some(match known {
        // Such a refusal has no message.
        Some("fk_missing") => Refusal::missing(&[]),
        known => Refusal::new(known.unwrap_or("bad_payload"), reason),
    })
}

/// Upserts with parents first, then deletes with parents last.
fn in_order<'k>(
    tables: &[super::tables::Table],
    known: &'k [(usize, Known)],
) -> (Vec<Placed<'k>>, Vec<Placed<'k>>) {
    let order = parents_first(tables);
    let of_table = |place: &usize, wanted: fn(Op) -> bool| {
        let name = tables[*place].name.clone();
        let fits = move |(_, change): &&(usize, Known)| change.table == name && wanted(change.op);
        known
            .iter()
            .filter(fits)
            .map(|(place, change)| (*place, change))
    };
    let upserts = order.iter();
    let upserts = upserts.flat_map(|place| of_table(place, |op| op != Op::Delete));
    let deletes = order.iter().rev();
    let deletes = deletes.flat_map(|place| of_table(place, |op| op == Op::Delete));
    (upserts.collect(), deletes.collect())
}

/// Refuses the changes by which foreign keys are broken.
fn give_up(
    known: &mut Vec<(usize, Known)>,
    broken: &[keys::Broken],
    outcomes: &mut HashMap<usize, Outcome>,
) {
    known.retain(|(place, change)| {
        let mut named = broken
            .iter()
            .filter(|broken| broken.table == change.table && broken.pk == change.pk);
        let Some(broken) = named.next() else {
            return true;
        };
        let refusal = Refusal::missing(std::slice::from_ref(&broken.parent));
        outcomes.insert(*place, Outcome::Invalid(refusal));
        false
    });
}
