//! The house keeps its shape: rooms import downwards, files import each other in no circle, and only a
//! provider's own folder names its kind.

mod source;
mod tokens;
mod uses;

use std::collections::BTreeSet;
use std::fs;

use source::{File, Sources, root};
use tokens::Token;

/// The rooms and how high they lie.
const ROOMS: &[(&str, u8)] = &[
    ("functions", 10),
    ("tables", 10),
    ("worker", 9),
    ("takeover", 8),
    ("runs", 7),
    ("transfer", 6),
    ("providers", 5),
    ("coordination", 4),
    ("capture", 4),
    ("hub", 4),
    ("http", 3),
    ("store", 2),
    ("ground", 1),
];

fn height(room: &str) -> Option<u8> {
    ROOMS
        .iter()
        .find(|(name, _)| *name == room)
        .map(|(_, height)| *height)
}

fn room(file: &File) -> &str {
    file.name.split('/').next().unwrap_or_default()
}

#[test]
fn no_room_imports_from_a_room_above_or_beside_it() {
    let sources = Sources::of_the_library();
    let mut imports = 0;
    for (place, file) in sources.files.iter().enumerate() {
        let Some(own) = height(room(file)) else {
            continue;
        };
        for (target, path) in sources.imports(place) {
            let other = room(&sources.files[target]);
            let allowed = other == room(file) || height(other).is_some_and(|height| height < own);
            assert!(allowed, "{} imports {path}", file.name);
            imports += 1;
        }
    }
    assert!(imports > 500, "only {imports} imports were found");
}

#[test]
fn every_folder_of_src_is_a_room() {
    let folders: BTreeSet<String> = fs::read_dir(root().join("src"))
        .expect("src")
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name != "sqlite3ext-sys")
        .collect();
    let rooms = ROOMS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(folders, rooms);
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let sources = Sources::of_the_library();
    let circles = sources.circles();
    let names = |circle: &BTreeSet<usize>| -> BTreeSet<&str> {
        let files = circle.iter().map(|place| &sources.files[*place]);
        files.map(|file| file.name.as_str()).collect()
    };
    for circle in &circles {
        eprintln!("a circle:\n{}", sources.described(circle));
    }
    let found: BTreeSet<&str> = circles.iter().flat_map(names).collect();
    assert!(found.is_empty(), "files in a circle: {found:?}");
}

/// Where a kind may be named: in its own folder, and in the one list of kinds.
fn may_name_kinds(file: &File) -> bool {
    file.name == "providers/kinds.rs"
}

#[test]
fn only_its_own_folder_names_watermelon() {
    let sources = Sources::of_the_library();
    let names = |text: &str| text.to_lowercase().contains("watermelon");
    let holds = |file: &File, token: &Token| match token {
        Token::Word(text) => names(text),
        // The help says what sync_takeover takes over.
        Token::Literal(text) => names(text) && file.name != "lib.rs",
        _ => false,
    };
    // The declaration of the folder.
    let declaration = tokens::read("mod watermelon;");
    let names_it = |file: &File| {
        let count = file
            .tokens
            .iter()
            .filter(|token| holds(file, token))
            .count();
        let declared = file
            .tokens
            .windows(declaration.len())
            .filter(|tokens| *tokens == declaration)
            .count();
        count > declared
    };
    let found: Vec<&str> = sources
        .files
        .iter()
        .filter(|file| !may_name_kinds(file))
        .filter(|file| !file.name.starts_with("providers/watermelon/"))
        // What it takes over are files of WatermelonDB.
        .filter(|file| room(file) != "takeover")
        .filter(|file| names_it(file))
        .map(|file| file.name.as_str())
        .collect();
    assert!(found.is_empty(), "files that name WatermelonDB: {found:?}");
}

#[test]
fn only_the_list_of_kinds_names_host() {
    let sources = Sources::of_the_library();
    let names_it = |token: &Token| match token {
        Token::Literal(text) => {
            text == "host"
                || ["kind host", "\"host\""]
                    .iter()
                    .any(|part| text.contains(part))
        }
        _ => false,
    };
    let found: Vec<&str> = sources
        .files
        .iter()
        .filter(|file| !may_name_kinds(file) && file.name != "providers/host.rs")
        // There it is a transport: the program sends the requests of a protocol.
        .filter(|file| !["functions/entities.rs", "runs/host.rs"].contains(&file.name.as_str()))
        // A header of HTTP has the same name.
        .filter(|file| room(file) != "http")
        .filter(|file| file.tokens.iter().any(names_it))
        .map(|file| file.name.as_str())
        .collect();
    assert!(found.is_empty(), "files that name the kind host: {found:?}");
}

// ------------------------------------------------------------------------------- the reader by itself

/// The imports of some files, as `a.rs b.rs`.
fn imports(files: &[(&str, &str)]) -> Vec<String> {
    let files = files.iter().map(|(name, text)| File::new(name, text));
    let sources = Sources::new(files.collect());
    let mut found = BTreeSet::new();
    for place in 0..sources.files.len() {
        for (target, _) in sources.imports(place) {
            let (from, to) = (&sources.files[place].name, &sources.files[target].name);
            found.insert(format!("{from} {to}"));
        }
    }
    found.into_iter().collect()
}

#[test]
fn imports_are_found_in_every_form() {
    let nothing: &[&str] = &[];
    for (text, expected) in [
        ("use super::b::B;", &["r/a.rs r/b.rs"][..]),
        ("use super::{b::B, c};", &["r/a.rs r/b.rs", "r/a.rs r/c.rs"]),
        ("use crate::r::{self, b::{B, D as E}};", &["r/a.rs r/b.rs"]),
        ("fn f() { super::b::f(); }", &["r/a.rs r/b.rs"]),
        ("fn f() { crate::r::c::f::<u8>(); }", &["r/a.rs r/c.rs"]),
        (
            "use crate::r; fn f() -> r::B { r::b::g() }",
            &["r/a.rs r/b.rs"],
        ),
        ("use super::B;", &["r/a.rs r/b.rs"]),
        ("use super::Renamed;", &["r/a.rs r/c.rs"]),
        ("use super::Own;", &["r/a.rs r/mod.rs"]),
        (
            "use std::fs; use serde::de; fn f() { fs::read(); }",
            nothing,
        ),
        ("// use super::b::B;\n/* super::b::f() /* */ */", nothing),
        (
            "const A: &str = \"super::b::f()\"; const B: &str = r#\"super::b::f()\"#;",
            nothing,
        ),
        (
            "const A: char = '\"'; fn f<'a>() { super::b::f() }",
            &["r/a.rs r/b.rs"],
        ),
        (
            "#[cfg(test)] mod tests { use super::super::b::B; fn f() {} }",
            nothing,
        ),
        (
            "#[cfg(test)] use super::b::B; use super::c::C;",
            &["r/a.rs r/c.rs"],
        ),
    ] {
        let front = "mod a; mod b; mod c; pub use b::B; pub use c::C as Renamed; pub struct Own;";
        let found = imports(&[
            ("lib.rs", "mod r;"),
            ("r/a.rs", text),
            ("r/b.rs", ""),
            ("r/c.rs", ""),
            ("r/mod.rs", front),
        ]);
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn a_front_that_gives_names_on_imports_nothing_until_it_uses_them() {
    let front = |text: &str| imports(&[("lib.rs", ""), ("r/mod.rs", text), ("r/b.rs", "")]);
    assert_eq!(front("mod b; pub use b::B;"), [""; 0]);
    assert_eq!(
        front("mod b; pub use b::B; fn f() -> B {}"),
        ["r/mod.rs r/b.rs"]
    );
    assert_eq!(
        front("mod b; use b::B; fn f() -> B {}"),
        ["r/mod.rs r/b.rs"]
    );
    assert_eq!(front("mod b; fn f() { b::f() }"), ["r/mod.rs r/b.rs"]);
}

/// Cargo finds no test below `tests/` by itself: one that is not listed would never run.
#[test]
fn every_program_of_tests_is_listed() {
    let tests = root().join("tests");
    let listed = fs::read_to_string(tests.join("Cargo.toml")).expect("tests/Cargo.toml");
    let mut programs = 0;
    for entry in fs::read_dir(&tests).expect("tests") {
        let folder = entry.expect("an entry").path();
        if folder.join("main.rs").exists() {
            let name = folder
                .file_name()
                .and_then(|name| name.to_str())
                .expect("a name");
            assert!(
                listed.contains(&format!("path = \"{name}/main.rs\"")),
                "tests/Cargo.toml lists no {name}"
            );
            programs += 1;
        }
    }
    assert!(programs > 10, "only {programs} were found");
}

#[test]
fn circles_are_found() {
    let circles = |files: &[(&str, &str)]| {
        let files = files.iter().map(|(name, text)| File::new(name, text));
        let sources = Sources::new(files.collect());
        let circles = sources.circles();
        let names = |place: &usize| sources.files[*place].name.clone();
        let named = circles
            .iter()
            .map(|circle| circle.iter().map(names).collect());
        named.collect::<Vec<Vec<String>>>()
    };
    let a = ("a.rs", "use crate::b::B;");
    let b = ("b.rs", "use crate::c::C; use crate::d::D;");
    let d = ("d.rs", "");
    assert_eq!(
        circles(&[a, b, ("c.rs", "fn f() { super::a::f() }"), d]),
        [["a.rs", "b.rs", "c.rs"]]
    );
    assert!(circles(&[a, b, ("c.rs", "use crate::d::D;"), d]).is_empty());
    // A child that uses what its mod.rs defines, while mod.rs uses the child.
    let child = ("r/x.rs", "use super::Own;");
    assert_eq!(
        circles(&[
            ("r/mod.rs", "mod x; pub struct Own; fn f() { x::f() }"),
            child
        ]),
        [["r/mod.rs", "r/x.rs"]]
    );
    assert!(circles(&[("r/mod.rs", "mod x; pub struct Own; pub use x::f;"), child]).is_empty());
}
