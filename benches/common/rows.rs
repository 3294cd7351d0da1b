//! The rows of all benches: about 150 bytes each, with random keys. Each round has keys of its own, since some
//! are luckier than others; they are the same each time the bench is run.

use std::io::{self, Write};

use rusqlite::Params;

/// Rows of most figures.
pub const ROWS: usize = 100_000;

const BODY: &str =
    "some text of a certain length, so that a row takes about one hundred and fifty bytes";

/// One row of table `t`.
pub struct Row {
    pub id: String,
    pub name: String,
    pub n: i64,
    pub body: &'static str,
    pub x: f64,
}

impl Row {
    /// Row number `number` of a round.
    pub fn new(round: usize, number: usize) -> Self {
        Self {
            id: key(round, number),
            name: format!("name {number}"),
            n: number as i64,
            body: BODY,
            x: number as f64 * 1.5,
        }
    }

    /// The same row after an edit of two columns.
    pub fn edited(round: usize, number: usize) -> Self {
        let row = Self::new(round, number);
        Self {
            name: format!("new name {number}"),
            n: row.n + 1,
            ..row
        }
    }

    pub fn values(&self) -> impl Params {
        (&self.id, &self.name, self.n, self.body, self.x)
    }

    /// The row as a backend sends it.
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        write!(
            out,
            r#"{{"id":"{}","name":"{}","n":{},"body":"{}","x":{:?}}}"#,
            self.id, self.name, self.n, self.body, self.x
        )
    }
}

/// The first rows of a round.
pub fn rows(round: usize, count: usize) -> Vec<Row> {
    (0..count).map(|number| Row::new(round, number)).collect()
}

/// The first rows of a round, edited.
pub fn edited(round: usize, count: usize) -> Vec<Row> {
    (0..count)
        .map(|number| Row::edited(round, number))
        .collect()
}

fn key(round: usize, number: usize) -> String {
    let place = ((round as u64) << 32 | number as u64) * 2;
    format!("{:016x}{:016x}", scatter(place), scatter(place + 1))
}

/// SplitMix64: numbers in a row become numbers that look random, no two the same.
fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
