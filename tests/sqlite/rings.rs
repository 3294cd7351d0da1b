//! F3: several files converge, with no echo.
//!
//! `SYNCSCOPE_SCHEDULES` says how many random schedules are tried (12; 200 with `SYNCSCOPE_WHOLE=1`), `SYNCSCOPE_SEED` tries one.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde_json::json;
use support::ask;
use support::random::Random;

use super::{ALL, Device, Folder, NOTES};

/// Who syncs with whom: file and hub.
type Shape = &'static [(&'static str, &'static str)];

const RING: Shape = &[("a.db", "b.db"), ("b.db", "c.db"), ("c.db", "a.db")];
const STAR: Shape = &[("a.db", "h.db"), ("b.db", "h.db"), ("c.db", "h.db")];
const CHAIN: Shape = &[("a.db", "b.db"), ("b.db", "c.db")];
const COLUMNS: [&str; 3] = ["title", "body", "n"];

struct Web {
    devices: Vec<Device>,
    /// Each file, written by a program without the extension.
    plain: Vec<Connection>,
    _folder: Folder,
}

impl Web {
    fn new(shape: Shape) -> Self {
        let folder = Folder::new();
        let mut names: Vec<&str> = shape.iter().flat_map(|(file, hub)| [*file, *hub]).collect();
        names.sort_unstable();
        names.dedup();
        for name in &names {
            folder.made(name, NOTES);
        }
        let devices = shape.iter().map(|(file, hub)| {
            let device = Device {
                db: folder.plain(file),
                tables: vec!["notes".into()],
            };
            support::load(&device.db);
            device.declare(hub, json!({}));
            device.ask("SELECT sync_track('notes')");
            device
        });
        Self {
            devices: devices.collect(),
            plain: names.iter().map(|name| folder.plain(name)).collect(),
            _folder: folder,
        }
    }

    /// Syncs all until nothing moves.
    fn settle(&self) {
        for _ in 0..12 {
            let mut moved = 0;
            for device in &self.devices {
                let answer = device.synced();
                for count in ["inserted", "updated", "deleted", "pushed"] {
                    moved += answer[count].as_i64().expect("a number");
                }
            }
            if moved == 0 {
                return;
            }
        }
        let said: Vec<String> = self
            .plain
            .iter()
            .map(|db| {
                ask(
                    db,
                    "SELECT seq, pk, origin, at, cols FROM _syncFeed ORDER BY pk",
                ) + "\n-- log\n"
                    + &ask(db, "SELECT * FROM _syncChange")
            })
            .collect();
        for device in &self.devices {
            println!("{}", device.sync());
        }
        panic!(
            "it never comes to rest: {:?}\n{}",
            self.contents(),
            said.join("\n\n")
        );
    }

    fn contents(&self) -> Vec<String> {
        self.plain.iter().map(|db| ask(db, ALL)).collect()
    }

    #[track_caller]
    fn is_converged(&self, seed: u64) {
        let contents = self.contents();
        for other in &contents[1..] {
            assert_eq!(&contents[0], other, "seed {seed}");
        }
        for device in &self.devices {
            assert_eq!(device.pending(), "", "seed {seed}");
        }
    }
}

#[test]
fn f3_a_change_goes_once_around_a_ring() {
    let web = Web::new(RING);
    web.settle();
    web.devices[0].exec("INSERT INTO notes VALUES ('a', 'x', NULL, 1)");
    for _ in 0..2 {
        for device in &web.devices {
            device.synced();
        }
    }
    web.is_converged(0);
    let feeds = |web: &Web| -> Vec<String> {
        let sql = "SELECT group_concat(seq || '|' || pk || '|' || at || '|' || ifnull(cols, ''), ' ') FROM _syncFeed WHERE tbl > 0";
        web.plain.iter().map(|db| ask(db, sql)).collect()
    };
    let before = feeds(&web);
    for device in web.devices.iter().chain(web.devices.iter().rev()) {
        let answer = device.synced();
        for count in ["inserted", "updated", "deleted", "pushed"] {
            assert_eq!(answer[count], 0, "{answer}");
        }
    }
    assert_eq!(feeds(&web), before);
    // It has the same stamp everywhere.
    let stamps: Vec<String> = web
        .plain
        .iter()
        .map(|db| ask(db, "SELECT at FROM _syncFeed WHERE pk = 'a'"))
        .collect();
    assert!(stamps.iter().all(|stamp| *stamp == stamps[0]), "{stamps:?}");
}

#[test]
fn f3_values_that_chase_each_other_around_a_ring_are_caught() {
    let web = Web::new(RING);
    web.devices[0].exec("INSERT INTO notes VALUES ('a', '0', NULL, 1)");
    web.settle();
    for (place, device) in web.devices.iter().enumerate() {
        device.exec(&format!("UPDATE notes SET title = '{place}'"));
    }
    for _ in 0..10 {
        for place in [0, 2, 1] {
            web.devices[place].synced();
        }
    }
    web.is_converged(0);
}

/// What the files should be in the end.
#[derive(Default)]
struct Model {
    /// Of each row the values that a column may have.
    rows: BTreeMap<String, [Vec<String>; 3]>,
    deleted: Vec<String>,
}

fn schedule(shape: Shape, seed: u64) {
    let mut random = Random(seed);
    let web = Web::new(shape);
    let files = web.plain.len();
    // Each file writes its own column, so that nothing is ever in conflict; or any.
    let own = random.chance(50);
    // A file in a ring gives stamps from its first sync on.
    web.settle();
    let mut model = Model::default();
    let mut count = 0;
    for _ in 0..40 {
        let file = random.roll(files);
        // By a program with the extension or one without.
        let device = shape.iter().position(|(name, _)| {
            let mut names: Vec<&str> = shape.iter().flat_map(|(file, hub)| [*file, *hub]).collect();
            names.sort_unstable();
            names.dedup();
            names[file] == *name
        });
        let db = match device {
            Some(place) if random.chance(50) => &web.devices[place].db,
            _ => &web.plain[file],
        };
        count += 1;
        match random.below(10) {
            0..=1 => {
                let id = format!("r{count:03}");
                let sql =
                    format!("INSERT INTO notes VALUES ('{id}', 't{count}', 'b{count}', {count})");
                db.execute_batch(&sql).expect("an insert");
                let values = [
                    vec![format!("t{count}")],
                    vec![format!("b{count}")],
                    vec![count.to_string()],
                ];
                model.rows.insert(id, values);
            }
            2..=5 => {
                let here = ask(db, "SELECT id FROM notes ORDER BY id");
                let here: Vec<&str> = here.lines().collect();
                if here.is_empty() {
                    continue;
                }
                let id = (*random.pick(&here)).to_owned();
                let column = if own { file % 3 } else { random.roll(3) };
                if own && files > 3 && file == 3 {
                    continue;
                }
                let value = match column {
                    2 => format!("{}", 1000 + count),
                    _ => format!("v{count}"),
                };
                let name = COLUMNS[column];
                db.execute_batch(&format!(
                    "UPDATE notes SET {name} = '{value}' WHERE id = '{id}'"
                ))
                .expect("an update");
                let values = &mut model.rows.get_mut(&id).expect("a known row")[column];
                if own {
                    values.clear();
                }
                values.push(value);
            }
            6 => {
                let here = ask(db, "SELECT id FROM notes ORDER BY id");
                let here: Vec<&str> = here.lines().collect();
                if here.is_empty() {
                    continue;
                }
                let id = (*random.pick(&here)).to_owned();
                db.execute_batch(&format!("DELETE FROM notes WHERE id = '{id}'"))
                    .expect("a delete");
                model.deleted.push(id);
            }
            _ => {
                random.pick(&web.devices).synced();
            }
        }
    }
    web.settle();
    web.is_converged(seed);
    let all = ask(&web.plain[0], ALL);
    let rows: BTreeMap<String, Vec<String>> = all
        .lines()
        .map(|line| {
            let mut parts = line.split('|').map(str::to_owned);
            (parts.next().expect("an id"), parts.collect())
        })
        .collect();
    for (id, values) in &model.rows {
        let Some(row) = rows.get(id) else {
            assert!(model.deleted.contains(id), "seed {seed}: {id} is lost");
            continue;
        };
        assert!(!model.deleted.contains(id), "seed {seed}: {id} came back");
        for ((column, value), may) in COLUMNS.iter().zip(row).zip(values) {
            assert!(
                may.contains(value),
                "seed {seed}: {id}.{column} is {value}, and should be of {may:?}"
            );
        }
    }
    assert!(
        rows.keys().all(|id| model.rows.contains_key(id)),
        "seed {seed}"
    );
}

fn schedules(shape: Shape, salt: u64) {
    if let Ok(seed) = std::env::var("SYNCSCOPE_SEED") {
        return schedule(shape, seed.parse().expect("a number"));
    }
    let wanted = std::env::var("SYNCSCOPE_SCHEDULES").ok();
    let usual = match support::sample::takes_all(module_path!()) {
        true => 200,
        false => 12,
    };
    let wanted: u64 = wanted.map_or(usual, |text| text.parse().expect("a number"));
    let next = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if number >= wanted {
                        return;
                    }
                    schedule(shape, salt + number);
                }
            });
        }
    });
}

#[test]
fn f3_random_schedules_in_a_ring_converge() {
    schedules(RING, 1_000);
}

#[test]
fn f3_random_schedules_in_a_star_converge() {
    schedules(STAR, 2_000);
}

#[test]
fn f3_random_schedules_in_a_chain_converge() {
    schedules(CHAIN, 3_000);
}
