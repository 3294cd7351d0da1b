//! Blacking secrets out of what ends up in messages.

use std::fmt;
use std::sync::Arc;

use super::secret::Secret;

/// Shortest text that is blacked out; anything shorter would black out ordinary words.
const SHORTEST_REDACTED: usize = 4;

/// Letters of a secret's beginning that are blacked out even if the rest is missing: what is shown of a long
/// text may have been cut inside a secret.
const BEGINNING: usize = 6;

/// Blacks secrets out of texts that a server or the system has written.
#[derive(Clone, Default)]
pub struct Redactor {
    values: Vec<Arc<str>>,
}

impl Redactor {
    /// Knows the values of these secrets.
    pub(super) fn new<'a>(secrets: impl Iterator<Item = &'a Secret>) -> Redactor {
        let mut values: Vec<Arc<str>> = secrets
            .flat_map(Secret::forms)
            .filter(|v| v.len() >= SHORTEST_REDACTED)
            .collect();
        values.sort_by_key(|v| std::cmp::Reverse(v.len()));
        Redactor { values }
    }

    /// The text with every secret replaced, and everything that begins like one.
    pub fn clean(&self, text: &str) -> String {
        self.values
            .iter()
            .fold(text.to_owned(), |text, value| without(&text, value))
    }

    /// Length of the longest known secret, bytes.
    pub(super) fn longest(&self) -> usize {
        self.values.iter().map(|v| v.len()).max().unwrap_or(0)
    }
}

fn without(text: &str, secret: &str) -> String {
    let beginning: String = secret.chars().take(BEGINNING).collect();
    let mut cleaned = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(&beginning) {
        cleaned.push_str(&rest[..at]);
        cleaned.push_str("[secret]");
        let alike = rest[at..].chars().zip(secret.chars());
        let length: usize = alike
            .take_while(|(one, other)| one == other)
            .map(|(one, _)| one.len_utf8())
            .sum();
        rest = &rest[at + length..];
    }
    cleaned + rest
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} secrets)", self.values.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Origin;
    use super::*;

    #[test]
    fn every_secret_goes_the_longest_first() {
        let secret = |value| Secret::new(value, Origin::parse("https://h").unwrap()).unwrap();
        let secrets = [secret("hunter2"), secret("hunter2-token"), secret("abc")];
        let redactor = Redactor::new(secrets.iter());
        assert_eq!(
            redactor.clean("hunter2-token, hunter2, abc"),
            "[secret], [secret], abc"
        );
        assert_eq!(
            redactor.clean("Bearer hunter2-to… hunt hunter2-hunter2-token"),
            "Bearer [secret]… hunt [secret][secret]"
        );
        assert_eq!(redactor.longest(), 13);
        assert!(!format!("{redactor:?}").contains("hunter2"));
    }
}
