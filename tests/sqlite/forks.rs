//! F7: copies of the hub and of the device.

use serde_json::json;
use support::ask;

use super::{ALL, Folder, NOTES};

#[test]
fn f7_a_copy_of_the_hub_that_went_on_by_itself_is_found_out() {
    let folder = Folder::new();
    folder
        .made("hub.db", NOTES)
        .execute_batch("INSERT INTO notes VALUES ('a', 'x', NULL, 1)")
        .expect("a row");
    let device = folder.device("a.db", NOTES, "hub.db", json!({}));
    device.synced();
    // The stick is copied; both copies go on.
    folder.copy("hub.db", "stick.db");
    folder
        .plain("hub.db")
        .execute_batch("INSERT INTO notes VALUES ('h', 'hub', NULL, 1)")
        .expect("a row");
    folder
        .plain("stick.db")
        .execute_batch("INSERT INTO notes VALUES ('s', 'stick', NULL, 1)")
        .expect("a row");
    device.exec("INSERT INTO notes VALUES ('d', 'here', NULL, 1)");
    device.synced();
    folder.copy("stick.db", "hub.db");
    device.exec("UPDATE notes SET n = 2 WHERE id = 'a'");
    for _ in 0..2 {
        let error = device.failed();
        assert_eq!(error["class"], "conflict", "{error}");
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|text| text.contains("\"hub.db\" is another copy than the one")),
            "{error}"
        );
    }
    assert_eq!(device.ask("SELECT key FROM sync_pending"), "a");
    // Merged by option: each gets what the other has.
    device.declare("hub.db", json!({"onFork": "merge"}));
    device.synced();
    let merged = "a|x|NULL|2\nd|here|NULL|1\nh|hub|NULL|1\ns|stick|NULL|1";
    assert_eq!(device.ask(ALL), merged);
    assert_eq!(ask(&folder.plain("hub.db"), ALL), merged);
    device.synced();
    assert_eq!(device.pending(), "");
    // The first copy, met again by a device that knows the merged one.
    device.declare("hub.db", json!({}));
    device.synced();
}

#[test]
fn f7_a_copy_that_only_went_on_is_no_fork() {
    let folder = Folder::new();
    folder.made("hub.db", NOTES);
    let one = folder.device("a.db", NOTES, "hub.db", json!({}));
    let other = folder.device("b.db", NOTES, "hub.db", json!({}));
    one.exec("INSERT INTO notes VALUES ('a', 'x', NULL, 1)");
    one.synced();
    other.synced();
    folder.copy("hub.db", "stick.db");
    one.declare("stick.db", json!({}));
}

#[test]
fn f7_an_older_copy_of_the_hub_and_another_file_are_found_out() {
    let folder = Folder::new();
    folder.made("hub.db", NOTES);
    let device = folder.device("a.db", NOTES, "hub.db", json!({}));
    device.synced();
    folder.copy("hub.db", "old.db");
    device.exec("INSERT INTO notes VALUES ('a', 'x', NULL, 1)");
    device.synced();
    folder.copy("old.db", "hub.db");
    assert!(device.failed().to_string().contains("another copy"));
    std::fs::remove_file(folder.path("hub.db")).expect("removed");
    folder.made("hub.db", NOTES);
    assert!(device.failed().to_string().contains("another copy"));
}

#[test]
fn f7_a_copy_of_the_device_gets_a_name_of_its_own() {
    let folder = Folder::new();
    let hub = folder.made("hub.db", NOTES);
    let one = folder.device("a.db", NOTES, "hub.db", json!({}));
    one.exec("INSERT INTO notes VALUES ('a', 'x', NULL, 1)");
    one.synced();
    drop(one);
    folder.copy("a.db", "b.db");
    let (one, other) = (
        folder.reopened("a.db", NOTES),
        folder.reopened("b.db", NOTES),
    );
    one.exec("INSERT INTO notes VALUES ('b', 'from a', NULL, 1)");
    other.exec("INSERT INTO notes VALUES ('c', 'from b', NULL, 1)");
    one.synced();
    other.synced();
    one.synced();
    other.synced();
    let all = "a|x|NULL|1\nb|from a|NULL|1\nc|from b|NULL|1";
    assert_eq!(
        (
            one.ask(ALL).as_str(),
            other.ask(ALL).as_str(),
            ask(&hub, ALL).as_str()
        ),
        (all, all, all)
    );
    one.exec("UPDATE notes SET n = 2 WHERE id = 'c'");
    other.exec("UPDATE notes SET n = 2 WHERE id = 'b'");
    for device in [&one, &other, &one] {
        device.synced();
    }
    assert_eq!(
        (one.ask(ALL), other.ask(ALL)),
        (ask(&hub, ALL), ask(&hub, ALL))
    );
    assert_eq!(ask(&hub, "SELECT count(*) FROM _syncFeedDevice"), "2");
}
