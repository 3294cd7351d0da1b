//! The documentation is true: its SQL runs and answers what it says, the reference names what there
//! is, and its links lead somewhere.
//!
//! How a block of SQL in README.md or docs/*.md is read:
//!
//! | written | meaning |
//! |---|---|
//! | ```` ```sql ```` | runs, in order, one fresh database per file |
//! | ```` ```sql no-run ```` | is skipped; those of docs/servers.md are run by tests/servers |
//! | `statement;   -- value` | the first row, its columns joined by `\|`, is that value; a long one may stand in the next line |
//! | `statement;   -- error: text` | fails, and the message begins with that text |
//! | a `text` block right after it | the answer of the block's last statement, as `.mode box` shows it |
//! | `…` in what is expected | anything |
//! | `.read FILE` | runs that file of the repository; other dot commands are for the shell |
//! | `ATTACH 'FILE'` | a file in the folder of that database |
//! | `http://127.0.0.1:8787` | a reference backend with the flights data, fresh for each file |
//! | `http://127.0.0.1:8788` | the shop of `bookshop.rs`, which never changes |

mod bookshop;
mod help_option;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use bookshop::Bookshop;
use rusqlite::Connection;
use support::backend::{Backend, Options};
use support::page::{Block, Step, blocks, matches, rows, run_step, steps};
use support::{World, root};

const BACKEND: &str = "http://127.0.0.1:8787";
const SHOP: &str = "http://127.0.0.1:8788";

// ---------------------------------------------------------------------------------- files and blocks

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// README.md and CHANGELOG.md, and the pages in docs/.
fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = fs::read_dir(root().join("docs"))
        .expect("docs/")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.sort();
    pages.insert(0, root().join("CHANGELOG.md"));
    pages.insert(0, root().join("README.md"));
    pages
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

/// The text outside of fenced blocks.
fn prose(text: &str) -> String {
    let mut inside = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.starts_with("```") {
            inside = !inside;
        } else if !inside {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose
}

// ------------------------------------------------------------------------------------- running a page

/// What ran, for the count at the end.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    blocks: usize,
    compared: usize,
}

fn flights_backend() -> Backend {
    let data = root().join("examples/data");
    let tables = ["airlines", "airports", "planes", "flights"];
    let options = Options {
        schema_sql: read(&data.join("schema.sql")),
        csv: tables
            .map(|table| (table.into(), data.join(format!("{table}.csv"))))
            .to_vec(),
        ..Options::default()
    };
    Backend::start_with(options).expect("the backend starts")
}

fn run_page(path: &Path) -> Tally {
    let mut text = read(path);
    let backend = text.contains(BACKEND).then(flights_backend);
    if let Some(backend) = &backend {
        text = text.replace(BACKEND, &backend.url());
    }
    let shop = text.contains(SHOP).then(Bookshop::start);
    if let Some(shop) = &shop {
        text = text.replace(SHOP, &shop.origin());
    }
    let world = World::new(false);
    let folder = world.path();
    let folder = folder.parent().expect("a folder").display();
    text = text.replace("ATTACH '", &format!("ATTACH '{folder}/"));
    let connection = world.open();
    let mut tally = Tally::default();
    let mut last: Option<String> = None;
    for block in blocks(&text) {
        let place = |line: usize| format!("{}:{line}", shown(path));
        if block.info == "text" && block.follows {
            if let Some(sql) = last.take() {
                compare_box(&connection, &sql, &block, &place(block.line));
                tally.compared += 1;
            }
            continue;
        }
        last = None;
        let known = matches!(
            block.info.as_str(),
            "sql no-run"
                | "sql no-run schema"
                | "sh"
                | "text"
                | "json"
                | "toml"
                | "ini"
                | "yaml"
                | "js"
        ) || example_folder(&block.info).is_some();
        assert!(
            known || block.info == "sql",
            "{}: a block of kind {:?}",
            place(block.line),
            block.info
        );
        if block.info != "sql" {
            continue;
        }
        let mut steps = steps(&block);
        tally.blocks += 1;
        // The one with a box of its own is asked when the box is compared.
        if followed_by_box(&text, &block) {
            last = steps.pop().map(|step| step.sql);
        }
        for step in steps {
            tally.compared += usize::from(step.expected.is_some());
            run_step(&connection, &step, &place(step.line));
        }
    }
    tally
}

fn followed_by_box(text: &str, block: &Block) -> bool {
    let all = blocks(text);
    let next = all.iter().find(|other| other.line > block.line);
    next.is_some_and(|next| next.info == "text" && next.follows)
}

/// Compares an answer with the table that the shell would draw.
fn compare_box(connection: &Connection, sql: &str, block: &Block, place: &str) {
    let answer =
        rows(connection, sql, "").unwrap_or_else(|error| panic!("{place}: {sql}: {error}"));
    let mut lines = block
        .lines
        .iter()
        .filter(|line| line.starts_with('│'))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('│').split('│').map(str::trim).collect();
            cells.join("|")
        });
    let header = lines.next().unwrap_or_else(|| panic!("{place}: no table"));
    assert_eq!(
        header,
        answer.columns.join("|"),
        "{place}: the column names"
    );
    let found: Vec<String> = answer.rows.iter().map(|row| row.join("|")).collect();
    let expected: Vec<String> = lines.collect();
    let alike = found.len() == expected.len()
        && expected
            .iter()
            .zip(&found)
            .all(|(expected, found)| matches(expected, found, true));
    assert!(
        alike,
        "{place}: {sql}\nfound\n{}\nexpected\n{}",
        found.join("\n"),
        expected.join("\n")
    );
}

#[test]
fn the_sql_of_every_page_runs_and_answers_what_it_says() {
    let mut tallies = BTreeMap::new();
    for page in pages() {
        tallies.insert(shown(&page), run_page(&page));
    }
    println!("{tallies:#?}");
    for page in ["README.md", "docs/reference.md"] {
        let tally = tallies[page];
        assert!(
            tally.blocks > 0 && tally.compared > 0,
            "{page}: nothing ran"
        );
    }
    let compared: usize = tallies.values().map(|tally| tally.compared).sum();
    assert!(compared >= 80, "only {compared} answers were compared");
}

// -------------------------------------------------------------------------------------- the reference

/// The sections of docs/reference.md under `### name`.
fn sections() -> BTreeMap<String, String> {
    let mut sections = BTreeMap::new();
    let mut current: Option<(String, String)> = None;
    let mut inside = false;
    for line in read(&root().join("docs/reference.md")).lines() {
        inside ^= line.starts_with("```");
        if !inside && line.starts_with('#') {
            sections.extend(current.take());
            let name = line
                .strip_prefix("### ")
                .unwrap_or_default()
                .trim_matches('`');
            if name.starts_with("sync_") || name.starts_with("_sync") {
                assert!(
                    !sections.contains_key(name),
                    "{name} stands twice in the reference"
                );
                current = Some((name.to_owned(), String::new()));
            }
        } else if let Some((_, text)) = &mut current {
            text.push_str(line);
            text.push('\n');
        }
    }
    sections.extend(current);
    sections
}

/// First and second column of the first table in a section that lists columns.
fn listed_columns(section: &str) -> Vec<(String, String)> {
    section
        .lines()
        .skip_while(|line| !line.starts_with("| column |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .flat_map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let names: Vec<String> = cells[1]
                .split(", ")
                .map(|name| name.trim_matches('`').to_owned())
                .collect();
            names
                .into_iter()
                .map(move |name| (name, cells[2].to_owned()))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn the_reference_names_every_function_and_virtual_table_and_no_other() {
    let connection = World::new(false).open();
    let help = rows(
        &connection,
        "SELECT name, kind, arguments FROM sync_help",
        "",
    )
    .expect("help");
    let sections = sections();
    let mut documented: BTreeSet<&str> = sections
        .keys()
        .filter(|name| name.starts_with("sync_"))
        .map(String::as_str)
        .collect();
    for row in &help.rows {
        let [name, kind, arguments] = row.as_slice() else {
            panic!("three columns")
        };
        let section = sections
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not in the reference"));
        if kind.ends_with("function") {
            let signature = section
                .lines()
                .find(|line| !line.trim().is_empty())
                .unwrap_or_default();
            assert_eq!(
                signature,
                format!("`{name}({arguments})`"),
                "the signature of {name}"
            );
        } else {
            let declared: Vec<(String, String)> = arguments
                .split(", ")
                .map(|column| {
                    let (name, kind) = column.split_once(' ').unwrap_or((column, ""));
                    (name.trim_matches('"').to_owned(), kind.to_owned())
                })
                .collect();
            assert_eq!(listed_columns(section), declared, "the columns of {name}");
        }
        documented.remove(name.as_str());
    }
    assert_eq!(documented, BTreeSet::new(), "documented, but not there");
}

#[test]
fn the_reference_names_every_table_in_the_file_with_its_columns() {
    let connection = World::new(false).ready();
    let sections = sections();
    let tables = rows(
        &connection,
        r"SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '\_sync%' ESCAPE '\'",
        "",
    );
    let mut documented: BTreeSet<&str> = sections
        .keys()
        .filter(|name| name.starts_with("_sync"))
        .map(String::as_str)
        .collect();
    for table in tables.expect("tables").rows.concat() {
        let section = sections
            .get(&table)
            .unwrap_or_else(|| panic!("{table} is not in the reference"));
        let columns = rows(
            &connection,
            &format!("SELECT name, type FROM pragma_table_info('{table}')"),
            "",
        );
        let columns: Vec<(String, String)> = columns
            .expect("columns")
            .rows
            .into_iter()
            .map(|row| (row[0].clone(), row[1].clone()))
            .collect();
        assert_eq!(listed_columns(section), columns, "the columns of {table}");
        documented.remove(table.as_str());
    }
    assert_eq!(documented, BTreeSet::new(), "documented, but not there");
}

#[test]
fn the_example_of_every_line_of_help_runs() {
    let help = rows(
        &World::new(false).open(),
        "SELECT name, example FROM sync_help",
        "",
    );
    let help = help.expect("help");
    assert!(help.rows.len() > 10);
    for row in help.rows {
        let world = World::new(false);
        let connection = world.open();
        for statement in [
            "SELECT sync_init()",
            r#"SELECT sync_provider('local', '{"kind":"host"}')"#,
            r#"SELECT sync_provider('airline-api', '{"kind":"watermelon","url":"http://127.0.0.1:1/","attempts":1}')"#,
            "CREATE TABLE planes (tailnum TEXT PRIMARY KEY, seats INTEGER, speed INTEGER)",
            "INSERT INTO planes VALUES ('N10156', 55, NULL)",
            "SELECT sync_track('planes')",
            r#"SELECT sync_provider('airline-api', '{"kind":"watermelon","url":"http://127.0.0.1:9/sync"}')"#,
            "CREATE TABLE airlines (id PRIMARY KEY, _changed, _status)",
            "CREATE TABLE local_storage (key PRIMARY KEY, value)",
            r#"SELECT sync_provider('mobile', '{"kind":"watermelon","url":"http://127.0.0.1:9/sync"}')"#,
            r#"SELECT sync_provider('mara', '{"kind":"watermelon","url":"http://127.0.0.1:9/sync"}')"#,
            r#"SELECT sync_provider('shop', '{"kind":"rest","url":"http://127.0.0.1:1/","attempts":1}')"#,
            r#"SELECT sync_function('shop', 'list-books', '{"path":"/books"}')"#,
            "CREATE TABLE notes (id TEXT PRIMARY KEY)",
            "SELECT sync_track('notes')",
            "UPDATE _syncTable SET provider = 'airline-api' WHERE name = 'planes'",
            r#"SELECT sync_start_scope('startup', '["reference-data"]')"#,
            r#"SELECT sync_entities('reference-data', 'local', '["planes"]')"#,
            r#"SELECT sync_entities('notes', 'mobile', '["notes"]', '{"transport":"host"}')"#,
            "SELECT sync_next_request(1)",
        ] {
            rows(&connection, statement, "").expect(statement);
        }
        let example = &row[1];
        assert!(example.ends_with(';'), "{example}");
        if row[0] == "sync_uninstall" {
            // Not while anything goes on.
            rows(&connection, "SELECT sync_interrupt()", "").expect("an end");
            rows(
                &connection,
                "SELECT sync_untrack('planes', '{\"discard\":true}')",
                "",
            )
            .expect("settled");
        }
        rows(&connection, example, "").unwrap_or_else(|error| panic!("{example}: {error}"));
    }
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a folder");
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        match path.is_dir() {
            true => files.extend(rust_files(&path)),
            false => files.push(path),
        }
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    files
}

/// The codes of warnings that the code can give.
fn warning_codes() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for file in rust_files(&root().join("src")) {
        let text = read(&file);
        let given = text.split("Warning::new(").skip(1);
        codes.extend(given.filter_map(|rest| {
            let rest = rest.trim_start().strip_prefix('"')?;
            rest.split('"').next().map(str::to_owned)
        }));
    }
    codes
}

#[test]
fn the_reference_names_every_code_of_a_warning() {
    let reference = read(&root().join("docs/reference.md"));
    let section = reference.split("### Warnings").nth(1).expect("a section");
    let listed: BTreeSet<String> = section
        .lines()
        .take_while(|line| !line.starts_with('#'))
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(str::to_owned)
        .collect();
    assert_eq!(listed, warning_codes());
}

// ------------------------------------------------------------------------------------------- drivers

/// Where the examples in a language are, by the name that its blocks have.
fn example_folder(language: &str) -> Option<PathBuf> {
    let folder = match language {
        "go" | "java" | "perl" | "php" | "python" | "ruby" | "rust" | "tcl" => language,
        "js" => "node",
        _ => return None,
    };
    Some(root().join("examples/drivers").join(folder))
}

#[test]
fn the_code_for_a_driver_is_that_of_an_example() {
    let mut compared = 0;
    for block in blocks(&read(&root().join("docs/drivers.md"))) {
        let Some(folder) = example_folder(&block.info) else {
            continue;
        };
        let code = block.lines.join("\n");
        let found = fs::read_dir(&folder)
            .expect("a folder of examples")
            .map(|entry| entry.expect("an entry").path())
            .any(|path| path.is_file() && without_comments(&path).contains(&code));
        assert!(found, "docs/drivers.md:{}: in no example", block.line);
        compared += 1;
    }
    assert!(compared > 8, "only {compared} blocks were found");
}

/// A file's text without the lines that are comments only.
fn without_comments(file: &Path) -> String {
    let is_code = |line: &&str| !["#", "//"].iter().any(|mark| line.trim().starts_with(mark));
    let text = read(file);
    let lines: Vec<&str> = text.lines().filter(is_code).collect();
    lines.join("\n")
}

// --------------------------------------------------------------------------------------------- links

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let mut anchor = String::new();
    for character in heading.trim_start_matches('#').trim().chars() {
        match character {
            ' ' => anchor.push('-'),
            '-' | '_' => anchor.push(character),
            _ if character.is_alphanumeric() => anchor.extend(character.to_lowercase()),
            _ => {}
        }
    }
    anchor
}

fn anchors(page: &Path) -> BTreeSet<String> {
    prose(&read(page))
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(anchor)
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut followed = 0;
    for page in pages() {
        let text = prose(&read(&page));
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if link.contains("://") {
                continue;
            }
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().expect("a folder").join(file),
            };
            assert!(target.exists(), "{}: {link} is not there", shown(&page));
            let found = fragment.is_empty() || anchors(&target).contains(fragment);
            assert!(found, "{}: {link} has no such heading", shown(&page));
            followed += 1;
        }
    }
    assert!(followed > 20, "only {followed} links were found");
}

// --------------------------------------------------------------------------------------------- tests

/// What stands in backquotes as `subject::file::test`, or `subject::test` for a subject of one file.
fn named_tests(text: &str) -> Vec<(&str, &str)> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter_map(|name| name.rsplit_once("::")).collect()
}

/// Whether a file of tests has this one, marked as a test and not ignored.
fn has_test(file: &str, test: &str) -> bool {
    let (subject, file) = file.split_once("::").unwrap_or((file, "main"));
    let path = root()
        .join("tests")
        .join(subject)
        .join(format!("{}.rs", file.replace("::", "/")));
    let Ok(text) = fs::read_to_string(path) else {
        return false;
    };
    let wanted = format!("fn {test}() {{");
    let mut before = "";
    text.lines().any(|line| {
        let found = line == wanted && before == "#[test]";
        before = line;
        found
    })
}

/// Pages with tables whose last column names tests, and how many lines those have at least.
const PROVEN: &[(&str, usize)] = &[("docs/security.md", 40), ("docs/watermelon.md", 24)];

#[test]
fn every_promise_and_every_threat_names_the_test_that_proves_it() {
    for (page, least) in PROVEN {
        let text = read(&root().join(page));
        let mut inside = false;
        let mut proven = 0;
        for line in text.lines() {
            if line.starts_with("| ") && line.ends_with("| test |") {
                inside = true;
            } else if inside && line.starts_with("| ") {
                let last = line.trim_end_matches(" |").rsplit(" | ").next();
                let tests = named_tests(last.unwrap_or_default());
                assert!(!tests.is_empty(), "no test: {line}");
                for (file, test) in tests {
                    assert!(has_test(file, test), "{file}::{test} is no test");
                }
                proven += 1;
            } else if !line.starts_with('|') {
                inside = false;
            }
        }
        assert!(proven >= *least, "{page}: only {proven} lines were found");
    }
    assert!(has_test(
        "docs",
        "every_promise_and_every_threat_names_the_test_that_proves_it"
    ));
    assert!(!has_test("docs", "no_such_test") && !has_test("nothing", "no_such_test"));
}

#[test]
fn every_fuzz_target_is_described_built_and_has_a_corpus() {
    let text = read(&root().join("docs/security.md"));
    let described: BTreeSet<&str> = text
        .lines()
        .skip_while(|line| !line.starts_with("| target |"))
        .skip(2)
        .map_while(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let named = read(&root().join("fuzz/src/targets/mod.rs"));
    let mut targets = BTreeSet::new();
    for file in fs::read_dir(root().join("fuzz/src/targets")).expect("fuzz/src/targets") {
        let name = file.expect("an entry").file_name();
        let name = name.to_string_lossy().replace(".rs", "");
        if name == "mod" {
            continue;
        }
        let arm = format!("\"{name}\" => ");
        assert!(
            named.contains(&arm),
            "fuzz/src/targets/mod.rs does not name {name}"
        );
        let corpus = fs::read_dir(root().join("fuzz/corpus").join(&name));
        assert!(
            corpus.is_ok_and(|files| files.count() > 0),
            "{name} has no corpus"
        );
        targets.insert(name);
    }
    let targets: BTreeSet<&str> = targets.iter().map(String::as_str).collect();
    assert_eq!(described, targets);
    assert!(targets.len() > 3, "{targets:?}");
}

#[test]
fn the_pages_name_no_machine_of_ours() {
    for page in pages() {
        let text = read(&page);
        for word in ["/work/", "/root/", "/home/"] {
            assert!(!text.contains(word), "{} names {word}", shown(&page));
        }
    }
}

// ------------------------------------------------------------------------------- the harness by itself

#[test]
fn the_harness_reads_blocks_as_it_says() {
    let text = "a\n```sql\n-- alone\nSELECT '--', 1;  -- --|1\nCREATE TRIGGER t BEGIN\n SELECT 1;\nEND;\n\
                .load x\nSELECT\n 2;\n-- 2\n\n-- not a value\n```\n\n```text\n│ 2 │\n```\nb\n```text\n```\n";
    let blocks = blocks(text);
    assert_eq!(blocks.len(), 3);
    assert!(blocks[1].follows && !blocks[2].follows);
    let found: Vec<(usize, String, Option<String>)> = steps(&blocks[0])
        .into_iter()
        .map(|step| (step.line, step.sql, step.expected))
        .collect();
    assert_eq!(
        found,
        [
            (4, "SELECT '--', 1;".into(), Some("--|1".into())),
            (7, "CREATE TRIGGER t BEGIN\n SELECT 1;\nEND;".into(), None),
            (8, ".load x".into(), None),
            (10, "SELECT\n 2;".into(), Some("2".into())),
        ]
    );
}

#[test]
fn the_harness_notices_what_is_wrong() {
    assert!(
        matches("a…c", "abbbc", true) && matches("…", "", true) && matches("a…c…e", "abcde", true)
    );
    assert!(!matches("a…c", "abbbd", true) && !matches("abc", "abcd", true));
    assert!(matches("abc", "abcd", false) && matches("a…c", "abcd", false));
    let connection = World::new(false).open();
    let step = |sql: &str, expected: &str| Step {
        line: 1,
        sql: sql.into(),
        expected: Some(expected.into()),
    };
    run_step(&connection, &step("SELECT 1, NULL", "1|NULL"), "here");
    run_step(
        &connection,
        &step("SELECT nope", "error: no such column"),
        "here",
    );
    for wrong in [
        step("SELECT 1", "2"),
        step("SELECT 1", "error: x"),
        step("SELECT nope", "error: other"),
        step("SELECT nope", "1"),
        step("SELECT 1 WHERE 0", "1"),
    ] {
        let run = std::panic::AssertUnwindSafe(|| run_step(&connection, &wrong, "here"));
        assert!(std::panic::catch_unwind(run).is_err(), "{wrong:?} passed");
    }
}
