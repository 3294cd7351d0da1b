//! The masks in the text of triggers: how they are written, and which bit an update trigger gives to which column.
//!
//! SQLite rewrites that text when a column is renamed, and quotes names as it likes. The rest is as
//! it was written: each column stands as `OLD.name` in brackets, followed by `<<` and the bit.

/// The one mask that bits make.
pub fn join(bits: &[String]) -> String {
    if bits.is_empty() {
        return "0".into();
    }
    let bits: Vec<String> = bits.iter().map(|bit| format!("({bit})")).collect();
    bits.join(" | ")
}

/// True when a column has another value in `row` than `value`.
pub fn differs(row: &str, value: &str, column: &str) -> String {
    format!("{row}.{column} IS NOT {value} COLLATE BINARY")
}

/// True while the table is defined as the triggers of number `id` know it.
pub fn is_as_recorded(id: i64) -> String {
    format!(
        "EXISTS (SELECT 1 FROM _syncTable AS k JOIN sqlite_master AS m ON m.type = 'table' \
         AND m.name = k.name AND m.sql = k.definition WHERE k.id = {id})"
    )
}

/// The columns of a mask: bit in the group, and name.
pub fn columns(sql: &str) -> Vec<(usize, String)> {
    let tokens = tokens(sql);
    let mut found = Vec::new();
    for (place, token) in tokens.iter().enumerate() {
        let Some(Token::Number(bit)) = tokens.get(place + 1) else {
            continue;
        };
        if *token == Token::Shift
            && let Some(name) = old_name(&tokens[..place])
        {
            found.push((*bit, name));
        }
    }
    found
}

/// Whether a text begins as an ALTER TABLE statement, whatever comments are before.
pub fn is_alter(sql: &str) -> bool {
    let words = ["alter", "table"].iter().zip(tokens(sql));
    let same = words.filter(
        |(word, token)| matches!(token, Token::Word(found) if found.eq_ignore_ascii_case(word)),
    );
    same.count() == 2
}

/// Whether a text is an ALTER TABLE statement that drops something.
pub fn is_drop(sql: &str) -> bool {
    let tokens = tokens(sql);
    let verb = match tokens.get(3) {
        // ALTER TABLE schema . name
        Some(Token::Symbol('.')) => tokens.get(5),
        verb => verb,
    };
    matches!(verb, Some(Token::Word(word)) if word.eq_ignore_ascii_case("drop"))
}

/// The first `OLD.name` between the brackets that end here.
fn old_name(tokens: &[Token]) -> Option<String> {
    let mut depth = 0;
    let open = tokens.iter().rposition(|token| {
        match token {
            Token::Symbol(')') => depth += 1,
            Token::Symbol('(') => depth -= 1,
            _ => {}
        }
        depth == 0
    })?;
    tokens[open..].windows(3).find_map(|three| match three {
        [Token::Word(old), Token::Symbol('.'), Token::Word(name)]
            if old.eq_ignore_ascii_case("old") =>
        {
            Some(name.clone())
        }
        _ => None,
    })
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// A name, quoted or not.
    Word(String),
    Number(usize),
    Shift,
    Symbol(char),
}

fn tokens(sql: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => {
                let end = rest[2..].find("*/");
                end.map_or(rest.len(), |end| end + 4)
            }
            '"' | '`' | '\'' | '[' => {
                let (name, length) = quoted(rest, first);
                tokens.push(Token::Word(name));
                length
            }
            _ if rest.starts_with("<<") => {
                tokens.push(Token::Shift);
                2
            }
            _ if is_word(first) => {
                let word = rest.split(|letter| !is_word(letter)).next().unwrap_or(rest);
                tokens.push(match word.parse() {
                    Ok(number) => Token::Number(number),
                    Err(_) => Token::Word(word.to_owned()),
                });
                word.len()
            }
            _ if first.is_whitespace() => first.len_utf8(),
            _ => {
                tokens.push(Token::Symbol(first));
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    tokens
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '$' || !letter.is_ascii()
}

/// A quoted name at the beginning of `text`, and the length that it has there.
fn quoted(text: &str, open: char) -> (String, usize) {
    let close = if open == '[' { ']' } else { open };
    let mut name = String::new();
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        if letter != close {
            name.push(letter);
            continue;
        }
        let is_doubled = open != '[' && letters.peek().is_some_and(|(_, next)| *next == close);
        if !is_doubled {
            return (name, at + close.len_utf8());
        }
        name.push(letter);
        letters.next();
    }
    (name, text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_however_they_are_quoted() {
        let sql = r#"CREATE TRIGGER "x" AFTER UPDATE ON "t" WHEN (OLD."id" IS NEW."id" COLLATE BINARY)
            AND (OLD."a" IS NOT NEW."a" COLLATE BINARY) BEGIN INSERT INTO _syncChange VALUES (1, 2,
            ((0 AND OLD.id IS NULL) << 0) | ((OLD."a""<< 7" IS NOT NEW."a""<< 7" COLLATE BINARY) << 1)
            | ((OLD.plain IS NOT NEW.plain COLLATE BINARY) << 2) | ((OLD.[b )] IS NOT NEW.[b )]) << 13)
            | ((OLD.`c``d` IS NOT NEW.`c``d`)<<61), NULL, NEW."id"); END"#;
        let expected = [
            (0, "id"),
            (1, "a\"<< 7"),
            (2, "plain"),
            (13, "b )"),
            (61, "c`d"),
        ];
        assert_eq!(
            columns(sql),
            expected.map(|(bit, name)| (bit, name.to_owned()))
        );
    }

    #[test]
    fn what_drops_a_column_is_told_from_what_is_only_called_so() {
        for (sql, drops) in [
            ("ALTER TABLE t DROP COLUMN a", true),
            ("alter table \"my t\".[drop] -- x\n /* y */ drop a", true),
            ("ALTER TABLE \"drop\" ADD drop_it", false),
            ("ALTER TABLE t RENAME \"drop\" TO x", false),
            ("", false),
        ] {
            assert_eq!(is_drop(sql), drops, "{sql}");
        }
    }

    #[test]
    fn anything_else_has_no_columns() {
        for sql in [
            "",
            "<<",
            "<< 1",
            ") << 1",
            "(OLD.) << 1",
            "(OLD.\"a",
            "1 << 2 << 3",
            "((OLD.a) << ",
        ] {
            assert_eq!(columns(sql), [], "{sql}");
        }
    }
}
