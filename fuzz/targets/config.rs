//! The configuration of a provider: what is taken stays the same when it is stored, and makes requests to
//! addresses that its owner wrote.
#![no_main]

mod common;

use libfuzzer_sys::fuzz_target;
use syncscope::http::{Origin, check_url};
use syncscope::providers::config::Kind;
use syncscope::providers::{Config, Protocol, Step};

fuzz_target!(|text: &str| {
    let Ok(config) = Config::parse(text) else {
        return;
    };
    let stored = serde_json::to_string(&config).expect("JSON");
    let again = Config::parse(&stored).unwrap_or_else(|error| panic!("{error}: {stored}"));
    assert_eq!(again, config, "{stored}");
    let effective = config.effective().expect("a preset fits");
    assert_eq!(effective.effective().as_ref(), Ok(&effective));
    for name in config.headers.keys() {
        let name = name.to_ascii_lowercase();
        assert!(
            !name.contains("authorization") && !name.contains("cookie"),
            "{name}"
        );
    }
    let addresses = config.addresses().expect("addresses");
    if config.kind == Kind::Host {
        assert!(addresses.is_empty());
        return;
    }
    // As sync_provider does.
    if addresses
        .iter()
        .any(|(_, address)| check_url(address).is_err())
    {
        return;
    }
    let mut protocol = common::with_config(&config).expect("usable");
    match protocol.next() {
        Step::Pull(request) => {
            assert!(request.url.starts_with("http"), "{}", request.url);
            assert!(request.method != "GET" || request.body.is_none());
            // With the address checked, nothing that is filled in makes another origin of it.
            let origin = |url: &str| url::Url::parse(url).map(|url| url.origin());
            let sample = addresses.iter().find(|(key, _)| *key == "pullUrl");
            let sample = sample.map(|(_, address)| origin(address));
            assert_eq!(sample, Some(origin(&request.url)), "{}", request.url);
            if let Some(body) = &request.body {
                assert!(common::is_json(body), "{}", String::from_utf8_lossy(body));
            }
        }
        Step::Fail(_) => {}
        other => panic!("{other:?}"),
    }
    let _ = Origin::parse(text);
});
