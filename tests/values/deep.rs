//! JSON of many levels: what every device can read travels, what not stays where it is and stops nobody.

use serde_json::json;
use support::Device;

use crate::server::Server;

const SCHEMA: &str = "CREATE TABLE place (id TEXT PRIMARY KEY NOT NULL, name TEXT, v JSON)";

fn nested(levels: usize) -> String {
    "[".repeat(levels) + &"]".repeat(levels)
}

fn device(server: &Server) -> Device {
    let more = json!({"sendCreatedAsUpdated": true});
    Device::configured(SCHEMA, &["place"], &server.canned.url(), more)
}

#[test]
fn h9_json_that_is_too_deep_for_others_is_refused_when_it_goes() {
    for (levels, goes) in [(120, true), (121, false), (2000, false)] {
        let mut server = Server::start();
        let (here, there) = (device(&server), device(&server));
        here.exec(&format!(
            "INSERT INTO place VALUES ('p', 'a', '{}')",
            nested(levels)
        ));
        here.exec("INSERT INTO place VALUES ('q', 'b', '[]')");
        here.synced();
        server.take();
        assert_eq!(server.rows["place"].contains_key("p"), goes, "{levels}");
        let reason = here.ask("SELECT reason FROM _syncRejected");
        assert_eq!(
            reason.contains("more than 120 levels"),
            !goes,
            "{levels}: {reason}"
        );
        // The echo changes nothing, and other devices take what came.
        for device in [&here, &there] {
            server.answers();
            device.synced();
            server.take();
        }
        assert_eq!(
            here.ask("SELECT length(v) FROM place WHERE id = 'p'"),
            (2 * levels).to_string()
        );
        assert_eq!(there.ask("SELECT name FROM place WHERE id = 'q'"), "b");
        assert_eq!(here.pending() == "", goes, "{levels}");
    }
}

#[test]
fn h1_a_deep_value_of_the_server_stops_no_others_and_goes_up_as_it_came() {
    let mut server = Server::start();
    let deep = nested(3000);
    server.put("place", "a", &[("name", "\"a\""), ("v", "1")]);
    server.put("place", "p", &[("name", "\"p\""), ("v", &deep)]);
    server.put("place", "z", &[("name", "\"z\""), ("v", "2")]);
    let device = device(&server);
    server.answers();
    let answer = device.synced();
    assert_eq!(answer["warnings"][0]["code"], "valuesKeptAside", "{answer}");
    assert_eq!(device.ask("SELECT id, v FROM place"), "a|1\np|NULL\nz|2");
    device.exec("UPDATE place SET name = 'mine' WHERE id = 'p'");
    server.answers();
    device.synced();
    server.take();
    assert_eq!(server.value("place", "p", "name"), "\"mine\"");
    assert!(server.value("place", "p", "v") == deep);
    server.answers();
    assert_eq!(device.ask("SELECT sync_check('api')->>'state'"), "equal");
    device.exec("UPDATE place SET v = '[1]' WHERE id = 'p'");
    server.answers();
    device.synced();
    server.take();
    assert_eq!(server.value("place", "p", "v"), "[1]");
}
