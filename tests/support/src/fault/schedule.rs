//! One random schedule: two devices, one backend, everything that can go wrong.
//!
//! `syncing.rs` and `killing.rs` hold what a device does about the network, this file the rest.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::json;

use syncscope_backend::Backend;

use crate::{PATIENCE, Random, ask, rows_of};

use super::edits::{self, Author, RowName};
use super::history;
use super::model::{Model, Who};
use super::phone::{self, ENTITIES, Phone};
use super::syncing::Plan;

/// What happened, for the message of a schedule that fails.
pub type Trace = Arc<Mutex<Vec<String>>>;

const STEPS: u64 = 14;

/// Runs the schedule of a seed; panics when something is lost. Gives how many kills met their step.
pub fn run_schedule(seed: u64, victims: &'static str, trace: &Trace) -> u64 {
    let mut schedule = Schedule::new(seed, victims, trace);
    for _ in 0..STEPS {
        schedule.step();
    }
    schedule.settle();
    schedule.kills
}

pub struct Schedule<'a> {
    pub random: Random,
    pub author: Author,
    pub backend: Backend,
    pub phones: [Phone; 2],
    pub model: Model,
    /// Last line of the backend's history that the model knows.
    read_up_to: i64,
    /// Module of the test that is a victim's life.
    pub victims: &'static str,
    pub attempts: u64,
    pub kills: u64,
    trace: &'a Trace,
}

impl<'a> Schedule<'a> {
    fn new(seed: u64, victims: &'static str, trace: &'a Trace) -> Schedule<'a> {
        let mut random = Random(seed);
        let journal = if seed % 2 == 1 { "wal" } else { "delete" };
        let backend = Backend::start(&phone::backend_schema());
        history::begin(&backend);
        let phones = ["a", "b"].map(|name| Phone::new(name, &mut random, journal));
        let mut schedule = Schedule {
            attempts: 1 + random.below(2),
            random,
            author: Author { counter: 0 },
            backend,
            phones,
            model: Model::default(),
            read_up_to: 0,
            victims,
            kills: 0,
            trace,
        };
        schedule.note(format!("journal {journal}, attempts {}", schedule.attempts));
        schedule.others_begin();
        for who in 0..2 {
            schedule.well_connected(who);
        }
        schedule
    }

    pub fn note(&self, text: String) {
        self.trace.lock().expect("trace").push(text);
    }

    pub fn well_connected(&self, who: Who) {
        let more = json!({"attempts": self.attempts, "timeoutMs": PATIENCE.as_millis() as u64});
        self.phones[who].provider(&self.backend.sync_url(), &more);
    }

    fn step(&mut self) {
        let who = self.random.below(2) as usize;
        if self.random.chance(15) {
            self.others_write();
        }
        for _ in 0..self.random.below(3) {
            self.edit(who);
        }
        match self.random.below(100) {
            0..=14 => {}
            15..=39 => self.sync_in_peace(who),
            40..=64 => self.sync_in_trouble(who),
            65..=74 => self.sync_with_edits_meanwhile(who),
            75..=79 => self.killed_in_a_transaction(who),
            _ => self.killed_in_a_sync(who),
        }
        if self.random.chance(10) {
            self.phones[who].reopen();
        }
    }

    /// Rows that were there before any device, in most schedules.
    fn others_begin(&mut self) {
        if self.random.chance(80) {
            let number = 8 + self.random.below(60);
            self.others_run(&self.author.first_rows(number));
        }
    }

    /// Another client of the backend.
    fn others_write(&mut self) {
        let draft = self.author.draft(&mut self.random, "z");
        self.others_run(&draft.statements.join(";\n"));
    }

    fn others_run(&mut self, sql: &str) {
        self.note(format!("z: {sql}"));
        let late = self.read_history();
        self.model.arrived_late(late);
        self.backend.sql(|db| db.execute_batch(sql));
        let lines = self.read_history();
        self.model.written_there(lines);
    }

    /// What happened on the backend since this was asked last.
    pub fn read_history(&mut self) -> Vec<history::Line> {
        let (lines, last) = history::since(&self.backend, self.read_up_to);
        self.read_up_to = last;
        lines
    }

    /// A transaction on a device, by the program or by one that never heard of the extension.
    fn edit(&mut self, who: Who) {
        let other = self.random.chance(30).then(|| self.phones[who].plain());
        let draft = self.author.draft(&mut self.random, self.phones[who].name);
        self.note(format!("{}: {draft}", self.phones[who].name));
        let phone = &self.phones[who];
        let db = other.as_ref().unwrap_or_else(|| phone.db());
        let Some((before, after)) = phone::carry_out(phone, db, &draft) else {
            return;
        };
        let created = edits::created(phone.db());
        self.model
            .edited(who, &before.rows, &after, &before.cursors, &created);
    }

    /// The same on a connection of its own, while the device's is busy with a sync.
    pub fn edit_meanwhile(&mut self, who: Who) -> BTreeSet<RowName> {
        let phone = &self.phones[who];
        let draft = self.author.draft(&mut self.random, phone.name);
        self.note(format!("   meanwhile {}: {draft}", phone.name));
        let db = phone.open();
        let Some((before, after)) = phone::carry_out(phone, &db, &draft) else {
            return BTreeSet::new();
        };
        let created = edits::created(&db);
        self.model
            .edited(who, &before.rows, &after, &before.cursors, &created)
    }

    pub fn entities(&mut self) -> &'static [&'static str] {
        match self.random.below(10) {
            0 => &["item"],
            1 => &["label"],
            _ => ENTITIES,
        }
    }

    /// All faults off: two syncs each, and everything is at rest.
    fn settle(&mut self) {
        self.note("at rest".into());
        let plan = Plan::plain(ENTITIES);
        for _ in 0..2 {
            for who in 0..2 {
                let answer = self.sync(who, &plan);
                assert_eq!(answer["state"], "synced", "{answer}");
            }
        }
        for phone in &self.phones {
            let db = phone.db();
            for table in ENTITIES {
                let there = self.backend.sql(|db| Ok(rows_of(db, table)));
                assert_eq!(rows_of(db, table), there, "{table} of {}", phone.name);
            }
            assert_eq!(phone.count("SELECT count(*) FROM sync_pending"), 0);
            assert_eq!(phone.count(SYNCING), 0);
            let open = "SELECT count(*) FROM _syncPush WHERE state = 'open'";
            assert_eq!(phone.count(open), 0);
            assert_eq!(phone.count("SELECT count(*) FROM _syncLease"), 0);
            assert_eq!(ask(db, "PRAGMA integrity_check"), "ok");
        }
        let rows = edits::picture(self.phones[0].db());
        self.model.nothing_is_lost(&rows);
    }
}

/// Everything that is under way.
pub const SYNCING: &str = "SELECT (SELECT count(*) FROM _syncStatus WHERE state = 'syncing')
    + (SELECT count(*) FROM _syncScope WHERE state = 'syncing')
    + (SELECT count(*) FROM _syncOperation WHERE state = 'syncing')";
