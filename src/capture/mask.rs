//! Reads back from the text of an update trigger which bit it gives to which column.
//!
//! SQLite rewrites that text when a column is renamed, and quotes names as it likes. The rest is as
//! `triggers.rs` wrote it: each column stands as `OLD.name` in brackets, followed by `<<` and the bit.

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
