//! The configuration of a provider: what is taken stays the same when it is stored, and makes requests to
//! addresses that its owner wrote.

use syncscope::http::Origin;
use syncscope::providers::conversation::{AskBody, Step};
use syncscope::providers::watermelon::Options;
use syncscope::providers::{Transport, kinds};

use crate::common;

pub fn run(text: &str) {
    let Ok(settings) = kinds::parse(text) else {
        return;
    };
    let stored = settings.stored();
    for again in [kinds::parse(stored), kinds::parse_stored(stored)] {
        let again = again.unwrap_or_else(|error| panic!("{error}: {stored}"));
        assert_eq!(again.stored(), stored);
    }
    for (name, _) in settings.texts("headers") {
        let name = name.to_ascii_lowercase();
        assert!(
            !name.contains("authorization") && !name.contains("cookie"),
            "{name}"
        );
    }
    // Where functions say what is asked for, nothing is without them; another file is asked for something else.
    if settings.kind().transport != Transport::Http || settings.kind().functions.is_some() {
        return;
    }
    let addresses = Options::resolve(&settings).expect("checked").addresses();
    // Migrations that don't go with the file's schema version end a sync before its first request.
    let Ok(talk) = common::begin(&*settings.open(&Default::default()).expect("usable")) else {
        return;
    };
    let Step::Ask(ask) = talk.due() else {
        panic!("{:?}", talk.due());
    };
    assert!(ask.url.starts_with("http"), "{}", ask.url);
    assert!(ask.method != "GET" || ask.body == AskBody::None);
    // Nothing that is filled in makes another origin of it.
    let origin = |url: &str| url::Url::parse(url).map(|url| url.origin());
    let sample = addresses.iter().find(|(key, _)| *key == "pullUrl");
    let sample = sample.map(|(_, address)| origin(address));
    assert_eq!(sample, Some(origin(&ask.url)), "{}", ask.url);
    if let AskBody::Bytes(body) = &ask.body {
        assert!(common::is_json(body), "{}", String::from_utf8_lossy(body));
    }
    let _ = Origin::parse(text);
}
