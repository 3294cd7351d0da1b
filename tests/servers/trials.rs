//! What each server is taken through.

use crate::device::Device;
use crate::relay::Lost;
use crate::server::Server;
use support::Random;
use support::page::run_step;
use support::sample::seeds;

/// What the page shows is so.
pub fn the_page_is_true(server: &dyn Server) {
    let device = Device::of(server);
    for step in server.recipe(&[]).usage() {
        run_step(&device.db, &step, "docs/servers.md");
    }
    assert_eq!(device.rejected(), "NULL");
    assert_eq!(device.books(), server.books());
}

/// Seven rows come in pages of three.
pub fn pages_are_read_to_the_end(server: &dyn Server) {
    for number in 1..=7 {
        server.put(number, &format!("Book {number}"), number as f64);
    }
    let device = Device::with(server, &[("\"size\":100", "\"size\":3")]);
    let answer = device.synced();
    assert_eq!(answer["pulled"], 7, "{answer}");
    assert_eq!(server.relay().asked().len(), 3);
    device.agrees_with(server);
    // The second time there is nothing new.
    let answer = device.synced();
    assert_eq!(answer["pulled"], 0, "{answer}");
    device.agrees_with(server);
    let check = format!("SELECT sync_check('{}') ->> 'state'", server.provider());
    assert_eq!(device.ask(&check), "equal");
}

/// `since`: what a request has that asks only for what is new; none: it asks for all.
pub fn what_is_new_comes(server: &dyn Server, since: Option<&str>) {
    for number in 1..=3 {
        server.put(number, &format!("Book {number}"), number as f64);
    }
    let device = Device::of(server);
    device.synced();
    server.put(2, "Book 2, second edition", 2.5);
    server.put(4, "Book 4", 4.0);
    server.relay().asked();
    let answer = device.synced();
    assert_eq!(answer["pulled"], 2, "{answer}");
    device.agrees_with(server);
    let asked = server.relay().asked();
    if let Some(since) = since {
        assert!(asked[0].contains(since), "{asked:?}");
    }
}

/// Rows that are gone there go here, but not those that were edited here. `whole`: only a reading of all shows it.
pub fn what_is_gone_goes(server: &dyn Server, whole: bool) {
    for number in 1..=4 {
        server.put(number, &format!("Book {number}"), number as f64);
    }
    let device = Device::of(server);
    device.synced();
    server.remove(2);
    server.remove(3);
    if whole {
        device.synced();
        assert_eq!(device.books().len(), if_incremental(server, 4, 2));
        device.forget_cursor();
    }
    let answer = device.synced();
    if !whole {
        assert_eq!(answer["deleted"], 2, "{answer}");
    }
    assert_eq!(device.books(), ["Book 1=1", "Book 4=4"]);
    device.agrees_with(server);
}

/// What a sync without all rows leaves here.
fn if_incremental(server: &dyn Server, all: usize, some: usize) -> usize {
    match server.recipe(&[]).is_incremental() {
        true => all,
        false => some,
    }
}

/// An empty answer is not believed.
pub fn an_empty_answer_empties_nothing(server: &dyn Server) {
    for number in 1..=3 {
        server.put(number, &format!("Book {number}"), number as f64);
    }
    let device = Device::of(server);
    device.synced();
    for number in 1..=3 {
        server.remove(number);
    }
    device.forget_cursor();
    assert_eq!(device.failed()["code"], "SYNC_ERROR_SHRINK");
    assert_eq!(device.books().len(), 3);
    let force = format!(
        "SELECT sync_entities('shop', '{}', '[\"book\"]', '{{\"force\":true}}') ->> 'deleted'",
        server.provider()
    );
    assert_eq!(device.ask(&force), "3");
    device.agrees_with(server);
}

fn two_of(server: &dyn Server) -> [Device; 2] {
    [Device::of(server), Device::of(server)]
}

/// Syncs in turn until each has seen what the other did.
#[track_caller]
fn all_in_turn(devices: &[Device]) {
    for _ in 0..2 {
        for device in devices {
            device.synced();
        }
    }
}

/// Two devices make, edit and delete side by side. `reads_all`: before they are compared.
pub fn two_devices_agree(server: &dyn Server, reads_all: bool) {
    let devices = two_of(server);
    let [one, two] = &devices;
    let settle = || {
        all_in_turn(&devices);
        if reads_all {
            devices.iter().for_each(Device::forget_cursor);
            all_in_turn(&devices);
        }
    };
    one.exec("INSERT INTO book VALUES ('a-1', 'Emma', 1), ('a-2', 'Walden', 2)");
    two.exec("INSERT INTO book VALUES ('b-1', 'Dracula', 3)");
    settle();
    assert_eq!(server.books(), ["Dracula=3", "Emma=1", "Walden=2"]);
    // Of one row each edits another column; other rows are deleted and made.
    one.exec("UPDATE book SET title = 'Emma, annotated' WHERE title = 'Emma'; DELETE FROM book WHERE title = 'Walden'");
    two.exec("UPDATE book SET price = 1.5 WHERE title = 'Emma'; INSERT INTO book VALUES ('b-2', 'Nature', 4)");
    settle();
    assert_eq!(
        server.books(),
        ["Dracula=3", "Emma, annotated=1.5", "Nature=4"]
    );
    // Both delete one row; of another, one edits what the other deletes. An edit is not thrown away without a word.
    one.exec("DELETE FROM book WHERE title = 'Dracula'; UPDATE book SET price = 5 WHERE title = 'Nature'");
    two.exec("DELETE FROM book WHERE title IN ('Dracula', 'Nature')");
    two.synced();
    settle();
    for device in &devices {
        device.agrees_with(server);
    }
    assert_eq!(server.books(), ["Emma, annotated=1.5", "Nature=5"]);
}

/// Makes, edits and deletes rows of three here.
pub fn edit(device: &Device) {
    device.exec(
        "INSERT INTO book VALUES ('new', 'Nature', 4); UPDATE book SET price = 9 WHERE title = 'Book 1'; \
         DELETE FROM book WHERE title = 'Book 2'",
    );
}

/// What there is then.
pub const EDITED: [&str; 3] = ["Book 1=9", "Book 3=3", "Nature=4"];

/// With a token that the server does not take (any more) a sync fails, and with a good one all goes on.
pub fn a_bad_token_loses_nothing(server: &dyn Server, good: &str, bad: &str) {
    for number in 1..=3 {
        server.put(number, &format!("Book {number}"), number as f64);
    }
    let device = Device::of(server);
    device.synced();
    let before = server.books();
    let origin = server.relay().origin();
    // When it only reads, and when it sends too.
    device.secret(bad, &origin);
    let error = device.failed();
    assert_eq!(error["class"], "auth", "{error}");
    edit(&device);
    let error = device.failed();
    assert_eq!(error["class"], "auth", "{error}");
    assert_eq!(
        (device.books(), device.pending()),
        (EDITED.map(String::from).into(), "3".into())
    );
    assert_eq!(server.books(), before);
    device.secret(good, &origin);
    device.synced();
    assert_eq!(server.books(), EDITED);
    device.agrees_with(server);
}

/// Of a random schedule.
const STEPS: usize = 20;

/// Further options of a provider: that a request goes out once, and that it goes out again by itself.
pub const ATTEMPTS: &[&str] = &["\"attempts\":1,", "\"attempts\":3,\"backoffMs\":1,"];

/// Of each kind of request one answer is lost. `more`: further options of the provider, tried one after the other.
pub fn a_lost_answer_doubles_and_loses_nothing(server: &dyn Server, more: &[&str]) {
    for more in more {
        for number in 1..=3 {
            server.put(number, &format!("Book {number}"), number as f64);
        }
        let provider = format!("\"kind\":\"rest\",{more}");
        let device = Device::with(server, &[("\"kind\":\"rest\",", &provider)]);
        let settle = |what: &str| {
            for _ in 0..6 {
                if device.sync()["state"] == "synced" && !server.relay().is_to_lose() {
                    break;
                }
            }
            assert!(
                !server.relay().is_to_lose(),
                "{more} {what}: no answer was lost"
            );
            assert_eq!(device.rejected(), "NULL", "{more} {what}");
            let here = (device.books(), device.pending());
            assert_eq!(here, (server.books(), "0".into()), "{more} {what}");
        };
        server.relay().lose(Lost::Read);
        settle("read");
        assert_eq!(device.books().len(), 3, "{more}");
        for (what, sql, books) in [
            (
                "make",
                "INSERT INTO book VALUES ('new-1', 'Nature', 4), ('new-2', 'Emma', 5)",
                5,
            ),
            (
                "edit",
                "UPDATE book SET price = price + 10 WHERE title IN ('Nature', 'Book 1')",
                5,
            ),
            (
                "delete",
                "DELETE FROM book WHERE title IN ('Nature', 'Emma', 'Book 1')",
                2,
            ),
        ] {
            device.exec(sql);
            server.relay().lose(Lost::Write);
            settle(what);
            assert_eq!(device.books().len(), books, "{more} {what}");
        }
        assert_eq!(server.books(), ["Book 2=2", "Book 3=3"], "{more}");
        (2..=3).for_each(|number| server.remove(number));
    }
}

/// Two devices edit at random, and answers are lost at random; in the end all have the same, nothing made is missing unless somebody
/// deleted it, and nothing is there twice. `more`: further options of the provider. `deletes`: whether rows are deleted. `reads_all`:
/// before they are compared.
pub fn random_edits_come_together(server: &dyn Server, more: &str, deletes: bool, reads_all: bool) {
    for seed in seeds(module_path!(), 3, 50) {
        let provider = format!("\"kind\":\"rest\",{more}");
        let device = || Device::with(server, &[("\"kind\":\"rest\",", &provider)]);
        let devices = [device(), device()];
        let mut random = Random(seed);
        let (mut made, mut deleted) = (Vec::new(), Vec::new());
        for number in 0..STEPS {
            let device = random.pick(&devices);
            let any = format!(
                "(SELECT id FROM book ORDER BY id LIMIT 1 OFFSET {} % max(1, (SELECT count(*) FROM book)))",
                random.below(1000)
            );
            match random.below(12) {
                0..4 => {
                    let title = format!("s{seed}-{number}");
                    device.exec(&format!(
                        "INSERT INTO book VALUES ('r{seed}-{number}', '{title}', {number})"
                    ));
                    made.push(title);
                }
                4..6 => device.exec(&format!(
                    "UPDATE book SET price = {number} WHERE id = {any}"
                )),
                6 if deletes => {
                    deleted.push(device.ask(&format!("SELECT title FROM book WHERE id = {any}")));
                    device.exec(&format!("DELETE FROM book WHERE id = {any}"));
                }
                _ => {
                    if random.chance(50) {
                        let lost = *random.pick(&[Lost::Read, Lost::Write, Lost::Write]);
                        server.relay().lose(lost);
                    }
                    device.sync();
                }
            }
        }
        server.relay().lose_no_more();
        all_in_turn(&devices);
        if reads_all {
            devices.iter().for_each(Device::forget_cursor);
            all_in_turn(&devices);
        }
        for device in &devices {
            assert_eq!(device.rejected(), "NULL", "seed {seed}");
            assert_eq!(device.pending(), "0", "seed {seed}");
            assert_eq!(device.books(), server.books(), "seed {seed}");
        }
        let titles = devices[0].ask("SELECT title FROM book");
        let mut titles: Vec<&str> = titles.lines().collect();
        titles.sort_unstable();
        let count = titles.len();
        titles.dedup();
        assert_eq!(titles.len(), count, "seed {seed}: something is there twice");
        for title in made.iter().filter(|title| !deleted.contains(title)) {
            assert!(
                titles.contains(&title.as_str()),
                "seed {seed}: {title} is lost"
            );
        }
    }
}
