//! Rows that were changed on both sides.

use serde_json::{Value, json};
use support::remote::{Case, Client, Remote, everywhere};

/// A row that both have, then edited on both sides: here its title and n, there its n and note.
fn edited_on_both_sides<'a>(case: &Case, server: &'a dyn Remote) -> Client<'a> {
    server.put(
        "task",
        &[json!({"id": "a", "title": "old", "n": 1, "note": "old"})],
    );
    let client = case.client(server);
    client.synced();
    client.exec("UPDATE task SET title = 'mine', n = 7 WHERE id = 'a'");
    server.put("task", &[json!({"id": "a", "n": 9, "note": "theirs"})]);
    server.forget();
    client
}

const ROW: &str = "SELECT title, n, note FROM task WHERE id = 'a'";

/// The newest conflict: kind, policy, columns.
const CONFLICT: &str = "SELECT kind, policy, columns FROM sync_conflict ORDER BY id DESC LIMIT 1";

fn parsed(client: &Client<'_>, column: &str) -> Value {
    let text = client.ask(&format!(
        "SELECT {column} FROM sync_conflict ORDER BY id DESC LIMIT 1"
    ));
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{column}: {text}"))
}

#[test]
fn by_column_each_side_keeps_what_it_alone_changed_and_ours_wins_in_the_rest() {
    everywhere(|case| {
        let server = case.server();
        let client = edited_on_both_sides(case, &*server);
        client.ask("SELECT sync_resolver('task', 'columns')");
        let answer = client.synced();
        let pushed = u8::from(!server.sends_first());
        assert_eq!(
            (&answer["conflicts"], &answer["pushed"]),
            (&json!(1), &json!(pushed)),
            "{answer}"
        );
        client.keeps_ours();
        assert_eq!(client.ask(ROW), "mine|7|theirs");
        assert!(client.ask(CONFLICT).starts_with("edited|columns|"));
        assert_eq!(parsed(&client, "local")["n"], 7);
        assert_eq!(parsed(&client, "remote")["n"], 9);
        assert_eq!(parsed(&client, "resolved")["note"], "theirs");
        if let Some(changed) = &server.pushed()[0][0].changed {
            assert_eq!(changed, &["n", "title"]);
        }
        client.is_at_rest();
    });
}

#[test]
fn the_server_wins() {
    everywhere(|case| {
        let server = case.server();
        let client = edited_on_both_sides(case, &*server);
        client.ask("SELECT sync_resolver('task', 'serverWins')");
        let answer = client.synced();
        assert_eq!(
            (&answer["conflicts"], &answer["pushed"]),
            (&json!(1), &json!(0)),
            "{answer}"
        );
        assert_eq!(client.ask(ROW), "old|9|theirs");
        assert!(client.ask(CONFLICT).starts_with("edited|serverWins|"));
        assert!(server.pushed().is_empty() || !server.pulls_first());
        client.is_at_rest();
    });
}

#[test]
fn the_client_wins() {
    everywhere(|case| {
        let server = case.server();
        let client = edited_on_both_sides(case, &*server);
        client.ask("SELECT sync_resolver('*', 'clientWins')");
        client.synced();
        client.keeps_ours();
        assert_eq!(client.ask(ROW), "mine|7|old");
        assert!(client.ask(CONFLICT).starts_with("edited|clientWins|"));
        client.is_at_rest();
    });
}

#[test]
fn the_last_write_wins() {
    for (here, there, row) in [
        (7, 9, "old|9|theirs"),
        (9, 9, "old|9|theirs"),
        (10, 9, "mine|10|old"),
    ] {
        everywhere(|case| {
            let server = case.server();
            let client = edited_on_both_sides(case, &*server);
            client.exec(&format!("UPDATE task SET n = {here}"));
            server.put("task", &[json!({"id": "a", "n": there})]);
            client.ask("SELECT sync_resolver('task', 'lastWriteWins', 'n')");
            client.synced();
            client.keeps_ours();
            assert_eq!(client.ask(ROW), row, "{here} here, {there} there");
            assert!(client.ask(CONFLICT).starts_with("edited|lastWriteWins|"));
            client.is_at_rest();
        });
    }
}

#[test]
fn a_row_deleted_there_goes_and_what_was_edited_here_is_kept_as_a_conflict() {
    everywhere(|case| {
        let server = case.server();
        let client = edited_on_both_sides(case, &*server);
        server.remove("task", &["a"]);
        let answer = client.synced();
        assert_eq!(answer["deleted"], 1, "{answer}");
        assert_eq!(client.ask("SELECT count(*) FROM task"), "0");
        // Some kinds leave it to the policy.
        assert!(client.ask(CONFLICT).starts_with("deletedRemotely|"));
        let kept = parsed(&client, "local");
        assert_eq!(
            (&kept["title"], &kept["n"]),
            (&json!("mine"), &json!(7)),
            "{kept}"
        );
        client.is_at_rest();
    });
}

#[test]
fn a_row_deleted_here_stays_deleted_whatever_was_edited_there() {
    everywhere(|case| {
        let server = case.server();
        let client = edited_on_both_sides(case, &*server);
        client.exec("DELETE FROM task");
        client.synced();
        client.keeps_ours();
        assert!(client.ask(CONFLICT).starts_with("deletedHere|"));
        assert_eq!(parsed(&client, "remote")["n"], 9);
        assert_eq!(server.rows("task").len(), 0);
        client.is_at_rest();
    });
}
