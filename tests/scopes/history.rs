//! Random histories against an independent model, and the cost of a status change.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, params};
use serde_json::Value as Json;
use support::scopes::{begin, start};
use support::{Random, World, ask, work_of};

const INSTANCES: &[&str] = &["a", "b", "c\"\n", "d\u{1}😀", "e'"];
const SCOPES: &[&str] = &["s1", "s2\"", "s3"];
const ERRORS: &[Option<&str>] = &[
    None,
    Some("HTTP 500"),
    Some("x\"\\\n\té"),
    Some("interrupted: battery"),
    Some("interrupted: "),
];

/// (entity, function, parameters).
type Key = (String, Option<&'static str>, i64);
/// State and error.
type Mark = (String, Option<String>);

#[derive(Default)]
struct Scope {
    /// Instance: whether it is followed, and its state.
    members: BTreeMap<String, (bool, String)>,
    interruption: Option<String>,
    state: String,
    times_synced: usize,
    times_failed: usize,
}

/// The rules of docs/scopes.md, told once more without SQL.
#[derive(Default)]
struct Model {
    rows: BTreeMap<i64, Mark>,
    keys: BTreeMap<Key, i64>,
    next: i64,
    /// Operations of each instance; None holds work without an instance.
    instances: BTreeMap<Option<String>, BTreeMap<i64, Mark>>,
    last: BTreeMap<i64, Option<String>>,
    scopes: BTreeMap<String, Scope>,
}

fn mark(state: &str, error: Option<&str>) -> Mark {
    (state.into(), error.map(str::to_owned))
}

impl Model {
    fn instance_state(&self, instance: &str) -> &'static str {
        let operations = self.instances.get(&Some(instance.to_owned()));
        ["syncing", "interrupted", "failed"]
            .into_iter()
            .find(|state| {
                operations.is_some_and(|all| all.values().any(|(found, _)| found == state))
            })
            .unwrap_or("synced")
    }

    fn in_flight(&self, instance: &str) -> bool {
        self.instance_state(instance) == "syncing"
    }

    fn running(&self, id: i64) -> Vec<Option<String>> {
        self.instances
            .iter()
            .filter(|(_, all)| all.get(&id).is_some_and(|(state, _)| state == "syncing"))
            .map(|(instance, _)| instance.clone())
            .collect()
    }

    fn derive(&mut self, started: Option<&str>) {
        let states: BTreeMap<String, &str> = INSTANCES
            .iter()
            .map(|id| ((*id).to_owned(), self.instance_state(id)))
            .collect();
        for (id, scope) in &mut self.scopes {
            for (instance, (followed, state)) in &mut scope.members {
                if *followed {
                    states[instance].clone_into(state);
                }
            }
            let count = |wanted| {
                scope
                    .members
                    .values()
                    .filter(|(_, state)| state == wanted)
                    .count()
            };
            let (synced, failed, all) = (count("synced"), count("failed"), scope.members.len());
            if count("interrupted") > 0 && scope.interruption.is_none() {
                scope.interruption = Some("earlier".into());
            }
            if synced + failed == all {
                scope.interruption = None;
            }
            let state = match () {
                () if synced == all => "synced",
                () if synced + failed == all => "failed",
                () if scope.interruption.is_some() => "interrupted",
                () => "syncing",
            };
            if state != scope.state || started == Some(id) {
                scope.times_synced += usize::from(state == "synced");
                scope.times_failed += usize::from(state == "failed");
            }
            state.clone_into(&mut scope.state);
        }
    }

    fn start(&mut self, id: &str, instances: &[&str]) {
        let members = instances
            .iter()
            .map(|instance| {
                let flying = self.in_flight(instance);
                let state = if flying { "syncing" } else { "notStarted" };
                ((*instance).to_owned(), (flying, state.to_owned()))
            })
            .collect();
        let scope = self.scopes.entry(id.into()).or_default();
        scope.members = members;
        scope.interruption = None;
        self.derive(Some(id));
    }

    fn follow(&mut self, instance: &str) {
        for scope in self.scopes.values_mut() {
            if let Some(member) = scope.members.get_mut(instance) {
                member.0 = true;
            }
        }
    }

    fn begin(&mut self, instance: Option<&str>, keys: &[Key]) {
        let name = instance.map(str::to_owned);
        if let Some(instance) = instance {
            let flying = self.in_flight(instance);
            let rows: BTreeSet<i64> = self.rows.keys().copied().collect();
            let operations = self.instances.entry(name.clone()).or_default();
            operations.retain(|id, (state, _)| flying && state == "syncing" && rows.contains(id));
            self.follow(instance);
        }
        for key in keys {
            let id = *self.keys.entry(key.clone()).or_insert_with(|| {
                self.next += 1;
                self.next
            });
            self.rows.insert(id, mark("syncing", None));
            self.last.insert(id, name.clone());
            self.instances
                .entry(name.clone())
                .or_default()
                .insert(id, mark("syncing", None));
        }
        self.derive(None);
    }

    fn interrupt_followers(&mut self, instance: &str, reason: &str) {
        for scope in self.scopes.values_mut() {
            if scope
                .members
                .get(instance)
                .is_some_and(|(followed, _)| *followed)
            {
                scope.interruption = Some(reason.into());
            }
        }
    }

    fn set(&mut self, id: i64, state: &str, error: Option<&str>) {
        let error = error.filter(|_| state == "failed");
        let reason = error.and_then(|error| error.strip_prefix("interrupted: "));
        let own = mark(
            if reason.is_some() {
                "interrupted"
            } else {
                state
            },
            error,
        );
        let mut targets = self.running(id);
        match self.rows.get_mut(&id) {
            Some(row) if *row == mark(state, error) => return,
            Some(row) => {
                *row = mark(state, error);
                if targets.is_empty() {
                    targets.extend(self.last.get(&id).cloned());
                    targets.retain(|name| {
                        self.instances
                            .get(name)
                            .is_some_and(|all| all.contains_key(&id))
                    });
                }
                if targets.is_empty() && state == "syncing" {
                    self.last.insert(id, None);
                    self.instances
                        .entry(None)
                        .or_default()
                        .insert(id, own.clone());
                }
            }
            None if state == "syncing" => return,
            None => {}
        }
        for name in &targets {
            if let (Some(instance), "syncing") = (name, state)
                && !self.in_flight(instance)
            {
                self.follow(instance);
            }
            if let Some(operation) = self.instances.entry(name.clone()).or_default().get_mut(&id) {
                *operation = own.clone();
            }
        }
        if let Some(reason) = reason {
            for instance in targets.iter().flatten() {
                self.interrupt_followers(instance, reason);
            }
        }
        if !self.rows.contains_key(&id) {
            self.instances.entry(None).or_default().remove(&id);
        }
        self.derive(None);
    }

    fn interrupt(&mut self, id: &str, reason: &str) {
        let Some(scope) = self.scopes.get(id) else {
            return;
        };
        let flying: Vec<String> = scope
            .members
            .keys()
            .filter(|member| self.in_flight(member))
            .cloned()
            .collect();
        if scope.state != "syncing" && (scope.state != "interrupted" || flying.is_empty()) {
            return;
        }
        self.scopes.entry(id.into()).or_default().interruption = Some(reason.into());
        let error = format!("interrupted: {reason}");
        let ids: BTreeSet<i64> = flying
            .iter()
            .filter_map(|member| self.instances.get(&Some(member.clone())))
            .flat_map(|all| {
                all.iter()
                    .filter(|(_, (state, _))| state == "syncing")
                    .map(|(id, _)| *id)
            })
            .collect();
        for id in ids {
            if let Some(row) = self.rows.get_mut(&id) {
                *row = mark("failed", Some(&error));
            }
            for name in self.running(id) {
                self.instances
                    .entry(name.clone())
                    .or_default()
                    .insert(id, mark("interrupted", Some(&error)));
                if let Some(instance) = name {
                    self.interrupt_followers(&instance, reason);
                }
            }
        }
        self.derive(None);
    }

    fn delete_status(&mut self, id: i64) {
        if self.rows.remove(&id).is_none() {
            return;
        }
        self.keys.retain(|_, found| *found != id);
        let loose = self.instances.entry(None).or_default();
        if loose.get(&id).is_some_and(|(state, _)| state != "syncing") {
            loose.remove(&id);
        }
    }

    fn add_member(&mut self, id: &str, instance: &str) -> bool {
        let flying = self.in_flight(instance);
        let Some(scope) = self.scopes.get_mut(id) else {
            return false;
        };
        if scope.members.contains_key(instance) {
            return false;
        }
        let state = if flying { "syncing" } else { "notStarted" };
        scope
            .members
            .insert(instance.into(), (flying, state.into()));
        self.derive(None);
        true
    }

    fn remove_member(&mut self, id: &str, instance: &str) {
        if let Some(scope) = self.scopes.get_mut(id)
            && scope.members.remove(instance).is_some()
        {
            self.derive(None);
        }
    }

    /// Everything the user can see must follow from the model.
    fn check(&self, db: &Connection) {
        let mut rows = db
            .prepare_cached("SELECT id, state, error FROM _syncStatus")
            .expect("SQL");
        let rows: BTreeMap<i64, Mark> = rows
            .query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))
            .and_then(Iterator::collect)
            .expect("rows");
        assert_eq!(rows, self.rows);
        let mut scopes = db
            .prepare_cached(
                "SELECT id, state, notStarted, syncing, failed, synced, lastFailedAt IS NOT NULL, \
                 lastSyncedAt IS NOT NULL, json_valid(details), details FROM _syncScope",
            )
            .expect("SQL");
        let mut shown = scopes.query([]).expect("rows");
        let mut count = 0;
        while let Some(row) = shown.next().expect("row") {
            count += 1;
            let id: String = row.get(0).expect("id");
            let scope = &self.scopes[&id];
            assert_eq!(row.get::<_, String>(1).expect("state"), scope.state, "{id}");
            for (column, state) in [
                (2, "notStarted"),
                (3, "syncing"),
                (4, "failed"),
                (5, "synced"),
            ] {
                let members = scope
                    .members
                    .values()
                    .filter(|(_, found)| found == state)
                    .count();
                assert_eq!(
                    row.get::<_, i64>(column).expect("count"),
                    members as i64,
                    "{id} {state}"
                );
            }
            assert_eq!(
                row.get::<_, bool>(6).expect("failed"),
                scope.times_failed > 0,
                "{id}"
            );
            assert_eq!(
                row.get::<_, bool>(7).expect("synced"),
                scope.times_synced > 0,
                "{id}"
            );
            assert!(row.get::<_, bool>(8).expect("valid"), "{id}");
            let details: String = row.get(9).expect("details");
            self.check_details(scope, &serde_json::from_str(&details).expect("JSON"));
        }
        assert_eq!(count, self.scopes.len());
        let held = "SELECT (SELECT count(*) FROM _syncScopeInfo WHERE hold OR starting) + \
            (SELECT count(*) FROM _syncInstance WHERE hold) + \
            (SELECT count(*) FROM _syncStatus AS s WHERE (state = 'syncing') <> EXISTS ( \
              SELECT 1 FROM _syncOperation AS o WHERE o.statusId = s.id AND o.state = 'syncing')) + \
            (SELECT count(*) FROM _syncScopeMember WHERE scopeId NOT IN (SELECT id FROM _syncScope))";
        assert_eq!(ask(db, held), "0", "left behind");
    }

    fn check_details(&self, scope: &Scope, details: &Json) {
        let shown = details["instances"].as_object().expect("instances");
        assert_eq!(shown.len(), scope.members.len());
        let mut failures = 0;
        for (instance, (followed, state)) in &scope.members {
            assert_eq!(shown[instance]["state"], **state);
            let entities = shown[instance]["entities"].as_array().expect("entities");
            let entities: BTreeMap<i64, Mark> = entities
                .iter()
                .map(|entity| {
                    let text = |key: &str| entity[key].as_str().map(str::to_owned);
                    (
                        entity["statusId"].as_i64().expect("id"),
                        (text("state").expect("state"), text("error")),
                    )
                })
                .collect();
            let none = BTreeMap::new();
            let expected = self
                .instances
                .get(&Some(instance.clone()))
                .filter(|_| *followed);
            let expected = expected.unwrap_or(&none);
            assert_eq!(&entities, expected, "{instance}");
            failures += expected
                .values()
                .filter(|(state, _)| state == "failed")
                .count();
        }
        assert_eq!(
            details["failures"].as_array().expect("failures").len(),
            failures
        );
        assert_eq!(
            details["interruption"].is_null(),
            scope.state != "interrupted"
        );
        if scope.state == "interrupted" && scope.interruption.as_deref() != Some("earlier") {
            assert_eq!(
                details["interruption"]["reason"].as_str(),
                scope.interruption.as_deref()
            );
        }
    }
}

fn json(texts: &[&str]) -> String {
    Json::from(texts.to_vec()).to_string()
}

/// One random step, done to the database and to the model. Results and deletions come half of the
/// time from the connection without the extension.
fn step(dice: &mut Random, db: &Connection, plain: &Connection, model: &mut Model) -> String {
    let scope = *dice.pick(SCOPES);
    let instance = *dice.pick(INSTANCES);
    let known: Vec<i64> = model.rows.keys().copied().collect();
    let id = match dice.roll(5) {
        0 => dice.roll(model.next as usize + 1) as i64 + 1,
        _ if known.is_empty() => 1,
        _ => *dice.pick(&known),
    };
    let run = |connection: &Connection, sql: &str, values: &[&dyn rusqlite::ToSql]| {
        let mut statement = connection.prepare_cached(sql).expect(sql);
        let mut rows = statement.query(values).expect(sql);
        while rows
            .next()
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
            .is_some()
        {}
    };
    let by_hand = dice.roll(2) == 0;
    match dice.roll(100) {
        0..12 => {
            let list: Vec<&str> = (0..dice.roll(5)).map(|_| *dice.pick(INSTANCES)).collect();
            run(
                db,
                "SELECT sync_start_scope(?1, ?2)",
                params![scope, json(&list)],
            );
            model.start(scope, &list);
            format!("start {scope:?} {list:?}")
        }
        12..37 => {
            let instance = (dice.roll(6) > 0).then_some(instance);
            let mut keys: Vec<Key> = Vec::new();
            for _ in 0..dice.roll(4) {
                let key = (
                    format!("e{}", dice.roll(3)),
                    *dice.pick(&[None, Some("f")]),
                    dice.roll(2) as i64,
                );
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
            let list: Vec<Json> = keys
                .iter()
                .map(|(entity, function, page)| match page {
                    0 => serde_json::json!({"entity": entity, "function": function}),
                    page => serde_json::json!({"entity": entity, "function": function, "parameters": {"page": page}}),
                })
                .collect();
            run(
                db,
                "SELECT sync_entities(?1, 'host', ?2)",
                params![instance, Json::from(list).to_string()],
            );
            model.begin(instance, &keys);
            format!("begin {instance:?} {keys:?}")
        }
        37..72 => {
            let state = *dice.pick(&["synced", "synced", "failed", "syncing"]);
            let error = dice.pick(ERRORS).filter(|_| state == "failed");
            if by_hand && model.rows.contains_key(&id) {
                run(
                    plain,
                    "UPDATE _syncStatus SET state = ?2, error = ?3 WHERE id = ?1",
                    params![id, state, error],
                );
            } else {
                run(
                    db,
                    "SELECT sync_set_status(?1, ?2, nullif(?3, ''))",
                    params![id, state, error],
                );
            }
            model.set(id, state, error);
            format!("set {id} {state} {error:?}, by hand {by_hand}")
        }
        72..80 => {
            let reason = if by_hand { "unspecified" } else { "x\"y" };
            if by_hand {
                run(
                    plain,
                    "UPDATE _syncScope SET state = 'interrupted', failed = 9 WHERE id = ?1 AND state = 'syncing'",
                    params![scope],
                );
                if model
                    .scopes
                    .get(scope)
                    .is_some_and(|scope| scope.state == "syncing")
                {
                    model.interrupt(scope, reason);
                }
            } else {
                run(db, "SELECT sync_interrupt(?1, ?2)", params![scope, reason]);
                model.interrupt(scope, reason);
            }
            format!("interrupt {scope:?}, by hand {by_hand}")
        }
        80..83 => {
            let sql = if by_hand {
                "DELETE FROM _syncScope WHERE id = ?1"
            } else {
                "SELECT sync_delete_scope(?1)"
            };
            run(if by_hand { plain } else { db }, sql, params![scope]);
            model.scopes.remove(scope);
            format!("delete {scope:?}")
        }
        83..88 => {
            let sql = if by_hand {
                "DELETE FROM _syncStatus WHERE id = ?1"
            } else {
                "SELECT sync_delete_status(?1)"
            };
            run(if by_hand { plain } else { db }, sql, params![id]);
            model.delete_status(id);
            format!("delete status {id}")
        }
        88..90 => {
            run(
                plain,
                "INSERT OR REPLACE INTO _syncScope(id) VALUES (?1)",
                params![scope],
            );
            model.scopes.remove(scope);
            model.start(scope, &[]);
            format!("insert {scope:?}")
        }
        90..94 => {
            let sql = "INSERT INTO _syncScopeMember(scopeId, instanceId) VALUES (?1, ?2)";
            let done = plain.execute(sql, params![scope, instance]).is_ok();
            assert_eq!(done, model.add_member(scope, instance));
            format!("add {instance:?} to {scope:?}")
        }
        94..97 => {
            run(
                plain,
                "DELETE FROM _syncScopeMember WHERE scopeId = ?1 AND instanceId = ?2",
                params![scope, instance],
            );
            model.remove_member(scope, instance);
            format!("remove {instance:?} from {scope:?}")
        }
        _ => {
            run(
                plain,
                "UPDATE _syncScope SET state = 'failed', syncing = 7, details = '{}', lastSyncedAt = 1 WHERE id = ?1",
                params![scope],
            );
            format!("scribble on {scope:?}")
        }
    }
}

fn history(seed: u64, steps: usize, recursive: bool) {
    let world = World::new(recursive);
    let (db, plain) = (world.ready(), world.plain());
    for connection in [&db, &plain] {
        ask(connection, "PRAGMA journal_mode = WAL");
        ask(connection, "PRAGMA synchronous = OFF");
    }
    let mut dice = Random(seed);
    let mut model = Model::default();
    let mut last = Vec::new();
    for number in 0..steps {
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let done = step(&mut dice, &db, &plain, &mut model);
            last.push(done);
            model.check(&db);
        }));
        if let Err(panic) = done {
            let tail = &last[last.len().saturating_sub(6)..];
            eprintln!("seed {seed}, step {number}, recursive_triggers {recursive}: {tail:#?}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn line_19_random_histories_with_recursive_triggers() {
    for seed in 1..=5 {
        history(seed * 7919, 1200, true);
    }
}

#[test]
fn line_19_random_histories_without_recursive_triggers() {
    for seed in 1..=5 {
        history(seed * 104_729, 1200, false);
    }
}

#[test]
fn line_21_no_history_leaves_a_scope_syncing_once_all_owners_are_dead() {
    let mut dice = Random(42);
    for round in 0..20 {
        let world = World::new(round % 2 == 0);
        let (db, plain) = (world.ready(), world.plain());
        for _ in 0..20 {
            step_blind(&mut dice, &db, &plain);
        }
        ask(
            &db,
            "UPDATE _syncOwner SET token = 'gone' || id, processStart = '1'",
        );
        ask(
            &db,
            "UPDATE _syncStatus SET timestamp = 1 WHERE state = 'syncing'",
        );
        let recovered = ask(&db, "SELECT sync_recover()");
        assert_eq!(
            ask(
                &db,
                "SELECT count(*) FROM _syncStatus WHERE state = 'syncing'"
            ),
            "0",
            "{recovered}"
        );
        assert_eq!(
            ask(
                &db,
                "SELECT count(*) FROM _syncScope AS s JOIN _syncScopeInfo AS i ON i.scopeId = s.id \
                      WHERE s.state = 'syncing' AND i.ownerId IS NOT NULL"
            ),
            "0"
        );
    }
}

/// A random step whose effect is not followed.
fn step_blind(dice: &mut Random, db: &Connection, plain: &Connection) {
    let scope = *dice.pick(SCOPES);
    let instance = *dice.pick(&INSTANCES[..2]);
    match dice.roll(5) {
        0 => drop(db.query_row(
            "SELECT sync_start_scope(?1, ?2)",
            params![scope, json(&INSTANCES[..2])],
            |_| Ok(()),
        )),
        1 | 2 => drop(db.query_row(
            "SELECT sync_entities(?1, 'host', ?2)",
            params![instance, json(&[*dice.pick(&["x", "y", "z"])])],
            |_| Ok(()),
        )),
        3 => drop(plain.execute(
            "UPDATE _syncStatus SET state = ?2 WHERE id = ?1",
            params![
                dice.roll(4) as i64,
                dice.pick(&["synced", "failed", "syncing"])
            ],
        )),
        _ => drop(plain.execute(
            "DELETE FROM _syncStatus WHERE id = ?1",
            params![dice.roll(4) as i64],
        )),
    }
}

/// Work of a status change, and of an interruption, among so many members of five operations each.
fn work_among(members: usize) -> Vec<u64> {
    let world = World::new(true);
    let mut db = world.ready();
    ask(&db, "PRAGMA journal_mode = WAL");
    ask(&db, "PRAGMA synchronous = OFF");
    let names: Vec<String> = (0..members)
        .map(|number| format!("instance-{number}"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // Begun before the start: in flight at it, so that setting up derives the scope only once.
    ask(&db, "BEGIN");
    for (number, name) in names.iter().enumerate() {
        let entities: Vec<String> = (0..5)
            .map(|entity| format!("local/table-{number}-{entity}"))
            .collect();
        let entities: Vec<&str> = entities.iter().map(String::as_str).collect();
        begin(&db, name, &json(&entities));
    }
    start(&db, "s", &json(&names));
    ask(&db, "COMMIT");
    let syncing = ask(&db, "SELECT syncing FROM _syncScope");
    assert_eq!(syncing, members.to_string());
    let mut work = Vec::new();
    for (recursive, id) in [(true, 1), (false, 6)] {
        db.pragma_update(None, "recursive_triggers", recursive)
            .expect("recursive_triggers");
        let change = "UPDATE _syncStatus SET state = 'synced' WHERE id = ?1";
        work.push(work_of(&mut db, |db| {
            db.execute(change, [id]).expect("update");
        }));
    }
    work.push(work_of(&mut db, |db| {
        assert_eq!(ask(db, "SELECT sync_interrupt('s', 'background')"), "1");
    }));
    let ended = ask(&db, "SELECT state, syncing FROM _syncScope");
    assert_eq!(ended, "interrupted|0");
    work
}

#[test]
fn line_22_a_status_change_among_a_thousand_members_is_quick() {
    let (few, many) = (work_among(100), work_among(1000));
    for (few, many) in few.iter().zip(&many) {
        // The square would be a hundred times as much.
        assert!(
            *many < few * 15,
            "{few} steps among 100 members, {many} among 1,000"
        );
    }
    // Some fifty steps a member, to write the details anew.
    assert!(many[..2].iter().all(|work| *work < 100_000), "{many:?}");
}
