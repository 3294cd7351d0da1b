//! What the bench is called with: `cargo bench --bench speed -- [--only GROUP] [--rounds N] [--json FILE]`.

use std::path::PathBuf;

use super::Result;

pub struct Arguments {
    /// Only this group of figures.
    pub only: Option<String>,
    /// Rounds per figure; the median counts.
    pub rounds: usize,
    /// Write the figures here, too.
    pub json: Option<PathBuf>,
}

impl Arguments {
    /// Reads the command line.
    pub fn read() -> Result<Self> {
        let mut read = Self {
            only: None,
            rounds: 7,
            json: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(flag) = arguments.next() {
            if flag == "--bench" {
                continue; // cargo adds it
            }
            let value = arguments
                .next()
                .ok_or_else(|| format!("{flag}: a value must follow"))?;
            match flag.as_str() {
                "--only" => read.only = Some(value),
                "--rounds" => read.rounds = value.parse()?,
                "--json" => read.json = Some(value.into()),
                _ => return Err(format!("unknown option {flag}").into()),
            }
        }
        if read.rounds == 0 {
            return Err("--rounds 0 measures nothing".into());
        }
        Ok(read)
    }

    pub fn wants(&self, group: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == group)
    }
}

/// The library under test, from the environment; `make bench` sets it.
pub fn library() -> Result<PathBuf> {
    let path = std::env::var_os("SYNCSCOPE_LIBRARY")
        .ok_or("SYNCSCOPE_LIBRARY names no library; call make bench")?;
    Ok(path.into())
}
