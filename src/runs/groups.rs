//! Which of the rows that were refused one by one are tried together.

use std::collections::{HashMap, VecDeque};

use crate::transfer::send::frozen::Frozen;
use crate::transfer::send::rejected::Alone;

/// The status of a request that was too large.
pub(super) const TOO_LARGE: u16 = 413;

/// How many groups are tried in one run.
const MOST: usize = 6;

/// What is tried of the refused rows.
#[derive(Default)]
pub(super) struct Together {
    /// The groups to try, once it is known which rows were refused.
    pub groups: Option<VecDeque<Vec<Alone>>>,
    /// The push that goes out now, with its rows.
    pub tried: Option<(i64, Vec<Alone>)>,
}

impl Together {
    pub(super) fn is_tried(&self, frozen: &Frozen) -> bool {
        self.tried
            .as_ref()
            .is_some_and(|(push, _)| *push == frozen.push)
    }
}

/// The groups of rows that may be good together: all, those of one kind, all but one; where some refer to each other in a
/// circle, they count as one. `whole`: all together were refused already.
pub(super) fn groups(rows: &[Alone], whole: bool) -> VecDeque<Vec<Alone>> {
    let units: Vec<&[Alone]> = rows.chunk_by(|one, next| one.push == next.push).collect();
    let kind = |unit: &[Alone]| (unit[0].place, unit[0].kind.clone(), unit[0].status);
    let mut of_kind: HashMap<_, usize> = HashMap::new();
    for unit in &units {
        *of_kind.entry(kind(unit)).or_default() += 1;
    }
    let mut kinds: Vec<_> = of_kind.iter().collect();
    kinds.sort_by(|one, other| other.1.cmp(one.1).then(one.0.cmp(other.0)));
    // The odd one is the most likely to be at fault.
    let mut odd: Vec<usize> = (0..units.len()).collect();
    odd.sort_by_key(|place| of_kind[&kind(units[*place])]);
    let of_one = kinds.iter().map(|(one, _)| {
        let units = units.iter().filter(|unit| kind(unit) == **one);
        units.copied().collect()
    });
    let but_one = odd.iter().map(|odd| {
        let others = units.iter().enumerate().filter(|(place, _)| place != odd);
        others.map(|(_, unit)| *unit).collect()
    });
    let all = (!whole).then(|| units.clone());
    let mut found: Vec<Vec<&[Alone]>> = Vec::new();
    for group in all.into_iter().chain(of_one).chain(but_one) {
        let is_known = |known: &Vec<&[Alone]>| {
            let pushes = |group: &[&[Alone]]| -> Vec<i64> {
                group.iter().map(|unit| unit[0].push).collect()
            };
            pushes(known) == pushes(&group)
        };
        let is_whole = whole && group.len() == units.len();
        if group.len() > 1 && !is_whole && found.len() < MOST && !found.iter().any(is_known) {
            found.push(group);
        }
    }
    found.into_iter().map(|group| group.concat()).collect()
}
