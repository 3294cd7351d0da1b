//! What must hold when all is at rest.

use std::collections::BTreeSet;

use serde_json::Value;
use support::{Backend, ask};

use super::actor::{Actor, columns, picture};
use super::ledger::Ledger;
use super::there::{History, Line, history};
use super::world::{MIRRORED, TABLES, World};

/// Nothing under way, nothing unsent that the backend has not refused.
const QUIET: &[(&str, &str)] = &[
    (
        "SELECT count(*) FROM sync_pending WHERE rejected IS NULL",
        "0",
    ),
    ("SELECT count(*) FROM _syncPush WHERE state = 'open'", "0"),
    ("SELECT count(*) FROM _syncLease", "0"),
    (
        "SELECT count(*) FROM _syncOperation WHERE state = 'syncing'",
        "0",
    ),
    ("PRAGMA integrity_check", "ok"),
];

pub fn at_rest(
    world: &World,
    backend: &Backend,
    actors: &[Actor; 2],
    ledger: &Ledger,
) -> Result<(), String> {
    for actor in actors {
        for (sql, expected) in QUIET {
            let found = actor.ask(sql);
            if found != *expected {
                let pending = actor
                    .ask("SELECT \"table\", key, op, changed, payload, rejected FROM sync_pending");
                return Err(format!(
                    "not at rest: {}: {sql}: {found}\n{pending}",
                    actor.name
                ));
            }
        }
        equal(backend, actor)?;
        let broken = actor.ask("SELECT * FROM pragma_foreign_key_check");
        if world.foreign_keys && !broken.is_empty() {
            return Err(format!("broken reference: {}: {broken}", actor.name));
        }
        if world.mirrors {
            mirrored(actor)?;
        }
    }
    let history = history(backend);
    nothing_is_lost(&history, actors, ledger)?;
    nothing_old_came_back(&history, actors, ledger)?;
    deletes_hold(backend, &history, actors, ledger)
}

/// Rows that are named as held or refused need not be equal.
fn named(actor: &Actor) -> BTreeSet<(String, String)> {
    let sql = "SELECT entity, key FROM sync_held UNION SELECT \"table\", key FROM sync_pending WHERE rejected IS NOT NULL";
    actor
        .ask(sql)
        .lines()
        .filter_map(|line| line.split_once('|'))
        .map(|(table, key)| (table.to_owned(), key.to_owned()))
        .collect()
}

fn equal(backend: &Backend, actor: &Actor) -> Result<(), String> {
    let state = || {
        format!(
            "\nheld {}\nrefused {}",
            actor.ask("SELECT entity, key, op, reason, \"constraint\", clashesWith, payload FROM sync_held"),
            actor.ask("SELECT \"table\", key, op, rejected FROM sync_pending")
        )
    };
    let check: Value = serde_json::from_str(&actor.ask("SELECT sync_check('api')")).expect("JSON");
    if check["state"] != "equal" {
        return Err(format!(
            "differs: {} by sync_check: {check:#}{}",
            actor.name,
            state()
        ));
    }
    let named = named(actor);
    for table in TABLES {
        let here = columns(&actor.db, table);
        let shared: Vec<&String> = here
            .iter()
            .filter(|name| !matches!(name.as_str(), "local" | "private"))
            .collect();
        let list: Vec<&str> = shared.iter().map(|name| name.as_str()).collect();
        let sql = format!("SELECT {} FROM {table} ORDER BY id", list.join(", "));
        let open = |rows: String| -> Vec<String> {
            let unnamed = |row: &&str| {
                let key = row.split('|').next().unwrap_or_default();
                !named.contains(&((*table).to_owned(), key.to_owned()))
            };
            rows.lines().filter(unnamed).map(str::to_owned).collect()
        };
        let (here, there) = (
            open(actor.ask(&sql)),
            open(backend.sql(|db| Ok(ask(db, &sql)))),
        );
        if here != there {
            return Err(format!(
                "differs: {}: {table}: here {here:#?}, there {there:#?}{}",
                actor.name,
                state()
            ));
        }
    }
    Ok(())
}

/// Tables that triggers of the application keep go along.
fn mirrored(actor: &Actor) -> Result<(), String> {
    for table in MIRRORED {
        let rows = actor.ask(&format!("SELECT id, a FROM {table} ORDER BY 1, 2"));
        let copy = format!("SELECT id, a FROM mirror WHERE tab = '{table}' ORDER BY 1, 2");
        let copy = actor.ask(&copy);
        if rows != copy {
            return Err(format!(
                "mirror: {}: rows of {table}\n{rows}\nbut in the copy\n{copy}",
                actor.name
            ));
        }
    }
    Ok(())
}

/// All that a device has kept of what it could not send or store.
fn kept(actor: &Actor) -> String {
    [
        "SELECT rowKey, kind, local, remote, resolved FROM sync_conflict",
        "SELECT key, payload, base FROM sync_held",
        "SELECT pk, content FROM _syncRejected",
        "SELECT key, payload FROM sync_pending",
    ]
    .map(|sql| actor.ask(sql))
    .join("\n")
}

/// Every mark has reached the backend, was overwritten by the same program, or is kept where one can find it.
fn nothing_is_lost(history: &History, actors: &[Actor; 2], ledger: &Ledger) -> Result<(), String> {
    let kept = [kept(&actors[0]), kept(&actors[1])];
    for (mark, who) in &ledger.written {
        let found = history.marks.contains(mark)
            || ledger.removed[*who].contains(mark)
            || kept[*who].contains(&format!("\"{mark}\""));
        if !found {
            let here = picture(&actors[*who].db).marks.contains(mark);
            return Err(format!(
                "lost: {mark} of {}; still here: {here}\n{}",
                actors[*who].name, kept[*who]
            ));
        }
    }
    Ok(())
}

/// A cell of the backend that got a new mark never gets the older one back: nobody sends what nobody edited.
fn nothing_old_came_back(
    history: &History,
    actors: &[Actor; 2],
    ledger: &Ledger,
) -> Result<(), String> {
    let conflicts = actors.each_ref().map(kept).join("\n");
    for (name, lines) in &history.rows {
        for (place, line) in lines.iter().enumerate().filter(|(_, line)| is_mark(line)) {
            let Some(before) = lines[..place]
                .iter()
                .rposition(|other| other.what == line.what && other.mark == line.mark)
            else {
                continue;
            };
            let between = &lines[before..place];
            // What it came back over.
            let newer = between.iter().rfind(|other| {
                other.what == line.what && other.mark != line.mark && is_mark(other)
            });
            let went = between.iter().any(|other| other.what == "-");
            let Some(newer) = newer else { continue };
            let named = conflicts.contains(&format!("\"{}\"", newer.mark));
            if !went && !named && !ledger.again.contains(&line.mark) {
                return Err(format!(
                    "old value: {name:?}.{}: {} came back over {}",
                    line.what, line.mark, newer.mark
                ));
            }
        }
    }
    Ok(())
}

fn is_mark(line: &Line) -> bool {
    !matches!(line.what.as_str(), "+" | "-" | "*") && line.mark != "NULL"
}

/// What was deleted here is gone there, unless that was refused, or others changed a row that was new to the device.
fn deletes_hold(
    backend: &Backend,
    history: &History,
    actors: &[Actor; 2],
    ledger: &Ledger,
) -> Result<(), String> {
    for (who, actor) in actors.iter().enumerate() {
        for (life, deleted) in &ledger.deleted[who] {
            let (table, key, born) = life;
            let sql =
                format!("SELECT count(*) FROM {table} WHERE id = '{key}' AND born = '{born}'");
            if ledger.moved.contains(life) || backend.sql(|db| Ok(ask(db, &sql))) == "0" {
                continue;
            }
            let lines = history
                .rows
                .get(&((*table).to_owned(), key.clone()))
                .map(Vec::as_slice)
                .unwrap_or_default();
            let new = |line: &&Line| line.stamp > deleted.cursor;
            let made = lines.iter().filter(new).any(|line| line.what == "+");
            let changed = lines
                .iter()
                .filter(new)
                .map(|line| line.stamp)
                .collect::<BTreeSet<_>>()
                .len()
                > 1;
            let kept = format!(
                "SELECT (SELECT count(*) FROM sync_pending WHERE \"table\" = '{table}' AND CAST(key AS TEXT) = '{key}')
                 + (SELECT count(*) FROM sync_conflict WHERE entity = '{table}' AND CAST(rowKey AS TEXT) = '{key}')"
            );
            // Another device may have met a row made again under the key, and its policy have kept what was there.
            let brought_back = format!(
                "SELECT count(*) FROM sync_conflict WHERE entity = '{table}' AND CAST(rowKey AS TEXT) = '{key}'
                 AND resolved ->> 'born' = '{born}'"
            );
            let decided = actors.iter().any(|actor| actor.ask(&brought_back) != "0");
            if (made && changed) || decided || actor.ask(&kept) != "0" {
                continue;
            }
            return Err(format!(
                "undone: {} deleted {life:?}, and the backend has it\n{}",
                actor.name,
                self::kept(actor)
            ));
        }
    }
    Ok(())
}
