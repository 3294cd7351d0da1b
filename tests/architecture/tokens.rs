//! Rust code as a list of words, signs and literals, without its comments.

/// A part of the code.
#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// A name, a keyword or a number.
    Word(String),
    /// What stands between the quotes of a text, escapes as they are written.
    Literal(String),
    Sign(char),
    /// `::`
    Path,
}

/// Reads a file. Comments are left out; a lifetime is a word.
pub fn read(text: &str) -> Vec<Token> {
    let code: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < code.len() {
        let rest = &code[at..];
        let length = match rest {
            ['/', '/', ..] => until(rest, &['\n']).unwrap_or(rest.len()),
            ['/', '*', ..] => block_comment(rest),
            [':', ':', ..] => {
                tokens.push(Token::Path);
                2
            }
            ['"', ..] => text_literal(rest, &mut tokens),
            ['\'', ..] => quoted_or_lifetime(rest),
            [letter, ..] if letter.is_alphanumeric() || *letter == '_' => word(rest, &mut tokens),
            [letter, ..] => {
                if !letter.is_whitespace() {
                    tokens.push(Token::Sign(*letter));
                }
                1
            }
            [] => break,
        };
        at += length;
    }
    tokens
}

/// Characters up to and with `end`.
fn until(text: &[char], end: &[char]) -> Option<usize> {
    let found = text.windows(end.len()).position(|part| part == end)?;
    Some(found + end.len())
}

fn block_comment(text: &[char]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at + 1 < text.len() {
        match (text[at], text[at + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn text_literal(text: &[char], tokens: &mut Vec<Token>) -> usize {
    let mut at = 1;
    while at < text.len() && text[at] != '"' {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    let end = at.min(text.len());
    tokens.push(Token::Literal(text[1..end].iter().collect()));
    end + 1
}

/// `'a'`, `'\n'`, or the mark of a lifetime.
fn quoted_or_lifetime(text: &[char]) -> usize {
    match text {
        ['\'', '\\', _, rest @ ..] => 3 + until(rest, &['\'']).unwrap_or(rest.len()),
        ['\'', _, '\'', ..] => 3,
        _ => 1,
    }
}

/// A word, or the text behind a prefix: `r"…"`, `r#"…"#`, `b"…"`, `c"…"`.
fn word(text: &[char], tokens: &mut Vec<Token>) -> usize {
    let end = text
        .iter()
        .position(|letter| !letter.is_alphanumeric() && *letter != '_')
        .unwrap_or(text.len());
    let name: String = text[..end].iter().collect();
    let raw = ["r", "br", "cr"].contains(&name.as_str());
    let hashes = text[end..]
        .iter()
        .take_while(|letter| **letter == '#')
        .count();
    match text.get(end + hashes) {
        Some('"') if raw => {
            let begin = end + hashes + 1;
            let close: Vec<char> = format!("\"{}", "#".repeat(hashes)).chars().collect();
            let length = until(&text[begin..], &close).unwrap_or(text.len() - begin);
            let inside = &text[begin..(begin + length).saturating_sub(close.len())];
            tokens.push(Token::Literal(inside.iter().collect()));
            begin + length
        }
        Some('"') if hashes == 0 && ["b", "c"].contains(&name.as_str()) => {
            end + text_literal(&text[end..], tokens)
        }
        _ => {
            tokens.push(Token::Word(name));
            end
        }
    }
}

/// The code without what follows `#[cfg(test)]`.
pub fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let mark = read("#[cfg(test)]");
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at..].starts_with(&mark) {
            at += mark.len();
            at += item(&tokens[at..]);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Length of an item: up to its `;`, or to the bracket that closes its body.
fn item(tokens: &[Token]) -> usize {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign('{' | '(' | '[') => depth += 1,
            Token::Sign(')' | ']') => depth = depth.saturating_sub(1),
            Token::Sign('}') if depth <= 1 => return at + 1,
            Token::Sign('}') => depth -= 1,
            Token::Sign(';') if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}
