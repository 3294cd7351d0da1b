//! Rounds: every variant runs once in each, in another order each time, so that a machine that slows down
//! slows down all of them.

use std::collections::BTreeMap;

use super::Result;

/// What was measured, by name, a value for each round.
#[derive(Default)]
pub struct Samples(BTreeMap<&'static str, Vec<f64>>);

/// A ratio: the median of the rounds, the lowest and the highest.
#[derive(Clone, Copy)]
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Samples {
    pub fn add(&mut self, name: &'static str, value: f64) {
        self.0.entry(name).or_default().push(value);
    }

    /// The median of the rounds.
    pub fn median(&self, name: &str) -> Result<f64> {
        Ok(self.spread(name)?.median)
    }

    pub fn spread(&self, name: &str) -> Result<Spread> {
        spread(self.of(name)?.to_vec())
    }

    /// How `one` compares with `other`, round by round.
    pub fn ratio(&self, one: &str, other: &str) -> Result<Spread> {
        let pairs = self.of(one)?.iter().zip(self.of(other)?);
        spread(pairs.map(|(one, other)| one / other).collect())
    }

    fn of(&self, name: &str) -> Result<&[f64]> {
        self.0
            .get(name)
            .map(Vec::as_slice)
            .ok_or_else(|| format!("{name} was not measured").into())
    }
}

impl Spread {
    /// Of a value that was measured once.
    pub fn of(value: f64) -> Self {
        Self {
            median: value,
            low: value,
            high: value,
        }
    }
}

fn spread(mut values: Vec<f64>) -> Result<Spread> {
    values.sort_by(f64::total_cmp);
    match (values.first(), values.last(), values.get(values.len() / 2)) {
        (Some(low), Some(high), Some(median)) => Ok(Spread {
            median: *median,
            low: *low,
            high: *high,
        }),
        _ => Err("no round was run".into()),
    }
}

/// One way to do the work; gets the number of the round, adds what it measures.
pub type Variant<'a> = &'a dyn Fn(usize, &mut Samples) -> Result<()>;

/// Runs all variants in each round.
pub fn run(rounds: usize, variants: &[Variant<'_>]) -> Result<Samples> {
    let mut samples = Samples::default();
    let mut order: Vec<usize> = (0..variants.len()).collect();
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    for round in 0..rounds {
        shuffle(&mut order, &mut state);
        for place in &order {
            variants[*place](round, &mut samples)?;
        }
    }
    Ok(samples)
}

/// Fisher and Yates, with a xorshift generator.
fn shuffle(order: &mut [usize], state: &mut u64) {
    for last in (1..order.len()).rev() {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        order.swap(last, (*state % (last as u64 + 1)) as usize);
    }
}
