//! Line 1 and line 13: devices of which one has texts as keys and the other blobs, random edits, and trouble.

use serde_json::json;
use support::Random;
use support::sample::seeds;

use super::{Phone, Server, blobs, settle, texts};

fn schedule(seed: u64, server: &Server, steps: usize) {
    let mut random = Random(seed);
    let phones = [blobs(server, "phone"), texts(server, "tablet")];
    for phone in &phones {
        phone.ask(&format!(
            "SELECT sync_resolver('*', '{}')",
            random.pick(&["serverWins", "clientWins", "columns"])
        ));
    }
    // One brings the first rows of the user.
    phones.iter().for_each(|phone| drop(phone.sync()));
    for number in 0..steps {
        let phone = random.pick(&phones);
        step(server, &mut random, phone, number);
    }
    server.behave();
    let retry = "SELECT count(sync_retry(tbl.name, rejected.pk)) FROM _syncRejected AS rejected \
                 JOIN _syncTable AS tbl ON tbl.id = rejected.tbl";
    for _ in 0..3 {
        for phone in &phones {
            phone.ask(retry);
            phone.sync();
        }
    }
    let lines = phones.each_ref().map(|phone| phone.all());
    assert_eq!(lines[0], lines[1], "seed {seed}");
    settle(&phones.each_ref());
    let there = ["users", "files", "notes"].map(|table| server.rows(table).len());
    let here = ["users", "files", "notes"].map(|table| {
        let count = phones[0].ask(&format!("SELECT count(*) FROM {table}"));
        count.parse::<usize>().expect("a number")
    });
    assert_eq!(there, here, "seed {seed}");
}

fn step(server: &Server, random: &mut Random, phone: &Phone, number: usize) {
    let (row, other) = (1 + random.below(6), 1 + random.below(6));
    match random.below(14) {
        0 | 1 => phone.run(&format!(
            "INSERT INTO users VALUES (#{row}, 'n{number}', 'e') ON CONFLICT (id) DO UPDATE SET name = excluded.name"
        )),
        2 => phone.run(&format!("UPDATE users SET email = 'e{number}' WHERE id = #{row}")),
        3 => phone.run(&format!(
            "INSERT OR REPLACE INTO notes VALUES (#{row}, 'n{number}', {})",
            random.pick(&["NULL", "x''", "x'00ff'"])
        )),
        4 => phone.run(&format!("DELETE FROM notes WHERE id = #{row}")),
        5 => phone.run(&format!(
            "INSERT INTO files VALUES (#{row}, 'f{number}', x'0{}') ON CONFLICT (id) DO UPDATE SET name = excluded.name",
            random.below(9)
        )),
        6 | 7 => phone.run(&format!(
            "INSERT INTO file_reviews SELECT #{}, 'r{number}', id FROM files WHERE id = #{other} \
             ON CONFLICT (id) DO UPDATE SET review = excluded.review",
            10 + row
        )),
        8 => phone.run(&format!("UPDATE OR IGNORE notes SET id = #{other} WHERE id = #{row}")),
        9 => phone.run(&format!("DELETE FROM file_reviews WHERE id = #{}", 10 + row)),
        10 => server.fault(match random.below(3) {
            0 => json!({"on": "pull", "times": 1, "status": 503}),
            1 => json!({"on": "push", "times": 1, "drop": true}),
            _ => json!({"on": "push", "times": 1, "drop": true, "afterCommit": true}),
        }),
        11 => drop(phone.call("sync_upload_once", "{}")),
        12 => drop(phone.call("sync_download_all", "{}")),
        _ => drop(phone.call("sync_once", "{}")),
    }
}

fn schedules(server: fn() -> Server) {
    for seed in seeds(module_path!(), 4, 20) {
        schedule(seed, &server(), 30);
    }
}

#[test]
fn line_13_devices_with_blobs_and_with_texts_as_keys_converge_on_a() {
    schedules(Server::a);
}

#[test]
fn line_13_devices_with_blobs_and_with_texts_as_keys_converge_on_b() {
    schedules(Server::b);
}
