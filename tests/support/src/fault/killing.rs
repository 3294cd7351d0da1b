//! A device of a schedule is killed: in a transaction of its own, in a sync.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, channel};

use serde_json::json;

use crate::{PATIENCE, ask};
use syncscope_backend::{Kind, Moment};

use super::edits::RowName;
use super::faults::Trouble;
use super::model::Who;
use super::schedule::{SYNCING, Schedule};
use super::victim::{At, Victim, Word, tell_of};

impl Schedule<'_> {
    /// SIGKILL with edits in an open transaction: they were never made.
    pub fn killed_in_a_transaction(&mut self, who: Who) {
        let draft = self.author.draft(&mut self.random, self.phones[who].name);
        let mut sql = "BEGIN IMMEDIATE;\n".to_owned();
        // Enough to reach the file before any commit.
        sql += "WITH n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 300)
            INSERT INTO item (id, a) SELECT 'never' || x, hex(randomblob(100)) FROM n;\n";
        sql += &draft.statements.join(";\n");
        self.note(format!("{} is killed in {sql}", self.phones[who].name));
        let before = self.phones[who].state(self.phones[who].db());
        let stays_open = self.random.chance(30);
        if !stays_open {
            self.phones[who].close();
        }
        let (words, heard) = channel();
        let path = self.phones[who].world.path();
        let mut victim = Victim::start(self.victims, &path, &[], &At::Sql(sql), words);
        self.wait_and_kill(who, &mut victim, &heard, false);
        self.after_a_kill(who, stays_open);
        let after = self.phones[who].state(self.phones[who].db());
        assert_eq!(
            after.rows, before.rows,
            "an open transaction left something"
        );
    }

    pub fn killed_in_a_sync(&mut self, who: Who) {
        let entities = self.entities();
        let trouble = self
            .random
            .chance(15)
            .then(|| Trouble::any(&mut self.random));
        let pending = self.phones[who].pending();
        let before = self.phones[who].state(self.phones[who].db());
        let mut at = At::Nowhere;
        let mut moment = None;
        match self.random.below(10) {
            0 | 1 => moment = Some(((Kind::Pull, Moment::Arrived), self.random.below(2) as u32)),
            2 => moment = Some(((Kind::Push, Moment::Arrived), 0)),
            3 => moment = Some(((Kind::Push, Moment::Committed), 0)),
            _ => at = self.step_of_a_sync(),
        }
        let edits = moment.is_some() && self.random.chance(40);
        self.note(format!(
            "{} syncs {entities:?} {trouble:?} and is killed at {at:?} {moment:?}",
            self.phones[who].name
        ));
        if let Some(trouble) = &trouble {
            self.begin_trouble(who, trouble);
        }
        let stays_open = self.random.chance(30);
        if !stays_open {
            self.phones[who].close();
        }
        let (words, heard) = channel();
        if let Some((moment, skip)) = moment {
            tell_of(self.backend.moments(), moment, skip, &words);
        }
        if moment.is_some_and(|(moment, _)| moment == (Kind::Push, Moment::Arrived)) {
            // It did not get through to the end.
            self.backend
                .faults()
                .add(json!({"on": "push", "drop": true, "times": 1}));
        }
        let path = self.phones[who].world.path();
        let mut victim = Victim::start(self.victims, &path, entities, &at, words);
        let during = self.wait_and_kill(who, &mut victim, &heard, edits);
        drop(victim);
        self.after_a_kill(who, stays_open);
        self.end_trouble(who);
        self.look_at(who, &pending, &during);
        if during.is_empty() {
            self.rows_and_cursors_agree(who, &before);
        }
    }

    fn step_of_a_sync(&mut self) -> At {
        let random = &mut self.random;
        match random.below(12) {
            0 => At::Write("item", 1 + random.below(12)),
            1 => At::Write("label", 1 + random.below(6)),
            2 => At::Write("_syncCursor", 1 + random.below(3)),
            3 => At::CommitOf("_syncCursor", 1 + random.below(3)),
            4 => At::Write("_syncOutbox", 1 + random.below(6)),
            5 => At::CommitOf("_syncOutbox", 1),
            6 => At::Write("_syncPush", 1 + random.below(4)),
            7 => At::Write("_syncChange", 1 + random.below(10)),
            8 => At::Write("_syncRun", 1 + random.below(3)),
            9 => At::Commit(1 + random.below(7)),
            _ => At::Operations(1 << random.below(15) | random.below(1 << 12)),
        }
    }

    /// Waits for a victim to stand at its step, or to have done all it had to do, and kills it.
    fn wait_and_kill(
        &mut self,
        who: Who,
        victim: &mut Victim,
        heard: &Receiver<Word>,
        edits: bool,
    ) -> BTreeSet<RowName> {
        let mut during = BTreeSet::new();
        loop {
            match heard.recv_timeout(PATIENCE).expect("a word") {
                Word::Moment(go_on) => {
                    if edits {
                        during.extend(self.edit_meanwhile(who));
                    }
                    self.kills += u64::from(victim.kill());
                    drop(go_on);
                }
                Word::Here => self.kills += u64::from(victim.kill()),
                Word::Done(answer) => self.note(format!("   it got through: {}", answer["error"])),
                Word::Gone => return during,
            }
        }
    }

    /// What must hold as soon as the process is dead.
    fn after_a_kill(&mut self, who: Who, stayed_open: bool) {
        let phone = &mut self.phones[who];
        let plain = phone.plain();
        assert_eq!(ask(&plain, "PRAGMA integrity_check"), "ok");
        drop(plain);
        if !stayed_open {
            phone.reopen();
        }
        ask(phone.db(), "SELECT sync_recover()");
        assert_eq!(phone.count(SYNCING), 0, "syncing after recovery");
    }
}
