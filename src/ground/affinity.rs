//! SQLite's rules of affinity: <https://sqlite.org/datatype3.html#determination_of_column_affinity>.

/// What SQLite makes of a value that is written to a column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Affinity {
    Text,
    Numeric,
    Integer,
    Real,
    /// Values stay as they are.
    #[default]
    None,
}

impl Affinity {
    /// `declared` in upper case; `strict`: of a STRICT table, where ANY keeps what comes.
    pub fn of(declared: &str, strict: bool) -> Self {
        let has = |part: &str| declared.contains(part);
        if has("INT") {
            Self::Integer
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            Self::Text
        } else if has("BLOB") || declared.is_empty() || (strict && declared == "ANY") {
            Self::None
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            Self::Real
        } else {
            Self::Numeric
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_declaration() {
        use Affinity::*;
        for (declared, strict, affinity) in [
            ("INTEGER", false, Integer),
            ("INT", true, Integer),
            ("BIGINT", false, Integer),
            ("CHARINT", false, Integer),
            ("FLOATING POINT", false, Integer),
            ("NUMERIC", false, Numeric),
            ("DECIMAL(10,5)", false, Numeric),
            ("UUID", false, Numeric),
            ("STRING", false, Numeric),
            ("ANY", false, Numeric),
            ("ANY", true, None),
            ("TEXT", true, Text),
            ("VARCHAR(36)", false, Text),
            ("CLOB", false, Text),
            ("", false, None),
            ("BLOB", false, None),
            ("BLOB", true, None),
            ("REAL", true, Real),
            ("DOUBLE PRECISION", false, Real),
            ("FLOAT", false, Real),
        ] {
            assert_eq!(Affinity::of(declared, strict), affinity, "{declared}");
        }
    }
}
