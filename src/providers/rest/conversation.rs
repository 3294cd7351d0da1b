//! One run: what waits is sent, and each operation reads its pages, one after the other.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use serde_json::Value as Json;

use super::function::Writes;
use super::options::{Options, ids_of, of_operation};
use super::reader::{Reader, Turned, Went};
use super::reading::{Operation, Reading};
use super::rows::Rows;
use super::sending::{Became, Sender, Writer};
use super::write;
use crate::ground::{Class, SyncError};
use crate::providers::conversation::{
    Answer, Conversation, Event, Goal, Known, ParcelRow, ParcelRows, Read, Refusal, Step,
};
use crate::providers::sink::Sink;
use crate::providers::wire::Entity;

#[derive(Debug, Clone, PartialEq)]
enum At {
    /// What waits is frozen.
    Freeze,
    /// The change that was met is on its way.
    Send,
    Read(usize),
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

pub struct Talk {
    reader: Reader,
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
    /// What waits is sent when all is read.
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
            let mut values = function
                .values(&operation.parameters)
                .map_err(Refusal::Call)?;
            values.insert("now".into(), known.now.into());
            Rows::new(&function, entity, &values, known.now).map_err(Refusal::Call)?;
            let meant = function.mode.meant_of(entity, &values);
            operations.push(Operation {
                ids: ids_of(&options, &function).map_err(Refusal::Call)?,
                meant: meant.map_err(Refusal::Call)?,
                reading: Reading::begin(&function, operation.place.as_ref(), known.now, is_check),
                known: operation,
                function,
                values,
            });
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
        let first = match reads {
            true => At::Read(0),
            false => At::Done,
        };
        Ok(Self {
            sender,
            resent: false,
            met: HashMap::new(),
            again: false,
            freezes: Cell::default(),
            pulls,
            at: match sends && (!pull_first || first == At::Done) {
                true => At::Freeze,
                false => first,
            },
            writes_last: sends && pull_first && reads,
            next: RefCell::default(),
            reader: Reader {
                options,
                entities,
                operations,
                goal,
                now: known.now,
                force: known.options.get("force") == Some(&Json::Bool(true)),
                gathered: RefCell::default(),
                adopted: 0,
            },
        })
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
        match self.pulls && !self.writes_last && !self.reader.operations.is_empty() {
            true => At::Read(0),
            false => At::Done,
        }
    }

    /// What comes after an operation.
    fn after(&self, place: usize) -> At {
        match place + 1 < self.reader.operations.len() {
            true => At::Read(place + 1),
            false if self.writes_last => At::Freeze,
            false => At::Done,
        }
    }

    /// What comes when a page has led to something.
    fn turn(&mut self, place: usize, turned: Turned) {
        self.at = match (self.reader.goal, self.reader.adopt(place, turned)) {
            (_, Went::On) => At::Read(place),
            (Goal::Check, Went::Over(Some(error))) => At::Failed(error),
            (Goal::Check, Went::Over(None)) => self.after(place),
            (_, Went::Over(error)) => At::Over(place, error),
        };
    }
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
                let (turned, read) = self.reader.read(place, answer, sink)?;
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

    fn ended(&mut self, operation: usize) {
        let failed = match &self.at {
            At::Over(_, Some(error)) => Some(error.clone()),
            _ => None,
        };
        self.at = match (self.after(operation), failed) {
            // The others would hear the same.
            (At::Read(next), Some(error))
                if matches!(error.class, Class::Auth | Class::Network) =>
            {
                At::Over(next, Some(error))
            }
            (next, _) => next,
        };
    }
}
