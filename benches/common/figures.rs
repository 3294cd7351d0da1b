//! The figures: printed as a table, written as JSON for the documentation.

use std::path::Path;

use serde_json::{Value, json};

use super::Result;
use super::machine;
use super::rounds::{Samples, Spread};

/// What a figure is counted in.
#[derive(Clone, Copy, PartialEq)]
pub enum Unit {
    /// Times what plain SQLite takes.
    Ratio,
    Milliseconds,
    Mebibytes,
}

/// One line of the table.
pub struct Figure {
    pub group: &'static str,
    pub name: String,
    /// What plain SQLite took and what we took, in milliseconds (or MiB, where `unit` says so).
    pub plain: Option<f64>,
    pub ours: Option<f64>,
    pub unit: Unit,
    pub value: Spread,
    /// At most this.
    pub goal: Option<f64>,
}

impl Figure {
    /// Our time over plain SQLite's, both measured in seconds.
    pub fn ratio(
        group: &'static str,
        name: impl Into<String>,
        samples: &Samples,
        (ours, plain): (&str, &str),
        goal: Option<f64>,
    ) -> Result<Self> {
        Ok(Self {
            group,
            name: name.into(),
            plain: Some(samples.median(plain)? * 1e3),
            ours: Some(samples.median(ours)? * 1e3),
            unit: Unit::Ratio,
            value: samples.ratio(ours, plain)?,
            goal,
        })
    }

    /// A value that stands by itself.
    pub fn alone(
        group: &'static str,
        name: impl Into<String>,
        unit: Unit,
        value: Spread,
        goal: Option<f64>,
    ) -> Self {
        Self {
            group,
            name: name.into(),
            plain: None,
            ours: None,
            unit,
            value,
            goal,
        }
    }

    fn to_json(&self) -> Value {
        let unit = match self.unit {
            Unit::Ratio => "ratio",
            Unit::Milliseconds => "ms",
            Unit::Mebibytes => "MiB",
        };
        json!({"group": self.group, "name": self.name, "plain": self.plain, "ours": self.ours,
            "unit": unit, "value": self.value.median, "low": self.value.low, "high": self.value.high,
            "goal": self.goal})
    }

    fn print(&self) {
        let short = |value: Option<f64>| match value {
            None => String::new(),
            Some(value) if value < 10.0 => format!("{value:.3}"),
            Some(value) => format!("{value:.1}"),
        };
        let unit = match self.unit {
            Unit::Ratio => "×",
            Unit::Milliseconds => " ms",
            Unit::Mebibytes => " MiB",
        };
        let goal = match self.goal {
            None => String::new(),
            // As good as the two decimals shown.
            Some(goal) if (self.value.median * 100.0).round() <= goal * 100.0 => {
                format!("≤ {goal}{unit}")
            }
            Some(goal) => format!("≤ {goal}{unit}  missed"),
        };
        println!(
            "  {:44} {:>9} {:>9}  {:>7.2}{unit:4} {:>6.2} to {:<6.2} {goal}",
            self.name,
            short(self.plain),
            short(self.ours),
            self.value.median,
            self.value.low,
            self.value.high,
        );
    }
}

/// Prints the figures of one group.
pub fn print(figures: &[Figure]) {
    let Some(first) = figures.first() else {
        return;
    };
    println!(
        "\n{:46} {:>9} {:>9}  {:>8}    {:>6}    {:6} goal",
        first.group, "plain ms", "ours ms", "figure", "lowest", "highest"
    );
    for figure in figures {
        figure.print();
    }
}

/// Writes all figures, and what they were measured on.
pub fn write(file: &Path, rounds: usize, figures: &[Figure]) -> Result<()> {
    let figures: Vec<Value> = figures.iter().map(Figure::to_json).collect();
    let all = json!({"machine": machine::facts()?, "rounds": rounds, "figures": figures});
    std::fs::write(file, format!("{all:#}\n"))?;
    Ok(())
}
