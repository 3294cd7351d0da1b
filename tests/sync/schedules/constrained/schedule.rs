//! The steps of a schedule. Each draws from a source of its own, so that one can be left out and the others stay as they are.

use std::collections::BTreeSet;
use std::sync::mpsc::channel;

use serde_json::{Value, json};
use support::backend::{Kind, Moment};
use support::fault::{At, Trouble, Victim, Word};
use support::{Backend, PATIENCE, Random};

use super::actor::Actor;
use super::carried::{Carried, carry_out};
use super::edits::{Author, replaces_itself};
use super::ledger::{Ledger, Who};
use super::world::World;
use super::{VICTIMS, migration, there, verdict};

pub const STEPS: usize = 24;

/// Most syncs of each device after the last trouble: with second chances for refused rows, then without.
const LAST_CHANCES: usize = 3;
const LAST_ROUNDS: usize = 7;

const MET: &str = "SELECT kind FROM sync_conflict UNION SELECT reason FROM sync_held
    UNION SELECT 'refused' FROM sync_pending WHERE rejected IS NOT NULL";

/// The log of the last run.
const LAST_WORDS: &str = "SELECT * FROM sync_log WHERE runId = (SELECT max(runId) FROM sync_log)";

pub struct Schedule<'a> {
    world: World,
    backend: Backend,
    actors: [Actor; 2],
    ledger: Ledger,
    seed: u64,
    trace: &'a mut Vec<String>,
}

/// What a schedule met: kinds of conflicts, reasons why rows were held or refused.
pub type Met = BTreeSet<String>;

/// Runs the schedule of a seed without some of its steps.
///
/// # Errors
/// What did not hold.
pub fn run(seed: u64, without: &BTreeSet<usize>, trace: &mut Vec<String>) -> Result<Met, String> {
    let world = World::draw(seed);
    trace.push(format!("{world:?}"));
    let backend = Backend::start(&world.tables_of_the_backend());
    there::begin(&backend);
    let actors = [0, 1].map(|who| Actor::new(who, &world, &backend.sync_url()));
    let mut schedule = Schedule {
        world,
        backend,
        actors,
        ledger: Ledger::default(),
        seed,
        trace,
    };
    schedule.others_begin();
    for step in (0..STEPS).filter(|step| !without.contains(step)) {
        schedule.step(step)?;
    }
    schedule.settle()?;
    let met = schedule.actors.iter().map(|actor| actor.ask(MET));
    Ok(met
        .flat_map(|kinds| kinds.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect())
}

impl Schedule<'_> {
    fn note(&mut self, step: usize, text: &str) {
        self.trace.push(format!("{step:2} {text}"));
    }

    fn others_begin(&self) {
        let sql = "INSERT INTO item (id, born, a, slot) VALUES ('i1', 'z.1', 'z.2', 1), ('i2', 'z.3', 'z.4', 2), ('i3', 'z.5', 'z.6', 3);
            INSERT INTO part (id, born, a, item) VALUES ('p1', 'z.7', 'z.8', 'i1'), ('p2', 'z.9', 'z.10', 'i2');
            INSERT INTO note (id, born, a, item) VALUES (1, 'z.11', 'z.12', 'i1'), (2, 'z.13', 'z.14', 'i2');
            INSERT INTO line (id, born, a, note) VALUES ('l1', 'z.15', 'z.16', 1)";
        self.backend.sql(|db| db.execute_batch(sql));
    }

    fn step(&mut self, step: usize) -> Result<(), String> {
        let mut random =
            Random(self.seed.wrapping_mul(1_000_003) ^ (step as u64).wrapping_mul(7_919));
        let random = &mut random;
        let who = random.roll(2);
        match random.below(100) {
            0..=49 => self.edit(step, who, random),
            50..=55 => self.others_write(step, random),
            56..=67 => {
                self.sync_in_peace(step, who)?;
            }
            68..=71 => self.sync_some(step, who, random)?,
            72..=83 => self.sync_in_trouble(step, who, random),
            84..=88 => self.sync_with_edits_meanwhile(step, who, random),
            89..=91 => self.killed(step, who, random),
            92 | 93 => self.retry(step, who),
            _ => self.migrate(step, who, random)?,
        }
        Ok(())
    }

    fn draft(&self, step: usize, who: Who, random: &mut Random) -> Vec<String> {
        let mut author = Author {
            world: &self.world,
            prefix: format!("{}{step}", self.actors[who].name),
            counter: 0,
            locals: migration::locals(&self.actors[who].db),
        };
        author.draft(random)
    }

    fn edit(&mut self, step: usize, who: Who, random: &mut Random) {
        let draft = self.draft(step, who, random);
        let carried = carry_out(&self.actors[who].db, &draft);
        self.edited(step, who, &draft, &carried);
    }

    fn edited(&mut self, step: usize, who: Who, draft: &[String], carried: &Carried) {
        self.note(
            step,
            &format!("{}: {}", self.actors[who].name, draft.join(";\n     ")),
        );
        self.ledger.edited(who, carried);
        if self.world.recursive && draft.iter().any(|sql| replaces_itself(sql)) {
            self.ledger
                .again
                .extend(carried.after.marks.iter().cloned());
        }
    }

    /// Another client of the backend.
    fn others_write(&mut self, step: usize, random: &mut Random) {
        let mut author = Author {
            world: &self.world,
            prefix: format!("z{step}"),
            counter: 0,
            locals: vec![None; 4],
        };
        let draft = author.draft(random);
        self.note(step, &format!("z: {}", draft.join(";\n     ")));
        self.backend.sql(|db| {
            for sql in &draft {
                // Its own constraints may refuse it.
                let _ = db.execute_batch(sql);
            }
            Ok(())
        });
    }

    /// Whether anything moved.
    fn sync_in_peace(&mut self, step: usize, who: Who) -> Result<bool, String> {
        self.note(step, &format!("{} syncs", self.actors[who].name));
        let answer = self.actors[who].sync(&self.world.entities);
        self.must_be_synced(who, &answer)?;
        let moved = ["pulled", "pushed", "rejected"];
        Ok(moved.iter().any(|count| answer[*count] != 0))
    }

    fn must_be_synced(&self, who: Who, answer: &Value) -> Result<(), String> {
        match answer["state"] == "synced" {
            true => Ok(()),
            false => Err(format!(
                "stuck: {}: {}\n{}",
                self.actors[who].name,
                answer["error"],
                self.actors[who].ask(LAST_WORDS)
            )),
        }
    }

    fn sync_some(&mut self, step: usize, who: Who, random: &mut Random) -> Result<(), String> {
        let number = 1 + random.roll(3);
        let some = self.world.entities[..number].to_vec();
        self.note(step, &format!("{} syncs {some:?}", self.actors[who].name));
        let answer = self.actors[who].sync(&some);
        self.must_be_synced(who, &answer)
    }

    fn begin_trouble(&self, who: Who, trouble: &Trouble) {
        trouble.begin(&self.backend, &|url, more| {
            self.actors[who].provider(&self.world.config(url, &more));
        });
    }

    fn end_trouble(&self, who: Who) {
        self.backend.faults().clear();
        self.backend.moments().clear();
        let config = self.world.config(&self.backend.sync_url(), &json!({}));
        self.actors[who].provider(&config);
    }

    fn sync_in_trouble(&mut self, step: usize, who: Who, random: &mut Random) {
        let trouble = Trouble::any(random);
        self.begin_trouble(who, &trouble);
        let answer = self.actors[who].sync(&self.world.entities);
        self.end_trouble(who);
        self.note(
            step,
            &format!(
                "{} syncs {trouble:?}: {}",
                self.actors[who].name, answer["error"]
            ),
        );
    }

    fn sync_with_edits_meanwhile(&mut self, step: usize, who: Who, random: &mut Random) {
        let (kind, moment) = *random.pick(&[
            (Kind::Pull, Moment::Arrived),
            (Kind::Push, Moment::Arrived),
            (Kind::Push, Moment::Committed),
        ]);
        let draft = self.draft(step, who, random);
        let (done, heard) = channel();
        let (db, statements) = (self.actors[who].second(), draft.clone());
        self.backend.moments().plan(kind, moment, 0, move || {
            let _ = done.send(carry_out(&db, &statements));
        });
        let trouble = random.chance(30).then(|| Trouble::any(random));
        if let Some(trouble) = &trouble {
            self.begin_trouble(who, trouble);
        }
        let answer = self.actors[who].sync(&self.world.entities);
        // What has not begun is forgotten; what has begun is waited for.
        self.end_trouble(who);
        self.note(
            step,
            &format!(
                "{} syncs, {kind:?} {moment:?}, {trouble:?}: {}",
                self.actors[who].name, answer["error"]
            ),
        );
        if let Ok(carried) = heard.recv_timeout(PATIENCE) {
            self.edited(step, who, &draft, &carried);
        }
    }

    fn killed(&mut self, step: usize, who: Who, random: &mut Random) {
        let at = match random.below(8) {
            0 => At::Write(
                random.pick::<&str>(&self.world.entities),
                1 + random.below(6),
            ),
            1 => At::CommitOf("_syncCursor", 1 + random.below(3)),
            2 => At::Write("_syncOutbox", 1 + random.below(6)),
            3 => At::CommitOf("_syncOutbox", 1),
            4 => At::Write("_syncPush", 1 + random.below(4)),
            5 => At::Write("_syncChange", 1 + random.below(8)),
            6 => At::Commit(1 + random.below(7)),
            _ => At::Operations(1 << random.below(15) | random.below(1 << 12)),
        };
        self.note(
            step,
            &format!("{} is killed at {at:?}", self.actors[who].name),
        );
        let (words, heard) = channel();
        let (settings, path) = (
            self.actors[who].settings().to_owned(),
            self.actors[who].files.path(),
        );
        let mut victim =
            Victim::with_settings(&settings, VICTIMS, &path, &self.world.entities, &at, words);
        loop {
            match heard.recv_timeout(PATIENCE).expect("a word") {
                Word::Here => {
                    victim.kill();
                }
                Word::Gone => break,
                Word::Moment(_) | Word::Done(_) => {}
            }
        }
        drop(victim);
        if random.chance(50) {
            self.actors[who].db = self.actors[who].second();
        }
        self.actors[who].ask("SELECT sync_recover()");
    }

    fn retry(&mut self, step: usize, who: Who) {
        self.note(step, &format!("{} retries", self.actors[who].name));
        self.try_again(who);
    }

    fn try_again(&self, who: Who) {
        self.actors[who]
            .ask("SELECT count(sync_retry(id)) FROM (SELECT id FROM _syncRejected LIMIT 1000)");
    }

    fn migrate(&mut self, step: usize, who: Who, random: &mut Random) -> Result<(), String> {
        let actor = &self.actors[who];
        let before = super::actor::picture(&actor.db);
        let said = migration::run(random, &actor.db, actor.settings())?;
        let after = super::actor::picture(&actor.db);
        self.note(step, &format!("{}: {said}", self.actors[who].name));
        match before.marks == after.marks {
            true => Ok(()),
            false => Err("a migration changed rows".into()),
        }
    }

    /// All trouble is over: every sync succeeds, and all comes to rest.
    fn settle(&mut self) -> Result<(), String> {
        for round in 0..LAST_ROUNDS {
            let mut moved = round < LAST_CHANCES;
            for who in 0..2 {
                if round < LAST_CHANCES {
                    self.try_again(who);
                }
                moved |= self.sync_in_peace(STEPS + round, who)?;
            }
            // Nor will anything later.
            if !moved {
                break;
            }
        }
        verdict::at_rest(&self.world, &self.backend, &self.actors, &self.ledger)
    }
}
