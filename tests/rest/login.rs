//! Who asks: keys, passwords, and tokens that are got by logging in.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use support::{file_holds, refused};

use crate::phone::Phone;
use crate::server::{Answer, Api, Asked};

/// A backend that gives out tokens, and rows to who has the one that counts.
struct Gate {
    api: Api,
    /// The token that counts.
    good: Arc<Mutex<String>>,
    logins: Arc<AtomicUsize>,
}

/// How often somebody has logged in makes up the token.
fn token(number: usize) -> String {
    format!("hunter2-token-{number}")
}

impl Gate {
    /// `more`: what a login's answer has besides the token.
    fn start(more: Value) -> Gate {
        let gate = Gate {
            api: Api::start(),
            good: Arc::default(),
            logins: Arc::default(),
        };
        let (good, logins) = (Arc::clone(&gate.good), Arc::clone(&gate.logins));
        gate.api.on("/login", move |_| {
            let number = logins.fetch_add(1, Ordering::SeqCst) + 1;
            *good.lock().expect("lock") = token(number);
            let mut answer = json!({"token": token(number), "access_token": token(number)});
            for (key, value) in more.as_object().expect("an object") {
                answer[key] = value.clone();
            }
            Answer::json(&answer)
        });
        let good = Arc::clone(&gate.good);
        gate.api.on("/books", move |asked| {
            let wanted = format!("Bearer {}", good.lock().expect("lock"));
            match asked.header("authorization") == Some(&wanted) {
                true => Answer::json(&json!([{"id": "a", "title": "Emma"}])),
                // Some backends repeat what they were sent.
                false => Answer::new(401, "text/plain", format!("who is {:?}?", asked.headers)),
            }
        });
        gate
    }

    fn logins(&self) -> usize {
        self.logins.load(Ordering::SeqCst)
    }

    /// The token that was given no longer counts.
    fn revoke(&self) {
        *self.good.lock().expect("lock") = "revoked".into();
    }

    fn phone(&self, login: Value) -> Phone {
        let phone = Phone::with(&self.api, json!({"login": login}));
        phone.function("books", json!({"path": "/books"}));
        phone.secret("pw", "hunter2-password", &self.api.url());
        phone
    }
}

impl Phone {
    fn secret(&self, name: &str, value: &str, origin: &str) {
        self.call("sync_secret", &[name, value, origin]);
    }
}

fn session() -> Value {
    json!({"url": "/login", "body": {"user": "mara", "password": "{secret:pw}"}})
}

/// The last request of a path.
fn last(api: &Api, path: &str) -> Asked {
    let asked = api.asked().into_iter().rfind(|asked| asked.path == path);
    asked.expect("a request")
}

/// No secret is in the file, the log or what a call has answered.
fn is_silent(phone: &Phone, answers: &[String]) {
    phone.exec("PRAGMA wal_checkpoint");
    assert!(!file_holds(&phone.world.path(), "hunter2"));
    let log = phone.ask("SELECT coalesce(group_concat(detail), '') FROM sync_log");
    for text in answers.iter().chain([&log]) {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn s8_keys_and_passwords_go_into_header_address_cookie_and_basic() {
    let api = Api::start();
    api.on("/books", |asked| {
        // The address of the next page has the key in it, as some APIs write it.
        let next = asked
            .query("page")
            .is_none()
            .then(|| format!("{}&page=2", asked.target));
        Answer::json(&json!({"items": [{"id": asked.query("page").unwrap_or("1")}], "next": next}))
    });
    let more = json!({"basic": "pair", "secretHeaders": {"X-Key": "head"}, "secretQuery": {"api_key": "query"},
        "secretCookies": {"sid": "cookie", "other": "cookie"}});
    let phone = Phone::with(&api, more);
    phone.function(
        "books",
        json!({"path": "/books", "query": {"sort": "id"}, "records": "$.items"}),
    );
    for (name, value) in [
        ("pair", "mara:hunter2-pair"),
        ("head", "hunter2-head"),
        ("query", "hunter2 query&"),
        ("cookie", "hunter2-cookie"),
    ] {
        phone.secret(name, value, &api.url());
    }
    let tried = phone.call("sync_try_function", &["api", "books"]);
    let answer = phone.done("book", "books");
    assert_eq!(phone.ids("book"), "1 2");
    let asked = last(&api, "/books");
    assert_eq!(
        asked.header("authorization"),
        Some("Basic bWFyYTpodW50ZXIyLXBhaXI=")
    );
    assert_eq!(asked.header("x-key"), Some("hunter2-head"));
    assert_eq!(
        asked.header("cookie"),
        Some("other=hunter2-cookie; sid=hunter2-cookie")
    );
    // Once, also where the backend has written it into the address.
    assert_eq!(
        asked.target,
        "/books?sort=id&page=2&api_key=hunter2%20query%26"
    );
    is_silent(&phone, &[tried, answer.to_string()]);
    // Elsewhere, nothing goes.
    phone.secret("query", "hunter2", "https://elsewhere.example");
    let error = phone.failed("book", "books");
    assert_eq!(error["class"], "auth", "{error}");
}

#[test]
fn s8_a_session_login_comes_first_and_its_token_is_used_until_it_is_refused() {
    let gate = Gate::start(json!({}));
    let phone = gate.phone(session());
    phone.done("book", "books");
    let asked = gate.api.asked();
    let paths: Vec<&str> = asked.iter().map(|asked| asked.path.as_str()).collect();
    assert_eq!(paths, ["/login", "/books"]);
    assert_eq!(asked[0].method, "POST");
    assert_eq!(
        asked[0].json(),
        json!({"user": "mara", "password": "hunter2-password"})
    );
    assert_eq!(asked[0].header("content-type"), Some("application/json"));
    assert_eq!(asked[0].header("authorization"), None);
    phone.done("book", "books");
    assert_eq!(gate.logins(), 1);
    // The backend has forgotten it: 401 once.
    gate.revoke();
    let answer = phone.done("book", "books");
    assert_eq!(gate.logins(), 2);
    let tried = phone.call("sync_try_function", &["api", "books"]);
    assert_eq!(gate.logins(), 2, "{tried}");
    gate.revoke();
    let again = phone.call("sync_try_function", &["api", "books"]);
    assert_eq!(
        (gate.logins(), again.contains(r#""status":200"#)),
        (3, true),
        "{again}"
    );
    is_silent(&phone, &[answer.to_string(), tried, again]);
}

#[test]
fn s8_a_token_that_is_refused_at_once_is_not_asked_for_again_and_again() {
    let gate = Gate::start(json!({}));
    gate.api
        .answer("/books", Answer::new(401, "text/plain", "no"));
    let phone = gate.phone(session());
    phone.table(
        "CREATE TABLE book (id TEXT PRIMARY KEY NOT NULL, title TEXT)",
        "book",
    );
    phone.exec("INSERT INTO book VALUES ('x', 'mine')");
    let error = phone.failed("book", "books");
    assert_eq!(
        (&error["class"], &error["status"]),
        (&json!("auth"), &json!(401)),
        "{error}"
    );
    assert_eq!(gate.logins(), 1);
    assert_eq!(phone.pending(), "x created");
    // A token of before is replaced once.
    phone.failed("book", "books");
    assert_eq!(gate.logins(), 2);
}

#[test]
fn s8_a_token_is_renewed_before_it_ends() {
    let gate = Gate::start(json!({"expires_in": 1}));
    let mut login = session();
    login["expires"] = json!("$.expires_in");
    let phone = gate.phone(login);
    phone.done("book", "books");
    std::thread::sleep(Duration::from_secs(1));
    gate.api.asked();
    phone.done("book", "books");
    let asked = gate.api.asked();
    let paths: Vec<&str> = asked.iter().map(|asked| asked.path.as_str()).collect();
    // Nothing was refused.
    assert_eq!(paths, ["/login", "/books"]);
    // One that lasts is kept, whatever way that is said.
    for expires in [
        json!(3600),
        json!("3600"),
        json!("2999-01-01T00:00:00Z"),
        json!(32_472_144_000i64),
    ] {
        let gate = Gate::start(json!({"until": expires}));
        let mut login = session();
        login["expires"] = json!("$.until");
        let phone = gate.phone(login);
        phone.done("book", "books");
        phone.done("book", "books");
        assert_eq!(gate.logins(), 1, "{expires}");
    }
}

#[test]
fn s8_a_refused_login_needs_auth_loses_nothing_and_says_what_to_do() {
    let gate = Gate::start(json!({}));
    let phone = gate.phone(session());
    phone.table(
        "CREATE TABLE book (id TEXT PRIMARY KEY NOT NULL, title TEXT)",
        "book",
    );
    phone.exec("INSERT INTO book VALUES ('x', 'mine')");
    let body = r#"{"error":"invalid_grant","error_description":"hunter2-password is wrong"}"#;
    for (answer, why) in [
        (
            Answer::new(401, "application/json", body),
            "HTTP 401, invalid_grant",
        ),
        (
            Answer::new(403, "text/plain", "hunter2-password"),
            "HTTP 403",
        ),
        (
            Answer::json(&json!({"error": "hunter2-password"})),
            "nothing at $.token",
        ),
        (
            Answer::json(&json!({"token": {"x": 1}})),
            "nothing at $.token",
        ),
        (Answer::json(&json!({"token": ""})), "nothing at $.token"),
        (Answer::json(&json!({"token": "line\nbreak"})), "line break"),
        (
            Answer::new(200, "text/html", "<html>"),
            "nothing at $.token",
        ),
    ] {
        gate.api.answer("/login", answer);
        gate.api.asked();
        let answer = phone.read("book", "books");
        let error = crate::phone::error(&answer);
        assert_eq!(
            (&error["class"], &error["code"]),
            (&json!("auth"), &json!("SYNC_ERROR_AUTH")),
            "{why}: {error}"
        );
        let message = error["message"].as_str().expect("text");
        assert!(message.contains(why), "{why}: {message}");
        assert!(
            message.contains(r#"set the right secrets with sync_secret ("pw")"#),
            "{message}"
        );
        assert_eq!(
            phone.ask("SELECT state FROM sync_peer"),
            "needs-auth",
            "{why}"
        );
        assert_eq!(phone.pending(), "x created");
        // Nobody was asked without a token.
        assert!(gate.api.asked().iter().all(|asked| asked.path == "/login"));
        let tried = phone.call("sync_try_function", &["api", "books"]);
        assert!(tried.contains(r#""class":"auth""#), "{tried}");
        is_silent(&phone, &[answer.to_string(), tried]);
    }
    // A backend that is down is no refusal.
    gate.api
        .answer("/login", Answer::new(503, "text/plain", "later"));
    let error = phone.failed("book", "books");
    assert_eq!(
        (&error["class"], &error["retryable"]),
        (&json!("server"), &json!(true)),
        "{error}"
    );
    // Nor is a secret that is missing.
    phone
        .db
        .query_row("SELECT sync_secret('pw', NULL)", [], |_| Ok(()))
        .expect("forgotten");
    let error = phone.failed("book", "books");
    assert!(
        error["message"]
            .as_str()
            .expect("text")
            .contains("sync_secret"),
        "{error}"
    );
    // With the right one, it goes on.
    let gate = Gate::start(json!({}));
    let phone = gate.phone(session());
    phone.done("book", "books");
}

#[test]
fn s8_two_connections_at_once_log_in_once() {
    let gate = Gate::start(json!({}));
    let logins = Arc::clone(&gate.logins);
    let good = Arc::clone(&gate.good);
    let begun = Barrier::new(2);
    gate.api.on("/login", move |_| {
        logins.fetch_add(1, Ordering::SeqCst);
        *good.lock().expect("lock") = token(1);
        Answer::json(&json!({"token": token(1)}))
    });
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let phone = gate.phone(session());
                begun.wait();
                phone.done("book", "books");
            });
        }
    });
    assert_eq!(gate.logins(), 1);
    // Nor does a third one later, and one with another password does.
    gate.phone(session()).done("book", "books");
    assert_eq!(gate.logins(), 1);
    let other = gate.phone(session());
    other.secret("pw", "hunter2-other", &gate.api.url());
    other.done("book", "books");
    assert_eq!(gate.logins(), 2);
}

#[test]
fn s8_oauth_client_credentials_and_refresh_tokens() {
    let gate = Gate::start(json!({"expires_in": 3600, "token_type": "bearer"}));
    let client = json!({"url": "/login", "grant": "client_credentials", "clientId": "me & you", "clientSecret": "pw", "scope": "read write"});
    gate.phone(client.clone()).done("book", "books");
    let asked = last(&gate.api, "/login");
    assert_eq!(
        asked.body,
        "grant_type=client_credentials&scope=read%20write"
    );
    assert_eq!(
        asked.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    // me%20%26%20you:hunter2-password
    assert_eq!(
        asked.header("authorization"),
        Some("Basic bWUlMjAlMjYlMjB5b3U6aHVudGVyMi1wYXNzd29yZA==")
    );
    let mut in_body = client;
    in_body["clientAuth"] = json!("body");
    gate.phone(in_body).done("book", "books");
    let asked = last(&gate.api, "/login");
    assert_eq!(asked.header("authorization"), None);
    assert!(
        asked
            .body
            .ends_with("&client_id=me%20%26%20you&client_secret=hunter2-password"),
        "{}",
        asked.body
    );

    // Each refresh token is good for one request; who comes with one that was used gets what it led to.
    let gate = Gate::start(json!({}));
    let (logins, good) = (Arc::clone(&gate.logins), Arc::clone(&gate.good));
    gate.api.on("/login", move |asked| {
        let number = logins.fetch_add(1, Ordering::SeqCst) + 1;
        let wanted = match number {
            1 => "hunter2-password".to_owned(),
            number => format!("hunter2-next-{}", number - 1),
        };
        if asked.body != format!("grant_type=refresh_token&refresh_token={wanted}&client_id=app") {
            return Answer::new(400, "application/json", r#"{"error":"invalid_grant"}"#);
        }
        *good.lock().expect("lock") = token(number);
        Answer::json(&json!({"access_token": token(number), "refresh_token": format!("hunter2-next-{number}")}))
    });
    let grant =
        json!({"url": "/login", "grant": "refresh_token", "clientId": "app", "refreshToken": "pw"});
    let (one, other) = (gate.phone(grant.clone()), gate.phone(grant.clone()));
    one.done("book", "books");
    gate.revoke();
    other.done("book", "books");
    gate.revoke();
    one.done("book", "books");
    assert_eq!(gate.logins(), 3);
    gate.revoke();
    gate.phone(grant).done("book", "books");
    assert_eq!(gate.logins(), 4);
    is_silent(&one, &[]);
}

#[test]
fn s8_a_token_comes_from_a_header_or_cookie_and_goes_as_is_wanted() {
    let api = Api::start();
    api.on("/login", |asked| {
        assert_eq!(asked.header("x-login"), Some("mara/hunter2-password"));
        Answer::json(&json!({"a": {"id": 4711}}))
            .with("X-Token", "Bearer hunter2-head")
            .with("Set-Cookie", "other=1; Path=/")
            .with("Set-Cookie", "sid=hunter2-cookie; Path=/; HttpOnly")
    });
    api.answer("/books", Answer::json(&json!([{"id": "a"}])));
    for (from, way, name, sent) in [
        (
            "header:X-Token",
            "bearer",
            "authorization",
            "Bearer hunter2-head",
        ),
        ("cookie:sid", "cookie:sid", "cookie", "sid=hunter2-cookie"),
        ("$.a.id", "header:X-Session", "x-session", "4711"),
        ("$.a.id", "query:session", "", "/books?session=4711"),
    ] {
        let login = json!({"url": "/login", "method": "GET", "headers": {"X-Login": "mara/{secret:pw}"}, "token": from, "as": way});
        let phone = Phone::with(&api, json!({"login": login}));
        phone.secret("pw", "hunter2-password", &api.url());
        phone.function("books", json!({"path": "/books"}));
        phone.done("book", "books");
        let asked = last(&api, "/books");
        match name {
            "" => assert_eq!(asked.target, sent),
            name => assert_eq!(asked.header(name), Some(sent), "{from} {way}"),
        }
        is_silent(&phone, &[]);
    }
}

#[test]
fn s8_a_token_is_not_sent_where_its_secrets_were_not_meant_for() {
    let (login, evil) = (Gate::start(json!({})), Api::start());
    evil.answer("/books", Answer::json(&json!([])));
    let phone = Phone::with(
        &evil,
        json!({"login": {"url": format!("{}/login", login.api.url()), "body": {"p": "{secret:pw}"}}}),
    );
    phone.function("books", json!({"path": "/books"}));
    phone.secret("pw", "hunter2-password", &login.api.url());
    let error = phone.failed("book", "books");
    assert_eq!(error["class"], "auth");
    assert!(
        error["message"]
            .as_str()
            .expect("text")
            .contains("name that origin too"),
        "{error}"
    );
    assert!(evil.asked().is_empty());
    // Who says so means it.
    phone.secret(
        "pw",
        "hunter2-password",
        &format!("{} {}", login.api.url(), evil.url()),
    );
    phone.done("book", "books");
    assert_eq!(
        last(&evil, "/books").header("authorization"),
        Some(&*format!("Bearer {}", token(login.logins())))
    );
}

#[test]
fn s8_a_program_that_sends_the_requests_logs_in_too() {
    let api = Api::start();
    let phone = Phone::with(
        &api,
        json!({"login": session(), "secretQuery": {"k": "key"}, "basic": null}),
    );
    phone.function("books", json!({"path": "/books"}));
    for (secrets, password, address) in [
        ("names", "{secret:pw}", "?k={secret:key}"),
        ("values", "hunter2-password", "?k=hunter2-key"),
    ] {
        if secrets == "values" {
            phone.secret("pw", "hunter2-password", &api.url());
            phone.secret("key", "hunter2-key", &api.url());
        }
        let options = json!({"transport": "host", "secrets": secrets, "force": true}).to_string();
        phone.call(
            "sync_entities",
            &["screen", "api", r#"["books"]"#, &options],
        );
        let next = || -> Value {
            serde_json::from_str(&phone.call("sync_next_request", &[])).expect("JSON")
        };
        let put = |body: &str| {
            let run = phone.ask("SELECT max(id) FROM _syncRun");
            let sql = format!("SELECT sync_put_response({run}, 200, '{{}}', '{body}')");
            phone.ask(&sql);
        };
        let login = next();
        assert_eq!(login["url"], format!("{}/login", api.url()), "{login}");
        assert_eq!(
            login["body"],
            format!(r#"{{"user":"mara","password":"{password}"}}"#)
        );
        put(r#"{"token":"t-1"}"#);
        let books = next();
        assert_eq!(books["url"], format!("{}/books{address}", api.url()));
        assert_eq!(books["headers"]["Authorization"], "Bearer t-1", "{books}");
        put(r#"[{"id":"a"}]"#);
        assert_eq!(next()["state"], "synced");
    }
}

#[test]
fn s8_what_makes_no_sense_is_refused() {
    let phone = Phone::new(&Api::start());
    for (more, said) in [
        (json!({"login": {}}), "login.url is missing"),
        (json!({"login": {"url": "/l"}}), "login names no secret"),
        (
            json!({"login": {"url": "l", "body": "{secret:p}"}}),
            "begins with a slash",
        ),
        (
            json!({"login": {"url": "/l", "bodi": "{secret:p}"}}),
            "did you mean \"login.body\"?",
        ),
        (
            json!({"login": {"url": "/l", "body": {"p": "{secret:p}"}, "method": "GET"}}),
            "does not go with the method GET",
        ),
        (
            json!({"login": {"url": "/l", "body": "{secret:p}", "token": "token"}}),
            "login.token is",
        ),
        (
            json!({"login": {"url": "/l", "body": "{secret:p}", "as": "pigeon"}}),
            "write bearer, header:NAME",
        ),
        (
            json!({"login": {"url": "/l", "body": "{secret:p}", "as": "cookie:a b"}}),
            "write bearer, header:NAME",
        ),
        (
            json!({"login": {"url": "/l", "headers": {"Authorization": "Basic abc"}}}),
            "would write a secret",
        ),
        (
            json!({"login": {"url": "/l?api_key=x", "body": "{secret:p}"}}),
            "would write a secret",
        ),
        (
            json!({"login": {"url": "/l", "body": "user={secret:p}&password=x"}}),
            "would write a secret",
        ),
        (
            json!({"login": {"url": "/l", "body": {"user": "{secret:p}", "in": [{"password": "x"}]}}}),
            "would write a secret",
        ),
        (
            json!({"login": {"url": "/l", "body": "{secret:p}", "scope": "x"}}),
            "login.scope goes with login.grant",
        ),
        (
            json!({"login": {"url": "/l", "grant": "client_credentials", "clientId": "x"}}),
            "login.clientSecret is missing",
        ),
        (
            json!({"login": {"url": "/l", "grant": "client_credentials", "clientSecret": "x"}}),
            "login.clientId is missing",
        ),
        (
            json!({"login": {"url": "/l", "grant": "refresh_token"}}),
            "login.refreshToken is missing",
        ),
        (
            json!({"login": {"url": "/l", "grant": "password"}}),
            "client_credentials or refresh_token",
        ),
        (
            json!({"login": session(), "token": "t"}),
            "exclude each other",
        ),
        (
            json!({"basic": "b", "token": "t"}),
            "both sent as Authorization",
        ),
        (
            json!({"secretCookies": {"a;b": "t"}}),
            "no name of a cookie",
        ),
    ] {
        let mut config = json!({"kind": "rest", "url": "http://127.0.0.1:9"});
        for (key, value) in more.as_object().expect("an object") {
            config[key] = value.clone();
        }
        let error = refused(&phone.db, &format!("SELECT sync_provider('x', '{config}')"));
        assert!(error.contains(said), "{said}: {error}");
    }
}
