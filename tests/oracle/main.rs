//! The differential oracle: random cases and the whole decision table, run with the extension and with
//! the real WatermelonDB client (npm `@nozbe/watermelondb`), must end alike, step by step: rows, statuses,
//! changed columns, pushed bodies, errors, cursors and what the requests said.
//!
//! | variable | what |
//! |---|---|
//! | `SYNCSCOPE_ORACLE_CASES` | number of random cases |
//! | `SYNCSCOPE_ORACLE_SEED` | other cases |
//! | `SYNCSCOPE_ORACLE_CASE` | a file with one case, as a failure prints it, instead |
//!
//! | file | what |
//! |---|---|
//! | `case.rs` | what a case is |
//! | `random/`, `table.rs` | where cases come from: a seed, the decision table |
//! | `device.rs` | runs a case with the extension |
//! | `client.rs`, `client.js` | runs a case with the WatermelonDB client |
//! | `differences.rs`, `differences.js`, `journal.js` | the intended differences |
//! | `outcome.rs` | compares what both saw |
//! | `minimise.rs` | makes a failing case small |
//!
//! SQLite is set up without statistics of memory, which concerns the whole process: hence a test program of
//! its own.

mod case;
mod client;
mod device;
mod differences;
mod minimise;
mod outcome;
mod random;
mod table;

use std::collections::BTreeMap;
use std::slice::from_ref;
use std::time::Instant;

use case::{Case, Push, Step, Sync};
use client::{Client, Told};
use device::Devices;
use differences::{DIFFERENCES, Difference};
use minimise::minimise;
use outcome::difference;
use serde_json::{Value, json};

/// Cases of a run that nobody asked more of.
const CASES: u64 = 2_000;
const SEED: u64 = 20_131;

/// Failing cases that are made small and shown.
const SHOWN: usize = 3;

/// Cases in which a difference is tried for being needed.
const TRIED: usize = 40;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} must be a number"))
    })
}

/// What the extension does with the cases, on all cores.
fn run_here(cases: &[Case]) -> Vec<Vec<Value>> {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(8));
    let size = cases.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = cases
            .chunks(size)
            .map(|chunk| {
                scope.spawn(|| {
                    let mut devices = Devices::new();
                    chunk.iter().map(|case| devices.run(case)).collect()
                })
            })
            .collect();
        let parts: Vec<Vec<Vec<Value>>> = workers
            .into_iter()
            .map(|worker| worker.join().expect("a worker panicked"))
            .collect();
        parts.concat()
    })
}

/// What the client does with the cases, each without one difference, or with all.
fn run_there(client: &mut Client, cases: &[&Case], without: Option<&str>) -> Vec<Told> {
    let off = Vec::from_iter(without);
    let requests: Vec<_> = cases.iter().map(|case| (*case, off.clone())).collect();
    client.run(&requests)
}

/// Both sides of one run.
struct Run {
    cases: Vec<Case>,
    ours: Vec<Vec<Value>>,
    theirs: Vec<Told>,
}

/// Runs and compares all cases; panics with the smallest failing ones.
fn compare(cases: Vec<Case>, client: &mut Client) -> Run {
    let began = Instant::now();
    let all: Vec<&Case> = cases.iter().collect();
    let (ours, theirs) = std::thread::scope(|scope| {
        let here = scope.spawn(|| run_here(&cases));
        let theirs = run_there(client, &all, None);
        (here.join().expect("a worker panicked"), theirs)
    });
    let differs = |place: &usize| difference(&ours[*place], &theirs[*place].steps).is_some();
    let failing: Vec<usize> = (0..cases.len()).filter(differs).collect();
    println!(
        "{} cases, {} differ, {:.1?}",
        cases.len(),
        failing.len(),
        began.elapsed()
    );
    let shown: Vec<String> = failing
        .iter()
        .take(SHOWN)
        .map(|place| explain(&cases[*place], client))
        .collect();
    assert!(failing.is_empty(), "\n{}", shown.join("\n\n"));
    Run {
        cases,
        ours,
        theirs,
    }
}

/// Makes a failing case small and shows it.
fn explain(case: &Case, client: &mut Client) -> String {
    let mut devices = Devices::new();
    let mut check = |case: &Case| {
        let told = run_there(client, &[case], None).remove(0);
        difference(&devices.run(case), &told.steps).map(|text| (text, told.fired))
    };
    let smallest = minimise(case, |case| check(case).is_some());
    let (text, fired) = check(&smallest).unwrap_or_default();
    let json = serde_json::to_string(&smallest).expect("JSON");
    format!("{}, {text}\n  differences: {fired:?}\n  {json}", case.name)
}

/// The number of cases that a difference has changed, of those tried, and of those that it was needed in:
/// without its repair, the client does something else than the extension.
fn needed(run: &Run, client: &mut Client, difference_: &Difference) -> (usize, usize, usize) {
    let changed: Vec<usize> = (0..run.cases.len())
        .filter(|place| {
            run.theirs[*place]
                .fired
                .iter()
                .any(|name| name == difference_.name)
        })
        .collect();
    let tried = &changed[..changed.len().min(TRIED)];
    let cases: Vec<&Case> = tried.iter().map(|place| &run.cases[*place]).collect();
    let needed = run_there(client, &cases, Some(difference_.name))
        .iter()
        .zip(tried)
        .filter(|(told, place)| difference(&run.ours[**place], &told.steps).is_some())
        .count();
    (changed.len(), tried.len(), needed)
}

/// How often each cell of the decision table was reached.
fn cells(run: &Run) -> BTreeMap<&str, u64> {
    let mut cells = BTreeMap::new();
    for (cell, count) in run.theirs.iter().flat_map(|told| &told.cells) {
        *cells.entry(cell.as_str()).or_insert(0) += count;
    }
    cells
}

/// Acceptance: every cell of the decision table, with every mask.
#[test]
fn the_decision_table_is_the_clients() {
    let Some(mut client) = Client::start() else {
        return;
    };
    compare(table::cases(), &mut client);
}

/// Acceptance: random cases end as with the client, but for the intended differences.
#[test]
fn random_cases_end_as_with_the_client() {
    let Some(mut client) = Client::start() else {
        return;
    };
    if let Ok(file) = std::env::var("SYNCSCOPE_ORACLE_CASE") {
        let text = std::fs::read_to_string(file).expect("a file with a case");
        let case = serde_json::from_str(&text).expect("a case");
        compare(vec![case], &mut client);
        return;
    }
    let seed = setting("SYNCSCOPE_ORACLE_SEED", SEED);
    let count = setting("SYNCSCOPE_ORACLE_CASES", CASES);
    println!("seed {seed}, {count} cases");
    let cases = (0..count).map(|number| random::case(seed, number));
    let run = compare(cases.collect(), &mut client);

    let mut idle = Vec::new();
    for difference in DIFFERENCES {
        let (changed, tried, needed) = needed(&run, &mut client, difference);
        let name = difference.name;
        println!("{name}: changes {changed} cases, needed in {needed} of {tried}");
        if needed == 0 {
            idle.push(name);
        }
    }
    let cells = cells(&run);
    println!("{cells:?}");
    if count < CASES {
        return;
    }
    assert!(idle.is_empty(), "differences that nothing needs: {idle:?}");
    for local in [
        "absent", "synced", "created", "created+", "updated+", "deleted",
    ] {
        for remote in ["created", "updated", "deleted"] {
            let cell = format!("{local}/{remote}");
            assert!(cells.contains_key(cell.as_str()), "never met: {cell}");
        }
    }
}

// ------------------------------------------------------------------------- the oracle itself, without Node

/// The names in quotes that stand behind `before`.
fn quoted_behind(text: &str, before: &str) -> Vec<String> {
    text.split(before)
        .skip(1)
        .filter_map(|rest| rest.split_once('\'').map(|(name, _)| name.to_owned()))
        .collect()
}

#[test]
fn the_list_of_differences_is_that_of_the_repairs_and_of_the_page() {
    let read = |path: &str| std::fs::read_to_string(support::root().join(path)).expect(path);
    let script = read("tests/oracle/differences.js");
    let names: Vec<&str> = DIFFERENCES
        .iter()
        .map(|difference| difference.name)
        .collect();
    for name in &names {
        assert!(script.contains(&format!("'{name}'")), "no repair: {name}");
    }
    for name in quoted_behind(&script, "fire(run, '") {
        assert!(names.contains(&name.as_str()), "not in the list: {name}");
    }
    let page = read("docs/watermelon.md");
    for difference in DIFFERENCES {
        let row = format!("| {} | {} |", difference.name, difference.repair);
        assert!(page.contains(&row), "docs/watermelon.md has no row {row}");
    }
    let rows = page.lines().filter(|line| line.matches('|').count() == 4);
    let listed = rows.filter(|line| line.ends_with(". |")).count();
    assert_eq!(listed, DIFFERENCES.len(), "rows of docs/watermelon.md");
}

#[test]
fn cases_follow_from_their_seed_and_number() {
    for number in 0..50 {
        assert_eq!(random::case(5, number), random::case(5, number));
    }
    assert_ne!(random::case(5, 1).steps, random::case(5, 2).steps);
    assert_ne!(random::case(5, 1).steps, random::case(6, 1).steps);
    let case = random::case(5, 1);
    let text = serde_json::to_string(&case).unwrap();
    assert_eq!(serde_json::from_str::<Case>(&text).unwrap(), case);
}

#[test]
fn whatever_is_compared_is_noticed_when_it_differs() {
    let seen = json!({"error": null, "cursor": 5,
        "pulls": [{"lastPulledAt": null, "schemaVersion": 1, "migration": null}],
        "pushes": [{"lastPulledAt": 5, "changes": {"t": {"created": [{"id": "a", "_status": "created",
            "_changed": "n,m", "n": 1}], "updated": [], "deleted": ["x", "y"]}}}],
        "rows": {"t": {"a": {"status": "created", "changed": ["m", "n"], "values": {"n": 1}}}}});
    let mut same = seen.clone();
    same["cursor"] = json!(5.0);
    same["pushes"][0]["changes"]["t"]["created"][0]["_changed"] = "m,n".into();
    same["pushes"][0]["changes"]["t"]["deleted"] = json!(["y", "x"]);
    same["rows"]["t"]["a"]["changed"] = json!(["n", "m"]);
    assert_eq!(difference(from_ref(&seen), &[same]), None);
    for (path, value) in [
        ("/error", json!("pull")),
        ("/cursor", json!(6)),
        ("/pulls/0/lastPulledAt", json!(0)),
        ("/pulls", json!([])),
        ("/pushes", json!([])),
        ("/pushes/0/lastPulledAt", json!(4)),
        ("/pushes/0/changes/t/deleted", json!(["x"])),
        ("/pushes/0/changes/t/created/0/_status", json!("updated")),
        ("/pushes/0/changes/t/created/0/_changed", json!("n")),
        ("/pushes/0/changes/t/created/0/n", json!(true)),
        ("/rows/t/a/status", json!("synced")),
        ("/rows/t/a/changed", json!(["n"])),
        ("/rows/t/a/values/n", json!("1")),
        ("/rows/t", json!({})),
    ] {
        let mut other = seen.clone();
        *other.pointer_mut(path).expect(path) = value;
        let said = difference(from_ref(&seen), &[other]).expect(path);
        assert!(said.starts_with("step 0:"), "{said}");
    }
    assert!(difference(&[seen], &[]).is_some());
}

/// Whether some answer of a case gives row `x` the value 7.
fn has_seven(case: &Case) -> bool {
    case.steps.iter().any(|step| match step {
        Step::Sync(sync) => sync.answer_text().contains(r#"{"id":"x","n":7"#),
        _ => false,
    })
}

#[test]
fn a_failing_case_is_made_small() {
    let row = json!({"id": "x", "n": 7, "name": "y"});
    let set = json!({"created": [{"id": "a"}, row], "updated": [{"id": "b"}], "deleted": ["c"]});
    let name = random::case(1, 1).tables[0].name.clone();
    let mut case = random::case(1, 1);
    case.steps
        .push(Step::Sync(Sync::bringing(json!({ name.as_str(): set }), 9)));
    let smallest = minimise(&case, has_seven);
    assert!(has_seven(&smallest));
    let [Step::Sync(sync)] = smallest.steps.as_slice() else {
        panic!("{smallest:?}");
    };
    let only = json!({"created": [{"id": "x", "n": 7}], "updated": [], "deleted": []});
    assert_eq!(sync.answer["changes"][&name], only);
    assert_eq!(sync.push, Push::taken());
    assert_eq!(
        (smallest.tables.len(), smallest.tables[0].columns.len()),
        (1, 1)
    );
}
