//! Uploads that wait: for rows that somebody holds, or because a test wants them to be overtaken.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;

use super::change::{Change, Op, check};
use super::outcome::Fault;
use super::server::Inner;
use super::state::{ChangeKey, RowKey, State};
use super::transaction::Who;
use super::upload::{Terms, upload};
use crate::faults::Kind;
use crate::moments::Moment;
use crate::switches::Switches;

/// Attempts at rows that stay held.
const ATTEMPTS: u32 = 3;

/// What somebody holds for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// A user's row: changes of it wait, and collide when the holder commits.
    Row {
        user: String,
        table: String,
        pk: String,
    },
    /// The projected row: changes wait with their numbers taken.
    Projected { table: String, pk: String },
    /// The whole projected table: whoever must look for a parent in it waits.
    Table(String),
}

/// How it ended: None while it lasts, then whether it was committed.
type Ending = Option<bool>;

pub struct Hold {
    number: u64,
    rows: HashSet<RowKey>,
    changes: HashSet<ChangeKey>,
    projected: Option<(String, String)>,
    table: Option<String>,
    ended: watch::Receiver<Ending>,
}

/// Ends a hold; without a word it is rolled back.
pub struct Holder {
    inner: Arc<Inner>,
    number: u64,
    ending: watch::Sender<Ending>,
}

impl Holder {
    /// The holder has changed what it held.
    pub fn commit(self) {
        self.end(true);
    }

    /// It has changed nothing.
    pub fn roll_back(self) {
        self.end(false);
    }

    fn end(&self, committed: bool) {
        let number = self.number;
        self.inner.holds().retain(|hold| hold.number != number);
        self.ending.send_modify(|ending| {
            ending.get_or_insert(committed);
        });
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.end(false);
    }
}

/// Holds something until the holder is dropped.
pub fn hold(inner: &Arc<Inner>, held: Held) -> Holder {
    let mut hold = Hold::of(HashSet::new(), HashSet::new());
    match held {
        Held::Row { user, table, pk } => {
            hold.0.rows.insert((user, table, pk));
        }
        Held::Projected { table, pk } => hold.0.projected = Some((table, pk)),
        Held::Table(table) => hold.0.table = Some(table),
    }
    register(inner, hold)
}

impl Hold {
    fn of(rows: HashSet<RowKey>, changes: HashSet<ChangeKey>) -> (Hold, watch::Sender<Ending>) {
        let (ending, ended) = watch::channel(None);
        let hold = Hold {
            number: 0,
            rows,
            changes,
            projected: None,
            table: None,
            ended,
        };
        (hold, ending)
    }
}

fn register(inner: &Arc<Inner>, (mut hold, ending): (Hold, watch::Sender<Ending>)) -> Holder {
    let number = inner.next_hold.fetch_add(1, Ordering::Relaxed);
    hold.number = number;
    inner.holds().push(hold);
    Holder {
        inner: Arc::clone(inner),
        number,
        ending,
    }
}

/// One change of a request: what others may hold of it.
struct Touch {
    place: usize,
    row: RowKey,
    change: ChangeKey,
    is_delete: bool,
}

/// What an upload does next.
enum Next {
    /// It waits for what it does not change: a parent's table, a projected row.
    Wait(watch::Receiver<Ending>),
    /// It waits for rows that it changes: these of its changes, of which it has taken the numbers.
    Meet(watch::Receiver<Ending>, Vec<usize>),
    /// It lets itself be overtaken.
    Fly(Holder),
    Done(Result<String, Fault>),
}

/// Answers an upload, when nobody is in its way any more.
pub async fn run(
    inner: &Arc<Inner>,
    who: &Who,
    changes: Vec<Change>,
    switches: Switches,
) -> Result<String, Fault> {
    let mut terms = Terms {
        switches,
        ..Terms::default()
    };
    let touches = touches(inner, who, &changes);
    let mut attempts = 0;
    loop {
        let next = next(inner, who, &changes, &touches, &mut terms);
        match next {
            Next::Done(answer) => return answer,
            Next::Wait(ended) => {
                wait(inner, ended).await.ok_or(Fault::Failed)?;
            }
            Next::Meet(ended, met) => match wait(inner, ended).await {
                Some(true) => collide(inner, &touches, &met, &mut terms),
                // Nothing has changed: it goes on with the numbers that it has.
                Some(false) => {}
                None => {
                    terms.numbers.clear();
                    attempts += 1;
                    if attempts == ATTEMPTS {
                        return Err(Fault::Failed);
                    }
                }
            },
            Next::Fly(holder) => return fly(inner, who, &changes, &touches, terms, holder).await,
        }
    }
}

fn touches(inner: &Inner, who: &Who, changes: &[Change]) -> Vec<Touch> {
    let state = inner.state();
    let touch = |(place, change): (usize, &Change)| {
        let change = check(change, &state.options).ok()?;
        Some(Touch {
            place,
            row: (who.user.clone(), change.table, change.pk),
            change: (who.user.clone(), who.source.clone(), change.id),
            is_delete: change.op == Op::Delete,
        })
    };
    changes.iter().enumerate().filter_map(touch).collect()
}

fn next(
    inner: &Arc<Inner>,
    who: &Who,
    changes: &[Change],
    touches: &[Touch],
    terms: &mut Terms,
) -> Next {
    let mut state = inner.state();
    let left: Vec<&Touch> = touches
        .iter()
        .filter(|touch| !terms.collided.contains(&touch.place))
        .collect();
    let holds = inner.holds();
    if let Some(hold) = holds.iter().find(|hold| hold.is_a_parent(&state, &left)) {
        return Next::Wait(hold.ended.clone());
    }
    let in_the_way = holds.iter().find_map(|hold| {
        let met: Vec<usize> = left
            .iter()
            .filter(|touch| hold.rows.contains(&touch.row) || hold.changes.contains(&touch.change))
            .map(|touch| touch.place)
            .collect();
        (!met.is_empty()).then_some((hold, met))
    });
    if let Some((hold, met)) = in_the_way {
        let is_resent = left
            .iter()
            .any(|touch| hold.changes.contains(&touch.change));
        // A change id that is just being stored stops the request at its first line of the log.
        let numbers = if is_resent { 1 } else { left.len() };
        take_numbers(&mut state, terms, numbers);
        return Next::Meet(hold.ended.clone(), met);
    }
    let is_projected_held = holds.iter().any(|hold| hold.is_projected_of(&left));
    drop(holds);
    if is_projected_held || inner.is_to_be_overtaken() {
        if state.options.defects.numbers_early {
            take_numbers(&mut state, terms, left.len());
        }
        let rows = left.iter().map(|touch| touch.row.clone()).collect();
        let ids = left.iter().map(|touch| touch.change.clone()).collect();
        return Next::Fly(register(inner, Hold::of(rows, ids)));
    }
    Next::Done(upload(&mut state, who, changes, terms))
}

fn take_numbers(state: &mut State, terms: &mut Terms, count: usize) {
    while terms.numbers.len() < count {
        terms.numbers.push_back(state.number());
    }
}

impl Hold {
    /// Whether an upsert must look for its parent in the table.
    fn is_a_parent(&self, state: &State, touches: &[&Touch]) -> bool {
        let Some(held) = &self.table else {
            return false;
        };
        let refers = |name: &str| {
            let mut tables = state.options.tables.iter();
            let table = tables.find(|table| table.name == name);
            table.is_some_and(|table| table.parents().any(|(_, parent)| parent == held))
        };
        let mut upserts = touches.iter().filter(|touch| !touch.is_delete);
        upserts.any(|touch| refers(&touch.row.1))
    }

    fn is_projected_of(&self, touches: &[&Touch]) -> bool {
        let Some((table, pk)) = &self.projected else {
            return false;
        };
        let mut rows = touches.iter().map(|touch| &touch.row);
        rows.any(|row| row.1 == *table && row.2 == *pk)
    }
}

/// How it ended, or None if it did not within the time that the server waits.
async fn wait(inner: &Inner, mut ended: watch::Receiver<Ending>) -> Option<bool> {
    let patience = inner.state().options.lock_wait;
    let _waits = inner.waits();
    let ending = ended.wait_for(Option::is_some);
    match tokio::time::timeout(patience, ending).await {
        Ok(Ok(ending)) => *ending,
        // The holder has gone without a word.
        Ok(Err(_)) => Some(false),
        Err(_) => None,
    }
}

/// The rows were changed meanwhile: a change that is alone with its kind fails, several are tried again.
fn collide(inner: &Inner, touches: &[Touch], met: &[usize], terms: &mut Terms) {
    terms.numbers.clear();
    if !inner.state().options.defects.collisions {
        return;
    }
    for kind in [false, true] {
        let mut alike = touches.iter().filter(|touch| touch.is_delete == kind);
        if let (Some(only), None) = (alike.next(), alike.next())
            && met.contains(&only.place)
        {
            terms.collided.insert(only.place);
        }
    }
}

/// Stores an upload late: others come and go meanwhile, and wait only if they want the same rows.
async fn fly(
    inner: &Arc<Inner>,
    who: &Who,
    changes: &[Change],
    touches: &[Touch],
    mut terms: Terms,
    holder: Holder,
) -> Result<String, Fault> {
    inner.moments.come(Kind::Push, Moment::Numbered).await;
    let touches: Vec<&Touch> = touches.iter().collect();
    loop {
        let Some(ended) = ending_of_projected(inner, &touches) else {
            break;
        };
        wait(inner, ended).await.ok_or(Fault::Failed)?;
    }
    let answer = upload(&mut inner.state(), who, changes, &mut terms);
    match &answer {
        Ok(_) => holder.commit(),
        Err(_) => holder.roll_back(),
    }
    answer
}

fn ending_of_projected(inner: &Inner, touches: &[&Touch]) -> Option<watch::Receiver<Ending>> {
    let holds = inner.holds();
    let held = holds.iter().find(|hold| hold.is_projected_of(touches));
    held.map(|hold| hold.ended.clone())
}
