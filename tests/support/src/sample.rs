//! Samples of long tests. A few tests try every case there is, for minutes; by default they try some of
//! them, spread evenly, always the same, the first and the last among them.

use std::io::Write;
use std::sync::Mutex;

/// Whether every case is asked for in a module: `SYNCSCOPE_WHOLE=1` does everywhere, `SYNCSCOPE_WHOLE=sync::schedules,capture`
/// in these and in what is below them.
pub fn is_whole(module: &str) -> bool {
    let Ok(asked) = std::env::var("SYNCSCOPE_WHOLE") else {
        return false;
    };
    let is_in = |one: &str| {
        let rest = module.strip_prefix(one);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    asked == "1" || asked.split(',').any(|one| is_in(one.trim()))
}

/// The seeds of random schedules that are run: `few`, or with `SYNCSCOPE_WHOLE` more. `SYNCSCOPE_SCHEDULES` sets how many,
/// `SYNCSCOPE_SCHEDULE_SEED` the first; with the seed alone, only that one is run.
pub fn seeds(module: &str, few: u64, whole: u64) -> std::ops::Range<u64> {
    let number = |name: &str| {
        let text = std::env::var(name).ok()?;
        let number = text.parse();
        Some(number.unwrap_or_else(|_| panic!("{name}={text}: a number, please")))
    };
    let seed = number("SYNCSCOPE_SCHEDULE_SEED");
    let usual = match (seed, is_whole(module)) {
        (Some(_), _) => 1,
        (None, true) => whole,
        (None, false) => few,
    };
    let first = seed.unwrap_or(1);
    first..first + number("SYNCSCOPE_SCHEDULES").unwrap_or(usual)
}

/// Every `nth` case, the first and the last; with `SYNCSCOPE_WHOLE=1` all. `nth` should divide no number
/// of inner cases, so that each of them is met sometimes. `module` is the `module_path!()` of the test.
pub fn sample<T>(
    module: &'static str,
    cases: impl IntoIterator<Item = T>,
    nth: usize,
) -> impl Iterator<Item = T> {
    let cases: Vec<T> = cases.into_iter().collect();
    let last = cases.len().saturating_sub(1);
    let nth = if takes_all(module) { 1 } else { nth };
    let chosen = cases.into_iter().enumerate();
    chosen.filter_map(move |(place, case)| (place % nth == 0 || place == last).then_some(case))
}

/// Every one of the outer with every one of the inner.
pub fn each<A: Copy, B: Copy>(outer: impl IntoIterator<Item = A>, inner: &[B]) -> Vec<(A, B)> {
    let with_each = |one| inner.iter().map(move |two| (one, *two));
    outer.into_iter().flat_map(with_each).collect()
}

/// Which steps are tried of something that has `total`: a few, the first and the last among them, others
/// for each `place`. With `SYNCSCOPE_WHOLE=1` they lie close together at the beginning, and further
/// apart later, by one `growth`th of the way that was gone.
pub fn steps(module: &'static str, total: u64, place: usize, growth: u64) -> Vec<u64> {
    let mut steps = match takes_all(module) {
        true => growing(total, growth),
        false => spread(total, place as u64),
    };
    steps.extend(total.checked_sub(1));
    steps.sort_unstable();
    steps.dedup();
    steps
}

fn growing(total: u64, growth: u64) -> Vec<u64> {
    let next = |step: &u64| Some(step + 1 + step / growth);
    let all = std::iter::successors(Some(0), next);
    all.take_while(|step| *step < total).collect()
}

fn spread(total: u64, place: u64) -> Vec<u64> {
    const PARTS: u64 = 5;
    const PLACES: u64 = 7;
    let within = |part| total * (part * PLACES + place % PLACES) / (PARTS * PLACES);
    let inner = (0..PARTS).map(within);
    std::iter::once(0)
        .chain(inner)
        .filter(|step| *step < total)
        .collect()
}

/// Says that only a sample is taken: one line a module, past the harness, which keeps the output of tests
/// that pass to itself.
pub fn takes_all(module: &'static str) -> bool {
    static SAID: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    if is_whole(module) {
        return true;
    }
    let mut said = SAID.lock().expect("lock");
    if !said.contains(&module) {
        said.push(module);
        let _ = writeln!(
            std::io::stderr(),
            "{module} tries a sample of its cases; SYNCSCOPE_WHOLE=1 has it try them all"
        );
    }
    false
}

#[test]
fn a_sample_is_spread_and_has_both_ends() {
    let every = |count: u64, nth| sample("here", 0..count, nth).collect::<Vec<_>>();
    let expected = |few: &[u64], count: u64| match is_whole("here") {
        true => (0..count).collect(),
        false => few.to_vec(),
    };
    assert_eq!(every(10, 4), expected(&[0, 4, 8, 9], 10));
    assert_eq!(every(9, 4), expected(&[0, 4, 8], 9));
    assert_eq!(every(1, 4), [0]);
    assert!(every(0, 4).is_empty());
    for place in 0..20 {
        let found = steps("here", 1000, place, 6);
        assert_eq!((found[0], found[found.len() - 1]), (0, 999));
        assert!(found.iter().is_sorted() && found.len() >= 6, "{found:?}");
    }
    assert_eq!(steps("here", 1, 3, 6), [0]);
    assert!(steps("here", 0, 3, 6).is_empty());
    assert_eq!(growing(10, 2), [0, 1, 2, 4, 7]);
    assert_eq!(spread(70, 1), [0, 2, 16, 30, 44, 58]);
}
