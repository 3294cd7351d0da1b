//! Pages: each kind of paging with each rule of stopping, and each with each fault. Seven rows of new names are on the
//! server, two on a page; ten of old names are here.

use std::process::Stdio;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use serde_json::{Value, json};
use support::listener::Untouched;
use support::{again, load, wait_for};

use crate::phone::{Phone, error, ids, numbered, row};
use crate::server::{Answer, Api, Fault, Paging};

const KINDS: &[(&str, Paging, &str)] = &[
    ("page", Paging::Page, r#"{"kind":"page","size":2}"#),
    ("offset", Paging::Offset, r#"{"kind":"offset","size":2}"#),
    (
        "cursor in the body",
        Paging::CursorInBody,
        r#"{"kind":"cursor","size":2,"next":"$.cursor"}"#,
    ),
    (
        "cursor in a header",
        Paging::CursorInHeader,
        r#"{"kind":"cursor","size":2,"next":"header:X-Cursor"}"#,
    ),
    (
        "next in the body",
        Paging::NextInBody,
        r#"{"kind":"next","size":2,"next":"$.next"}"#,
    ),
    (
        "next in a header",
        Paging::NextInHeader,
        r#"{"kind":"next","size":2,"next":"header:X-Next"}"#,
    ),
    (
        "link",
        Paging::Link,
        r#"{"kind":"next","size":2,"next":"link"}"#,
    ),
    (
        "keyset",
        Paging::Keyset,
        r#"{"kind":"keyset","size":2,"column":"id"}"#,
    ),
];

const STOPS: &[(&str, &str)] = &[
    ("an empty page", r#"{}"#),
    ("an empty page, said", r#"{"stop":"empty"}"#),
    ("a short page", r#"{"stop":"short"}"#),
    ("total in the body", r#"{"total":"$.total"}"#),
    ("total in a header", r#"{"total":"header:X-Total"}"#),
    ("has more in the body", r#"{"hasMore":"$.more"}"#),
    ("has more in a header", r#"{"hasMore":"header:X-More"}"#),
    ("many pages at most", r#"{"maxPages":50}"#),
];

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn merged(kind: &str, stop: &str) -> Value {
    let mut paging = parsed(kind);
    for (key, value) in parsed(stop).as_object().expect("an object") {
        paging[key] = value.clone();
    }
    paging
}

fn follows_a_sign(paging: Paging) -> bool {
    !matches!(paging, Paging::Page | Paging::Offset | Paging::Keyset)
}

/// Ten rows of old names are here.
fn phone(api: &Api, more: Value) -> Phone {
    let mut old = numbered(10);
    for row in &mut old {
        row["name"] = json!("old");
    }
    api.answer("/old", Answer::json(&json!({"items": old})));
    Phone::with(api, more)
}

/// They are here again, and `count` of new names there.
fn stale(api: &Api, phone: &Phone, paging: Paging, count: usize) {
    phone.function(
        "list",
        json!({"path": "/old", "records": "$.items", "conditional": false}),
    );
    let answer = phone.forced("book", "list");
    assert_eq!(answer["state"], "synced", "{answer}");
    assert_eq!((phone.ids("book"), fresh(phone)), (ids(10), String::new()));
    api.fault(Fault::Nothing);
    api.set(numbered(count));
    api.paging(paging);
    api.asked();
}

fn define(phone: &Phone, paging: &Value) {
    phone.function(
        "list",
        json!({"path": "/rows", "records": "$.items", "paging": paging}),
    );
}

/// The ids of the rows that came anew.
fn fresh(phone: &Phone) -> String {
    phone.ask("SELECT coalesce(group_concat(id, ' '), '') FROM (SELECT id FROM book WHERE data ->> 'name' <> 'old' ORDER BY length(id), id)")
}

/// Runs what panics for each case, and says at the end which cases failed, and how.
fn each_case(check: impl Fn(&mut Vec<String>)) {
    let mut wrong = Vec::new();
    check(&mut wrong);
    assert!(
        wrong.is_empty(),
        "{} cases:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn judge(wrong: &mut Vec<String>, case: &str, holds: bool, came: impl std::fmt::Display) {
    if !holds {
        wrong.push(format!("{case}: {came}"));
    }
}

#[test]
fn every_kind_with_every_stop_rule_reads_all_and_sweeps_the_rest() {
    each_case(|wrong| {
        let api = Api::start();
        let phone = phone(&api, json!({}));
        for (name, paging, kind) in KINDS {
            for (stop, rule) in STOPS {
                for count in [7, 6] {
                    let case = format!("{name}, {stop}, {count} rows");
                    stale(&api, &phone, *paging, count);
                    define(&phone, &merged(kind, rule));
                    let answer = phone.read("book", "list");
                    let asked = api.asked().len();
                    judge(wrong, &case, answer["state"] == "synced", &answer["error"]);
                    judge(
                        wrong,
                        &case,
                        phone.ids("book") == ids(count),
                        phone.ids("book"),
                    );
                    judge(wrong, &case, fresh(&phone) == ids(count), fresh(&phone));
                    let pages = count.div_ceil(2);
                    judge(
                        wrong,
                        &case,
                        asked <= pages + 1,
                        format!("{asked} requests"),
                    );
                }
            }
        }
    });
}

#[test]
fn a_sign_of_the_end_spares_the_request_for_an_empty_page() {
    each_case(|wrong| {
        let api = Api::start();
        let phone = phone(&api, json!({}));
        for (name, paging, kind) in KINDS {
            for (stop, rule) in STOPS {
                let said =
                    stop.contains("total") || stop.contains("has more") || stop.contains("short");
                if !said && !follows_a_sign(*paging) {
                    continue;
                }
                stale(&api, &phone, *paging, 7);
                define(&phone, &merged(kind, rule));
                phone.read("book", "list");
                let asked = api.asked().len();
                judge(
                    wrong,
                    &format!("{name}, {stop}"),
                    asked == 4,
                    format!("{asked} requests"),
                );
            }
        }
    });
}

/// The fault, whether it can be seen with this paging and stop rule, the class of the error.
type Case = (Fault, fn(Paging, &str) -> bool, &'static str);

fn faults() -> Vec<Case> {
    let always = |_: Paging, _: &str| true;
    vec![
        (Fault::Repeat(1), always, "protocol"),
        (Fault::Repeat(2), always, "protocol"),
        (
            Fault::Loop(2),
            |paging, _| follows_a_sign(paging),
            "protocol",
        ),
        (
            Fault::Itself(1),
            |paging, _| follows_a_sign(paging),
            "protocol",
        ),
        (
            Fault::Elsewhere(1),
            |paging, _| {
                matches!(
                    paging,
                    Paging::NextInBody | Paging::NextInHeader | Paging::Link
                )
            },
            "protocol",
        ),
        (
            Fault::TotalMore(3),
            |_, stop| stop.contains("total"),
            "protocol",
        ),
        (
            Fault::TotalMoves(2),
            |_, stop| stop.contains("total"),
            "protocol",
        ),
        (
            Fault::Empty(1),
            |_, stop| stop.contains("total"),
            "protocol",
        ),
        (Fault::Lose(1), |_, stop| stop.contains("total"), "protocol"),
        // Pages that are short and not the last.
        (
            Fault::Lose(1),
            |paging, stop| paging == Paging::Page && stop.contains("empty"),
            "protocol",
        ),
        (Fault::Html(1), always, "protocol"),
        (Fault::HalfJson(1), always, "protocol"),
        (Fault::NoItems(1), always, "protocol"),
        (Fault::Cut(1), always, "network"),
        (Fault::Broken(1), always, "server"),
        (Fault::Wait(1), always, "server"),
    ]
}

#[test]
fn p1_p2_p4_every_kind_with_every_stop_rule_and_every_fault_fails_and_removes_nothing() {
    each_case(|wrong| {
        let api = Api::start();
        let phone = phone(&api, json!({}));
        let other = Untouched::listen();
        api.state().elsewhere = other.origin();
        for (name, paging, kind) in KINDS {
            for (stop, rule) in STOPS {
                if stop.contains("said") {
                    continue;
                }
                for (fault, can_be_seen, class) in faults() {
                    if !can_be_seen(*paging, stop) {
                        continue;
                    }
                    // A key set goes on behind the last row that came, so nothing is lost.
                    if *paging == Paging::Keyset && matches!(fault, Fault::Lose(_)) {
                        continue;
                    }
                    // The offset may go on behind the last row that came.
                    if *paging == Paging::Offset && matches!(fault, Fault::Lose(_)) {
                        continue;
                    }
                    let case = format!("{name}, {stop}, {fault:?}");
                    stale(&api, &phone, *paging, 7);
                    define(&phone, &merged(kind, rule));
                    api.fault(fault);
                    let answer = phone.read("book", "list");
                    let asked = api.asked().len();
                    if answer["state"] != "failed" {
                        wrong.push(format!(
                            "{case}: {} with {}",
                            answer["state"],
                            phone.ids("book")
                        ));
                        continue;
                    }
                    let failure = error(&answer);
                    judge(wrong, &case, failure["class"] == class, &failure);
                    judge(
                        wrong,
                        &case,
                        phone.ids("book") == ids(10),
                        format!("here are {}", phone.ids("book")),
                    );
                    judge(
                        wrong,
                        &case,
                        phone.status("book") == "failed",
                        phone.status("book"),
                    );
                    let first = fresh(&phone);
                    let expected = if fault == Fault::Lose(1) { "1" } else { "1 2" };
                    judge(
                        wrong,
                        &case,
                        first.starts_with(expected),
                        format!("came anew: {first:?}"),
                    );
                    // Four pages, an empty one, one too many.
                    judge(wrong, &case, asked <= 6, format!("{asked} requests"));
                    // Once it is over all comes right.
                    if *stop != STOPS[0].0 {
                        continue;
                    }
                    api.fault(Fault::Nothing);
                    let answer = phone.read("book", "list");
                    judge(wrong, &case, answer["state"] == "synced", &answer["error"]);
                    judge(
                        wrong,
                        &case,
                        fresh(&phone) == ids(7) && phone.ids("book") == ids(7),
                        phone.ids("book"),
                    );
                    api.asked();
                }
            }
        }
        other.check();
    });
}

#[test]
fn p4_a_loop_is_left_after_one_page_too_many() {
    each_case(|wrong| {
        let api = Api::start();
        let phone = phone(&api, json!({}));
        for (name, paging, kind) in KINDS {
            // Page 1 is page 0 again; page 1 names itself; page 2 names page 0.
            for (fault, most) in [
                (Fault::Repeat(1), 3),
                (Fault::Itself(1), 3),
                (Fault::Loop(2), 4),
            ] {
                if !matches!(fault, Fault::Repeat(_)) && !follows_a_sign(*paging) {
                    continue;
                }
                stale(&api, &phone, *paging, 7);
                define(&phone, &parsed(kind));
                api.fault(fault);
                let answer = phone.read("book", "list");
                let asked = api.asked().len();
                let case = format!("{name}, {fault:?}");
                judge(wrong, &case, answer["state"] == "failed", &answer["state"]);
                judge(wrong, &case, asked <= most, format!("{asked} requests"));
            }
        }
    });
}

#[test]
fn p2_pages_that_are_smaller_than_asked_lose_nothing_or_fail() {
    each_case(|wrong| {
        let api = Api::start();
        let phone = phone(&api, json!({}));
        for (name, paging, kind) in KINDS {
            for (stop, rule) in STOPS {
                // A short page was said to be the last.
                if stop.contains("short") || stop.contains("said") {
                    continue;
                }
                for fault in [Fault::Cap(1), Fault::Lose(1)] {
                    // Nothing in these pages shows that rows are missing.
                    let blind = follows_a_sign(*paging) && !stop.contains("total");
                    if fault == Fault::Lose(1) && (blind || stop.contains("has more")) {
                        continue;
                    }
                    let case = format!("{name}, {stop}, {fault:?}");
                    stale(&api, &phone, *paging, 7);
                    define(&phone, &merged(kind, rule));
                    api.fault(fault);
                    let answer = phone.read("book", "list");
                    match answer["state"].as_str() {
                        Some("synced") => judge(
                            wrong,
                            &case,
                            fresh(&phone) == ids(7),
                            format!("synced with {}", fresh(&phone)),
                        ),
                        _ => {
                            judge(
                                wrong,
                                &case,
                                error(&answer)["class"] == "protocol",
                                error(&answer),
                            );
                            judge(
                                wrong,
                                &case,
                                phone.ids("book") == ids(10),
                                phone.ids("book"),
                            );
                        }
                    }
                }
            }
        }
    });
}

#[test]
fn p2_a_reading_that_reaches_its_most_pages_fails_and_says_so() {
    each_case(|wrong| {
        let api = Api::start();
        let phone = phone(&api, json!({}));
        for (name, paging, kind) in KINDS {
            for (stop, rule) in STOPS {
                let mut config = merged(kind, rule);
                config["maxPages"] = json!(2);
                let case = format!("{name}, {stop}");
                stale(&api, &phone, *paging, 7);
                define(&phone, &config);
                let answer = phone.read("book", "list");
                if answer["state"] != "failed" {
                    wrong.push(format!("{case}: {}", answer["state"]));
                    continue;
                }
                let failure = error(&answer);
                judge(wrong, &case, failure["class"] == "protocol", &failure);
                judge(
                    wrong,
                    &case,
                    failure["message"].to_string().contains("maxPages"),
                    &failure,
                );
                judge(
                    wrong,
                    &case,
                    phone.ids("book") == ids(10),
                    phone.ids("book"),
                );
                judge(wrong, &case, fresh(&phone) == ids(4), fresh(&phone));
                judge(
                    wrong,
                    &case,
                    api.asked().len() == 2,
                    "other than two requests",
                );
                // As many as there are: it is whole if something says so.
                if stop.contains("total") || stop.contains("has more") || follows_a_sign(*paging) {
                    config["maxPages"] = json!(4);
                    define(&phone, &config);
                    let answer = phone.read("book", "list");
                    judge(wrong, &case, answer["state"] == "synced", &answer["error"]);
                    judge(wrong, &case, phone.ids("book") == ids(7), phone.ids("book"));
                }
                api.asked();
            }
        }
    });
}

#[test]
fn asked_to_wait_midway_it_waits_and_goes_on() {
    each_case(|wrong| {
        let api = Api::start();
        let phone = phone(&api, json!({"attempts": 2}));
        for (name, paging, kind) in KINDS {
            for page in 0..4 {
                let case = format!("{name}, page {page}");
                stale(&api, &phone, *paging, 7);
                define(&phone, &parsed(kind));
                api.fault(Fault::Wait(page));
                let answer = phone.read("book", "list");
                judge(wrong, &case, answer["state"] == "synced", &answer["error"]);
                judge(
                    wrong,
                    &case,
                    fresh(&phone) == ids(7) && phone.ids("book") == ids(7),
                    phone.ids("book"),
                );
            }
        }
    });
}

#[test]
fn an_answer_without_rows_is_one_page_of_every_kind() {
    each_case(|wrong| {
        let api = Api::start();
        for (name, paging, kind) in KINDS {
            for (stop, rule) in STOPS {
                let case = format!("{name}, {stop}");
                api.fault(Fault::Nothing);
                api.set(vec![]);
                api.paging(*paging);
                let phone = Phone::new(&api);
                define(&phone, &merged(kind, rule));
                let answer = phone.read("book", "list");
                judge(wrong, &case, answer["state"] == "synced", &answer["error"]);
                judge(
                    wrong,
                    &case,
                    api.asked().len() == 1,
                    "other than one request",
                );
            }
        }
    });
}

#[test]
fn p1_rows_on_two_pages_are_applied_once() {
    let api = Api::start();
    // A row came in at the front between two requests.
    api.on("/shifting", |asked| {
        let rows = match asked.query("page") {
            Some("1") => vec![row(1), row(2)],
            Some("2") => vec![row(2), row(3)],
            Some("3") => vec![row(4)],
            _ => vec![],
        };
        Answer::json(&json!({"items": rows}))
    });
    let phone = Phone::new(&api);
    let paging = json!({"kind": "page", "size": 2});
    phone.function(
        "list",
        json!({"path": "/shifting", "records": "$.items", "paging": paging}),
    );
    let answer = phone.read("book", "list");
    assert_eq!(phone.ids("book"), ids(4), "{answer}");
    assert_eq!(answer["inserted"], 4, "{answer}");
}

#[test]
fn p3_each_page_is_one_transaction() {
    let api = Api::start();
    let phone = Phone::new(&api);
    let path = phone.world.path();
    let seen = std::sync::Arc::new(Mutex::new(Vec::new()));
    let its = std::sync::Arc::clone(&seen);
    api.on("/pages", move |asked| {
        let plain = rusqlite::Connection::open(&path).expect("open");
        let there = "SELECT count(*) FROM sqlite_schema WHERE name = 'book'";
        let count = match support::ask(&plain, there).as_str() {
            "0" => "0".to_owned(),
            _ => support::ask(&plain, "SELECT count(*) FROM book"),
        };
        its.lock().expect("lock").push(count);
        let page: usize = asked
            .query("page")
            .expect("page")
            .parse()
            .expect("a number");
        let rows: Vec<Value> = (1..=6).skip((page - 1) * 2).take(2).map(row).collect();
        Answer::json(&json!({"items": rows}))
    });
    let paging = json!({"kind": "page", "size": 2});
    phone.function(
        "list",
        json!({"path": "/pages", "records": "$.items", "paging": paging}),
    );
    phone.done("book", "list");
    assert_eq!(*seen.lock().expect("lock"), ["0", "2", "4", "6"]);
}

/// The process that is killed while it waits for the third page.
#[test]
fn child_that_reads_until_it_is_killed() {
    let Ok(path) = std::env::var("SYNC_TEST_FILE") else {
        return;
    };
    let db = rusqlite::Connection::open(path).expect("open");
    load(&db);
    let sql = r#"SELECT sync_entities('screen', 'api', '[{"entity":"book","function":"list"}]')"#;
    support::ask(&db, sql);
}

#[test]
fn p3_a_reading_that_is_killed_between_two_pages_loses_and_removes_nothing() {
    for (name, paging, kind) in KINDS {
        let api = Api::start();
        let phone = phone(&api, json!({}));
        stale(&api, &phone, *paging, 7);
        // The third answer never comes.
        let (come, waits) = channel::<()>();
        let come = Mutex::new(come);
        let count = Mutex::new(0);
        let url = api.url();
        let (stop, stopped) = channel::<()>();
        let stopped = Mutex::new(stopped);
        api.on("/slow", move |asked| {
            let mut count = count.lock().expect("lock");
            *count += 1;
            if *count == 3 {
                come.lock().expect("lock").send(()).expect("sent");
                let _ = stopped.lock().expect("lock").recv();
            }
            // Handed on, with addresses that lead here.
            let target = asked.target.replacen("/slow", "/rows", 1);
            let answer = fetch(&url, &target);
            Answer {
                headers: answer
                    .headers
                    .into_iter()
                    .map(|(name, value)| (name, value.replace("/rows", "/slow")))
                    .collect(),
                body: String::from_utf8_lossy(&answer.body)
                    .replace("/rows", "/slow")
                    .into_bytes(),
                ..answer
            }
        });
        phone.function(
            "list",
            json!({"path": "/slow", "records": "$.items", "paging": parsed(kind)}),
        );
        let mut child = again(module_path!(), "child_that_reads_until_it_is_killed")
            .env("SYNC_TEST_FILE", phone.world.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("a child");
        waits.recv().expect("the third page is asked for");
        assert_eq!(phone.status("book"), "syncing", "{name}");
        child.kill().expect("killed");
        child.wait().expect("gone");
        drop(stop);
        assert_eq!(
            (phone.ids("book"), fresh(&phone)),
            (ids(10), ids(4)),
            "{name}"
        );
        wait_for("the work of the dead is settled", || {
            phone.ask("SELECT sync_recover()");
            phone.status("book") == "failed"
        });
        let answer = phone.read("book", "list");
        assert_eq!(answer["state"], "synced", "{name}: {answer}");
        assert_eq!(
            (phone.ids("book"), fresh(&phone)),
            (ids(7), ids(7)),
            "{name}"
        );
    }
}

/// Asks by hand.
fn fetch(url: &str, target: &str) -> Answer {
    use std::io::{Read, Write};
    let host = url.trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(host).expect("connects");
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("read");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let kept = ["content-type", "link", "x-next", "x-cursor"];
    let headers = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| kept.contains(&name.to_ascii_lowercase().as_str()))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Answer {
        status: 200,
        headers,
        body: body.as_bytes().to_vec(),
        promised: None,
    }
}

#[test]
fn places_go_into_the_query_the_body_or_a_header() {
    for (name, paging, config) in [
        ("page", Paging::Page, json!({"kind": "page", "size": 2})),
        (
            "offset",
            Paging::Offset,
            json!({"kind": "offset", "size": 2}),
        ),
        (
            "cursor",
            Paging::CursorInBody,
            json!({"kind": "cursor", "size": 2, "next": "$.cursor"}),
        ),
        (
            "after",
            Paging::Keyset,
            json!({"kind": "keyset", "size": 2, "column": "id"}),
        ),
    ] {
        for place in ["query", "body", "header"] {
            let api = Api::start();
            api.set(numbered(5));
            api.paging(paging);
            let phone = Phone::new(&api);
            let mut config = config.clone();
            config["in"] = json!(place);
            let mut function = json!({"path": "/rows", "records": "$.items", "paging": config});
            if place == "body" {
                function["method"] = json!("POST");
            }
            phone.function("list", function);
            let answer = phone.read("book", "list");
            assert_eq!(answer["state"], "synced", "{name} in {place}: {answer}");
            assert_eq!(phone.ids("book"), ids(5), "{name} in {place}");
            let asked = api.asked();
            let last = asked.last().expect("requests");
            let found = match place {
                "query" => last.query(name).is_some(),
                "body" => !last.json()[name].is_null(),
                _ => last.header(name).is_some(),
            };
            assert!(found, "{name} in {place}: {last:?}");
        }
    }
}

#[test]
fn names_of_parameters_and_the_first_page_can_be_given() {
    let api = Api::start();
    api.on("/own", |asked| {
        let page: usize = asked.query("p").expect("p").parse().expect("a number");
        assert_eq!(asked.query("count"), Some("2"));
        let rows: Vec<Value> = (1..=3).skip(page * 2).take(2).map(row).collect();
        Answer::json(&json!(rows))
    });
    let phone = Phone::new(&api);
    let paging = json!({"kind": "page", "size": 2, "sizeParam": "count", "param": "p", "start": 0});
    phone.function("list", json!({"path": "/own", "paging": paging}));
    phone.done("book", "list");
    assert_eq!(phone.ids("book"), ids(3));
    assert_eq!(api.asked()[0].query("p"), Some("0"));
}

#[test]
fn kind_auto_finds_the_next_page_and_says_how() {
    for form in [
        "next",
        "next_url",
        "nextPage",
        "cursor",
        "next_cursor",
        "nextCursor",
        "link",
    ] {
        let api = Api::start();
        let url = api.url();
        api.on("/auto", move |asked| {
            let start = asked
                .query("at")
                .or(asked.query("page"))
                .or(asked.query("cursor"))
                .map_or(0, |text| text.parse().expect("a number"));
            let mut body =
                json!({"items": (1..=5).skip(start).take(2).map(row).collect::<Vec<_>>()});
            let next = start + 2;
            let address = format!("{url}/auto?at={next}");
            let mut link = None;
            if next < 5 {
                match form {
                    "link" => link = Some(format!("<{address}>; rel=next")),
                    "cursor" | "next_cursor" | "nextCursor" => body[form] = json!(next.to_string()),
                    "nextPage" => body[form] = json!(address),
                    _ => body[form] = json!(address),
                }
            }
            let answer = Answer::json(&body);
            match link {
                Some(link) => answer.with("Link", &link),
                None => answer,
            }
        });
        let phone = Phone::new(&api);
        phone.function("list", json!({"path": "/auto", "records": "$.items"}));
        let answer = phone.read("book", "list");
        assert_eq!(answer["state"], "synced", "{form}: {answer}");
        assert_eq!(phone.ids("book"), ids(5), "{form}: {answer}");
        let chosen = answer["rest"]["paging"].to_string();
        let kind = if form.to_lowercase().contains("cursor") {
            "cursor"
        } else {
            "next"
        };
        assert!(
            chosen.contains(kind) || chosen.contains("link"),
            "{form}: {chosen}"
        );
        // A trial says the same.
        let trial = parsed(&phone.call("sync_try_function", &["api", "list"]));
        assert_ne!(trial["paging"], "none", "{form}: {trial}");
        assert!(!trial["next"].is_null(), "{form}: {trial}");
    }
}

#[test]
fn kind_none_never_asks_for_a_second_page() {
    let api = Api::start();
    api.set(numbered(5));
    api.paging(Paging::Link);
    let phone = Phone::new(&api);
    define(&phone, &json!({"kind": "none"}));
    phone.read("book", "list");
    assert_eq!(api.asked().len(), 1);
}

#[test]
fn an_address_of_the_next_page_may_be_relative() {
    let api = Api::start();
    api.on("/deep/rows", |asked| match asked.query("at") {
        None => Answer::json(&json!({"items": [row(1)], "next": "/deep/rows?at=1"})),
        Some("1") => Answer::json(&json!({"items": [row(2)], "next": "?at=2"})),
        _ => Answer::json(&json!({"items": [row(3)], "next": null})),
    });
    let phone = Phone::new(&api);
    let paging = json!({"kind": "next", "next": "$.next"});
    phone.function(
        "list",
        json!({"path": "/deep/rows", "records": "$.items", "paging": paging}),
    );
    phone.done("book", "list");
    assert_eq!(phone.ids("book"), ids(3));
}

#[test]
fn cursors_and_key_sets_with_odd_characters_are_encoded() {
    let api = Api::start();
    let odd = "a b&c=d/é+%";
    api.on("/odd", move |asked| match asked.query("cursor") {
        None => Answer::json(&json!({"items": [row(1)], "cursor": odd})),
        Some(text) if text == odd => Answer::json(&json!({"items": [row(2)]})),
        Some(_) => Answer::new(400, "text/plain", "unknown cursor"),
    });
    let phone = Phone::new(&api);
    let paging = json!({"kind": "cursor", "next": "$.cursor"});
    phone.function(
        "list",
        json!({"path": "/odd", "records": "$.items", "paging": paging}),
    );
    phone.done("book", "list");
    assert_eq!(phone.ids("book"), ids(2));
}

#[test]
fn p2_kind_auto_does_not_take_a_full_page_for_the_whole() {
    // Nothing says what is next, but as many rows came as were asked for.
    for paging in [
        json!({"kind": "auto", "size": 2}),
        json!({"kind": "auto", "size": 2, "total": "$.total"}),
    ] {
        let api = Api::start();
        let phone = phone(&api, json!({}));
        stale(&api, &phone, Paging::Keyset, 7);
        define(&phone, &paging);
        let answer = phone.read("book", "list");
        let whole = answer["state"] == "synced" && phone.ids("book") == ids(7);
        let kept = answer["state"] == "failed" && phone.ids("book") == ids(10);
        assert!(
            whole || kept,
            "{paging}: {} with {}",
            answer["state"],
            phone.ids("book")
        );
    }
}

#[test]
fn p2_kind_auto_does_not_pass_over_a_next_page_that_it_can_not_ask_for() {
    for (next, is_whole) in [
        (json!("b2"), false),
        (json!(2), false),
        (json!(""), true),
        (json!(null), true),
        (json!(false), true),
    ] {
        let api = Api::start();
        let phone = phone(&api, json!({}));
        api.answer("/rows", Answer::json(&json!({"items": numbered(3)})));
        define(&phone, &json!({"kind": "auto"}));
        phone.done("book", "list");
        let body = json!({"items": numbered(2), "next": next});
        api.answer("/rows", Answer::json(&body));
        let answer = phone.read("book", "list");
        if is_whole {
            assert_eq!(
                (answer["state"].as_str(), phone.ids("book")),
                (Some("synced"), ids(2)),
                "{next}: {answer}"
            );
            continue;
        }
        let error = error(&answer);
        assert_eq!(error["class"], "protocol", "{next}: {answer}");
        let message = error["message"].as_str().expect("a text");
        assert!(message.contains("$.next"), "{message}");
        assert_eq!(phone.ids("book"), ids(3), "{next}");
        // Once all that is counted has come, it does not matter.
        let body = json!({"items": numbered(2), "next": next, "total": 2});
        api.answer("/rows", Answer::json(&body));
        phone.done("book", "list");
        assert_eq!(phone.ids("book"), ids(2), "{next}");
    }
}

#[test]
fn a_function_may_write_the_places_of_pages_itself() {
    let api = Api::start();
    api.on("/search", |asked| {
        let asked = asked.json();
        let from = asked["range"]["from"].as_u64().expect("a number") as usize;
        let count = asked["range"]["count"].as_u64().expect("a number") as usize;
        let rows: Vec<Value> = (1..=5).skip(from).take(count).map(row).collect();
        Answer::json(&json!({"items": rows}))
    });
    let phone = Phone::new(&api);
    phone.function("list", json!({"method": "POST", "path": "/search", "records": "$.items",
        "body": {"range": {"from": "{offset}", "count": "{limit}"}}, "paging": {"kind": "offset", "size": 2}}));
    phone.done("book", "list");
    assert_eq!(phone.ids("book"), ids(5));
}

#[test]
fn connections_of_graphql_are_pages() {
    let api = Api::start();
    api.on("/graphql", |asked| {
        let asked = asked.json();
        assert_eq!(asked["query"], "query($after: String) { books }");
        let start: usize = asked["variables"]["after"]
            .as_str()
            .map_or(0, |text| text.parse().expect("a number"));
        let end = (start + 2).min(5);
        let edges: Vec<Value> = (start + 1..=end)
            .map(|number| json!({"node": row(number)}))
            .collect();
        Answer::json(&json!({"data": {"books": {"edges": edges,
            "pageInfo": {"endCursor": end.to_string(), "hasNextPage": end < 5}}}}))
    });
    let phone = Phone::new(&api);
    phone.function("list", json!({"method": "POST", "path": "/graphql", "records": "$.data.books.edges[*].node",
        "body": {"query": "query($after: String) { books }", "variables": {"after": "{next}"}},
        "paging": {"kind": "cursor", "next": "$.data.books.pageInfo.endCursor", "hasMore": "$.data.books.pageInfo.hasNextPage"}}));
    phone.done("book", "list");
    assert_eq!(phone.ids("book"), ids(5));
}
