//! One run: what waits is sent, and each operation reads its pages, one after the other.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::function::{Function, Writes};
use super::options::{Options, ids_of, of_operation};
use super::parent;
use super::reader::{Reader, Turned, Went};
use super::reading::{Operation, Reading};
use super::rows::Rows;
use super::sending::{Became, Sender, Writer};
use super::write;
use crate::ground::{Class, SyncError};
use crate::providers::conversation::{
    Answer, Conversation, Event, Goal, Known, KnownOperation, ParcelRow, ParcelRows, Place, Read,
    Refusal, Step,
};
use crate::providers::sink::{SHRINK, Sink};
use crate::providers::wire::Entity;

#[derive(Debug, Clone, PartialEq)]
enum At {
    /// What waits is frozen.
    Freeze,
    /// The change that was met is on its way.
    Send,
    /// Whether an operation is to be carried out at all, and how often.
    Begin(usize),
    /// For which rows of another table.
    Parents(usize),
    Branch(usize, Vec<Map<String, Json>>),
    Read(usize),
    Skip(usize),
    Over(usize, Option<SyncError>),
    Failed(SyncError),
    Done,
}

/// What the last answer that was read leads to.
enum Next {
    Turned(Turned),
    Became(Became),
}

/// How often a row that has met another state goes out anew in one run: a backend may say so each time.
const ROUNDS: u8 = 3;

/// The operations that carry out one of the call.
struct Branch {
    of: usize,
    left: VecDeque<usize>,
    /// Why the first of them that failed did.
    error: Option<SyncError>,
}

pub struct Talk {
    reader: Reader,
    /// How many operations the call has.
    calls: usize,
    branch: Option<Branch>,
    /// For a comparison, the operations that are still to be read: with the answer to the last one, all is compared.
    plan: VecDeque<usize>,
    sender: Sender,
    /// What goes out now was sent before.
    resent: bool,
    /// How often changes of rows have met another state of theirs.
    met: HashMap<(usize, String), u8>,
    /// What was made of one of these goes out before the end.
    again: bool,
    /// What waits is about to be frozen: the rows that come then are not left over from before.
    freezes: Cell<bool>,
    pulls: bool,
    /// What waits is sent when all is read, unless a reading showed that the backend does not know us, or is not there.
    writes_last: bool,
    at: At,
    /// Taken when the answer is adopted.
    next: RefCell<Option<Next>>,
}

impl Talk {
    /// # Errors
    /// A function or a parameter that is not known.
    pub fn begin(options: Arc<Options>, goal: Goal, known: Known) -> Result<Self, Refusal> {
        let entities: Arc<[Entity]> = known
            .entities
            .iter()
            .map(|known| known.entity.clone())
            .collect();
        let is_check = goal == Goal::Check;
        let mut operations = Vec::with_capacity(known.operations.len());
        for operation in known.operations {
            let entity = &entities[operation.entity];
            let function = of_operation(&options, entity, &operation).map_err(Refusal::Call)?;
            let operation = open(&options, entity, function, operation, (known.now, is_check));
            operations.push(operation.map_err(Refusal::Call)?);
        }
        for operation in &operations {
            let writes = operation.function.writes.as_ref();
            if let Some(writes) = writes.filter(|writes| writes.read.is_some()) {
                write::reads(&options, writes).map_err(Refusal::Call)?;
            }
        }
        let writers = entities.iter().enumerate().map(|(place, _)| {
            let mut operations = operations
                .iter()
                .filter(|operation: &&Operation| operation.known.entity == place);
            operations.find_map(|operation| {
                Some(Writer {
                    reading: Arc::clone(&operation.function),
                    writes: operation.function.writes.clone()?,
                    values: operation.values.clone(),
                })
            })
        });
        let sender = Sender::new(&options, &entities, known.now, writers.collect());
        let pulls = known.pulls && goal != Goal::Upload;
        let pull_first = options.pull_first;
        let sends = goal.sends() && sender.sends();
        let reads = pulls && !operations.is_empty();
        let mut talk = Self {
            calls: operations.len(),
            branch: None,
            plan: VecDeque::new(),
            sender,
            resent: false,
            met: HashMap::new(),
            again: false,
            freezes: Cell::default(),
            pulls,
            at: At::Freeze,
            writes_last: sends && pull_first && reads,
            next: RefCell::default(),
            reader: Reader {
                options,
                entities,
                operations,
                goal,
                now: known.now,
                force: known.options.get("force") == Some(&Json::Bool(true)),
            },
        };
        if !sends || talk.writes_last {
            talk.at = match reads {
                true if is_check => talk.plan_from(0),
                true => talk.at_operation(0),
                false => At::Done,
            };
        }
        Ok(talk)
    }

    /// Where changes of each entity go.
    pub fn writes(&self) -> HashMap<String, Writes> {
        self.sender.writes()
    }

    /// What comes when what was frozen is sent, or nothing was.
    fn after_writes(&self) -> At {
        // Behind what was sent before, the rest is still to be frozen.
        if self.resent || self.again {
            return At::Freeze;
        }
        match self.pulls && !self.writes_last && self.calls > 0 {
            true => self.at_operation(0),
            false => At::Done,
        }
    }

    /// What comes after an operation of the call.
    fn after(&self, place: usize) -> At {
        match place + 1 < self.calls {
            true => self.at_operation(place + 1),
            false if self.writes_last => At::Freeze,
            false => At::Done,
        }
    }

    /// What an operation of the call begins with.
    fn at_operation(&self, place: usize) -> At {
        match self.reader.operations[place].function.when {
            Some(_) => At::Begin(place),
            None => self.start(place),
        }
    }

    /// Finds out for a comparison what is to be read, from an operation of the call on, before anything is.
    fn plan_from(&mut self, first: usize) -> At {
        for place in first..self.calls {
            match self.at_operation(place) {
                At::Read(place) => self.plan.push_back(place),
                asks => return asks,
            }
        }
        self.next_planned()
    }

    fn next_planned(&mut self) -> At {
        self.plan.pop_front().map_or(At::Done, At::Read)
    }

    /// What it goes on with when its condition holds.
    fn start(&self, place: usize) -> At {
        let operation = &self.reader.operations[place];
        match &operation.function.parent {
            Some(parent) if !parent.is_given(&operation.known.parameters) => At::Parents(place),
            _ => At::Read(place),
        }
    }

    /// What comes when a page has led to something.
    fn turn(&mut self, place: usize, turned: Turned) {
        self.at = match self.reader.adopt(place, turned) {
            Went::On => At::Read(place),
            Went::Over(error) => self.leave(place, error),
        };
    }

    /// What comes when an operation was carried out.
    fn leave(&mut self, place: usize, error: Option<SyncError>) -> At {
        if self.reader.goal == Goal::Check {
            return match error {
                Some(error) => At::Failed(error),
                None => self.next_planned(),
            };
        }
        let Some(branch) = self.branch.as_mut().filter(|branch| branch.of != place) else {
            return self.over(place, error);
        };
        let is_for_all = error.as_ref().is_some_and(is_for_all);
        branch.error = branch.error.take().or(error);
        match branch.left.pop_front().filter(|_| !is_for_all) {
            Some(next) => At::Read(next),
            None => {
                let (of, error) = (branch.of, branch.error.take());
                self.branch = None;
                self.over(of, error)
            }
        }
    }

    /// What comes when an operation of the call was carried out.
    fn over(&self, place: usize, error: Option<SyncError>) -> At {
        match (self.reader.goal, error) {
            (Goal::Check, Some(error)) => At::Failed(error),
            (_, error) => At::Over(place, error),
        }
    }

    /// Whether a comparison reads no other operation after this one.
    fn is_last(&self) -> bool {
        self.plan.is_empty()
    }

    /// Takes up the operations that carry out one of the call.
    fn branch_out(
        &mut self,
        of: usize,
        parameters: &[Map<String, Json>],
        places: &[Option<Place>],
    ) {
        let first = self.reader.operations.len();
        let mut error = None;
        let mut left = VecDeque::new();
        for (parameters, place) in parameters.iter().zip(places) {
            let operation = &self.reader.operations[of];
            let entity = &self.reader.entities[operation.known.entity];
            let known = KnownOperation {
                parameters: parameters.clone(),
                place: place.clone(),
                ..operation.known.clone()
            };
            let is_check = self.reader.goal == Goal::Check;
            let function = Arc::clone(&operation.function);
            let when = (self.reader.now, is_check);
            match open(&self.reader.options, entity, function, known, when) {
                Ok(opened) => {
                    left.push_back(first + left.len());
                    self.reader.operations.push(Operation {
                        is_branch: true,
                        ..opened
                    });
                }
                Err(problem) => {
                    error = Some(SyncError::data(problem));
                    break;
                }
            }
        }
        if self.reader.goal == Goal::Check && error.is_none() {
            self.plan.extend(left);
            self.at = self.plan_from(of + 1);
            return;
        }
        let next = left.pop_front().filter(|_| error.is_none());
        self.at = match next {
            Some(next) => {
                self.branch = Some(Branch { of, left, error });
                At::Read(next)
            }
            None => self.over(of, error),
        };
    }
}

/// Whether others would hear the same.
fn is_for_all(error: &SyncError) -> bool {
    matches!(error.class, Class::Auth | Class::Network)
}

/// An operation that is to be read. `when`: now, and whether what is here is only compared.
///
/// # Errors
/// A parameter, a column or a function that is not there.
fn open(
    options: &Options,
    entity: &Entity,
    function: Arc<Function>,
    known: KnownOperation,
    (now, is_check): (i64, bool),
) -> Result<Operation, String> {
    let mut values = function.values(&known.parameters)?;
    values.insert("now".into(), now.into());
    Rows::new(&function, entity, &values, now)?;
    Ok(Operation {
        ids: ids_of(options, &function)?,
        meant: function.mode.meant_of(entity, &values)?,
        is_branch: false,
        reading: Reading::begin(&function, known.place.as_ref(), now, is_check),
        known,
        function,
        values,
    })
}

impl Conversation for Talk {
    fn due(&self) -> Step {
        match &self.at {
            At::Read(place) => match self.reader.ask(*place) {
                Ok(ask) => Step::Ask(ask),
                Err(error) => Step::Over(*place, Some(error)),
            },
            At::Freeze => {
                self.freezes.set(true);
                Step::Freeze
            }
            At::Send => match self.sender.ask() {
                Ok(ask) => Step::Ask(ask),
                Err(error) => Step::Fail(error),
            },
            At::Begin(place) => {
                let operation = &self.reader.operations[*place];
                let when = operation.function.when.as_deref().unwrap_or("1");
                Step::Query(parent::condition(when, &operation.values))
            }
            At::Parents(place) => {
                let operation = &self.reader.operations[*place];
                match &operation.function.parent {
                    Some(parent) => Step::Query(parent.query(&operation.values)),
                    None => Step::Fail(SyncError::bug()),
                }
            }
            At::Branch(place, parameters) => Step::Branch(*place, parameters.clone()),
            At::Skip(place) => Step::Skip(*place),
            At::Over(place, error) => Step::Over(*place, error.clone()),
            At::Failed(error) => Step::Fail(error.clone()),
            At::Done => Step::Done,
        }
    }

    fn write_body(&self, _: &dyn ParcelRows, _: &mut dyn Write) -> io::Result<()> {
        Err(io::Error::other(
            "a request carries its row from the beginning",
        ))
    }

    fn read(&self, answer: &mut Answer<'_>, sink: &mut dyn Sink) -> Result<Read, SyncError> {
        let (next, read) = match self.at {
            At::Send => {
                let (became, read) = self.sender.read(answer, sink)?;
                (Next::Became(became), read)
            }
            At::Read(place) => {
                let at = (place, self.is_last());
                let (turned, read) = self.reader.read(at, answer, sink)?;
                (Next::Turned(turned), read)
            }
            _ => return Err(SyncError::bug()),
        };
        *self.next.borrow_mut() = Some(next);
        Ok(read)
    }

    fn meet(&mut self, entity: usize, row: &ParcelRow<'_>) {
        self.sender.meet(entity, row, self.resent);
    }

    fn adopt(&mut self, event: Event<'_>) {
        if self.freezes.take() {
            self.again = false;
        }
        match (&self.at, event) {
            (_, Event::Frozen(0)) => {
                self.at = self.after_writes();
                self.resent = false;
            }
            (_, Event::Frozen(_)) => {
                self.resent = false;
                self.at = At::Send;
            }
            (_, Event::Resent(_)) => {
                self.resent = true;
                self.at = At::Send;
            }
            (At::Send, Event::Read(_)) => match self.next.take() {
                Some(Next::Became(Became::Open(due))) => self.sender.go_on(due),
                became => {
                    if let Some(Next::Became(Became::Met(version))) = became
                        && let Some(row) = self.sender.met(version)
                    {
                        let times = self.met.entry(row).or_default();
                        *times = times.saturating_add(1);
                        self.again |= *times <= ROUNDS;
                    }
                    // Another row may follow at once.
                    self.at = self.after_writes();
                    self.resent = false;
                }
            },
            (At::Send, Event::Refused { error, .. } | Event::Lost(error)) => {
                self.at = At::Failed(error.clone());
            }
            (At::Read(place), Event::Read(_)) => {
                let place = *place;
                if let Some(Next::Turned(turned)) = self.next.take() {
                    self.turn(place, turned);
                }
            }
            (
                At::Read(place),
                Event::Refused {
                    status,
                    body,
                    error,
                },
            ) => {
                let place = *place;
                self.turn(place, self.reader.refused(place, status, body, error));
            }
            (At::Read(place), Event::Lost(error)) => {
                let place = *place;
                self.turn(place, Turned::Failed(error.clone()));
            }
            _ => {}
        }
    }

    fn found(&mut self, rows: Result<&[Map<String, Json>], &SyncError>) {
        self.at = match (&self.at, rows) {
            (At::Begin(place) | At::Parents(place), Err(error)) => {
                self.over(*place, Some(error.clone()))
            }
            (At::Begin(place), Ok(rows)) => {
                let place = *place;
                let due = rows.first().and_then(|row| row.get("due"));
                let is_due = due == Some(&Json::from(1));
                match (is_due.then(|| self.start(place)), self.reader.goal) {
                    (Some(At::Read(place)), Goal::Check) => {
                        self.plan.push_back(place);
                        self.plan_from(place + 1)
                    }
                    (Some(at), _) => at,
                    (None, Goal::Check) => self.plan_from(place + 1),
                    (None, _) => At::Skip(place),
                }
            }
            (At::Parents(place), Ok(rows)) => {
                let given = &self.reader.operations[*place].known.parameters;
                let parameters = rows.iter().map(|row| {
                    let mut all = given.clone();
                    all.extend(row.clone());
                    all
                });
                At::Branch(*place, parameters.collect())
            }
            _ => return,
        };
    }

    fn branched(&mut self, places: &[Option<Place>]) {
        if let At::Branch(place, parameters) = &self.at {
            let (place, parameters) = (*place, parameters.clone());
            self.branch_out(place, &parameters, places);
        }
    }

    fn ended(&mut self, operation: usize) {
        let failed = match &self.at {
            At::Over(_, Some(error)) => Some(error.clone()),
            _ => None,
        };
        // An answer that lacks rows is what some give to those they don't know; to these, nothing they change is there.
        let is_strange = |error: &SyncError| is_for_all(error) || error.code == SHRINK;
        self.writes_last &= !failed.as_ref().is_some_and(is_strange);
        let next = operation + 1;
        self.at = match failed {
            Some(error) if is_for_all(&error) && next < self.calls => At::Over(next, Some(error)),
            _ => self.after(operation),
        };
    }
}
