//! Samples of long tests. A few tests try every case there is, for minutes; by default they try some of
//! them, spread evenly, always the same, the first and the last among them.

use std::io::Write;
use std::sync::Mutex;

/// Whether `SYNCSCOPE_WHOLE=1` asks for every case.
pub fn whole() -> bool {
    std::env::var_os("SYNCSCOPE_WHOLE").is_some_and(|value| value != "0")
}

/// Every `nth` case, the first and the last; with `SYNCSCOPE_WHOLE=1` all. `what` is said once.
pub fn sample<T>(what: &'static str, cases: impl IntoIterator<Item = T>, nth: usize) -> Vec<T> {
    let cases: Vec<T> = cases.into_iter().collect();
    if whole() {
        return cases;
    }
    say_so(what);
    every(cases, nth)
}

fn every<T>(cases: Vec<T>, nth: usize) -> Vec<T> {
    let last = cases.len().saturating_sub(1);
    let chosen = cases.into_iter().enumerate();
    let chosen = chosen.filter(|(place, _)| place % nth.max(1) == 0 || *place == last);
    chosen.map(|(_, case)| case).collect()
}

/// One line for each `what`, past the harness, which keeps the output of a test that passes to itself.
pub fn say_so(what: &'static str) {
    static SAID: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    let mut said = SAID.lock().expect("lock");
    if !said.contains(&what) {
        said.push(what);
        let _ = writeln!(
            std::io::stderr(),
            "sampled: {what}; SYNCSCOPE_WHOLE=1 tries every case"
        );
    }
}

#[test]
fn a_sample_is_spread_and_has_both_ends() {
    assert_eq!(every((0..10).collect(), 4), [0, 4, 8, 9]);
    assert_eq!(every((0..9).collect(), 4), [0, 4, 8]);
    assert_eq!(every(vec![7], 4), [7]);
    assert!(every(Vec::<u8>::new(), 4).is_empty());
}
