//! A device of a schedule syncs: in peace, in trouble, with edits meanwhile.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use crate::{PATIENCE, ask};
use syncscope_backend::{Kind, Moment};

use super::edits::RowName;
use super::faults::Trouble;
use super::model::{PendingRows, Who};
use super::phone::{Phone, State};
use super::schedule::{SYNCING, Schedule};
use super::victim::{Word, tell_of};

/// How a sync was set up.
pub struct Plan {
    pub entities: &'static [&'static str],
    pub trouble: Option<Trouble>,
    /// Edits while a request waits there.
    pub meanwhile: Option<(Kind, Moment)>,
    pub background: bool,
}

impl Plan {
    pub fn plain(entities: &'static [&'static str]) -> Plan {
        Plan {
            entities,
            trouble: None,
            meanwhile: None,
            background: false,
        }
    }
}

impl Schedule<'_> {
    pub fn sync_in_peace(&mut self, who: Who) {
        let plan = Plan {
            background: self.random.chance(15),
            ..Plan::plain(self.entities())
        };
        let answer = self.sync(who, &plan);
        assert_eq!(answer["state"], "synced", "{answer}");
    }

    pub fn sync_in_trouble(&mut self, who: Who) {
        let plan = Plan {
            trouble: Some(Trouble::any(&mut self.random)),
            background: self.random.chance(15),
            ..Plan::plain(self.entities())
        };
        self.sync(who, &plan);
    }

    pub fn sync_with_edits_meanwhile(&mut self, who: Who) {
        let moment = self.moment();
        let plan = Plan {
            entities: self.entities(),
            trouble: self
                .random
                .chance(30)
                .then(|| Trouble::any(&mut self.random)),
            meanwhile: Some(moment),
            background: self.random.chance(15),
        };
        self.sync(who, &plan);
    }

    fn moment(&mut self) -> (Kind, Moment) {
        match self.random.below(3) {
            0 => (Kind::Pull, Moment::Arrived),
            1 => (Kind::Push, Moment::Arrived),
            _ => (Kind::Push, Moment::Committed),
        }
    }

    /// Brings the trouble about.
    pub fn begin_trouble(&self, who: Who, trouble: &Trouble) {
        trouble.begin(&self.backend, &|url, mut more| {
            more["attempts"] = json!(self.attempts);
            self.phones[who].provider(url, &more);
        });
    }

    pub fn end_trouble(&self, who: Who) {
        self.backend.faults().clear();
        self.backend.moments().clear();
        self.well_connected(who);
    }

    pub fn sync(&mut self, who: Who, plan: &Plan) -> Value {
        self.note(format!(
            "{} syncs {:?} {:?} {:?}{}",
            self.phones[who].name,
            plan.entities,
            plan.trouble,
            plan.meanwhile,
            if plan.background {
                " in the background"
            } else {
                ""
            }
        ));
        let pending = self.phones[who].pending();
        let before = self.phones[who].state(self.phones[who].db());
        if let Some(trouble) = &plan.trouble {
            self.begin_trouble(who, trouble);
        }
        if self.random.chance(20) {
            let sql = "SELECT sync_start_scope('startup', '[\"all\"]')";
            ask(self.phones[who].db(), sql);
        }
        let (words, heard) = channel();
        if let Some(moment) = plan.meanwhile {
            tell_of(self.backend.moments(), moment, 0, &words);
        }
        let db = self.phones[who].db.take().expect("open");
        let (entities, background) = (plan.entities, plan.background);
        let syncing = std::thread::spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| Phone::sync(db, entities, background)));
            let _ = words.send(Word::Gone);
            outcome
        });
        let during = self.listen(who, &heard);
        let (db, answer) = syncing
            .join()
            .expect("a thread")
            .unwrap_or_else(|_| panic!("the sync panicked"));
        self.phones[who].db = Some(db);
        self.end_trouble(who);
        self.note(format!("   {}", answer["error"]));
        self.look_at(who, &pending, &during);
        let unheard = during.is_empty();
        if unheard {
            self.rows_and_cursors_agree(who, &before);
        }
        let rejects = plan.trouble.as_ref().is_some_and(Trouble::rejects);
        if answer["state"] == "synced" && unheard && !rejects {
            self.nothing_pending(who, entities);
        }
        assert_eq!(self.phones[who].count(SYNCING), 0, "still syncing");
        answer
    }

    /// Edits at each moment, until the sync is over.
    fn listen(&mut self, who: Who, heard: &Receiver<Word>) -> BTreeSet<RowName> {
        let mut during = BTreeSet::new();
        loop {
            match heard.recv_timeout(PATIENCE).expect("a word") {
                Word::Moment(go_on) => {
                    for _ in 0..1 + self.random.below(2) {
                        during.extend(self.edit_meanwhile(who));
                    }
                    drop(go_on);
                }
                Word::Gone => return during,
                Word::Here | Word::Done(_) => {}
            }
        }
    }

    /// Reports to the model what the sync did to the backend.
    pub fn look_at(&mut self, who: Who, pending: &PendingRows, during: &BTreeSet<RowName>) {
        let lines = self.read_history();
        let lost = "SELECT count(*) FROM _syncPush WHERE state IN ('open', 'unknown')";
        let lost = self.phones[who].count(lost) > 0;
        self.model.pushed(who, lines, pending, during, lost);
    }

    /// A pull that was not applied to its end was not applied at all.
    pub fn rows_and_cursors_agree(&self, who: Who, before: &State) {
        let phone = &self.phones[who];
        let now = phone.state(phone.db());
        if now.cursors == before.cursors {
            assert_eq!(now.rows, before.rows, "rows without their cursor");
        }
    }

    fn nothing_pending(&self, who: Who, entities: &[&str]) {
        let left: Vec<_> = self.phones[who]
            .pending()
            .into_iter()
            .filter(|((table, _), _)| entities.contains(&table.as_str()))
            .collect();
        assert!(left.is_empty(), "synced, but pending: {left:?}");
    }
}
