//! Places for secrets in a request: `{secret:NAME}`, and `{basic:USER:NAME}` for both in one encoded text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::ground::percent_encode;

/// How what is put in is escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escape {
    No,
    /// Within a text of JSON.
    Json,
    /// In a form.
    Form,
}

impl Escape {
    /// By the body that it is for.
    pub fn of(body: &str) -> Self {
        match body.trim_start().starts_with(['{', '['])
            && !body.trim_start().starts_with("{secret:")
        {
            true => Self::Json,
            false => Self::Form,
        }
    }

    fn escaped(self, secret: &str) -> String {
        match self {
            Self::No => secret.to_owned(),
            Self::Json => {
                let quoted = serde_json::Value::from(secret).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
            Self::Form => {
                let mut encoded = String::new();
                percent_encode(secret, &mut encoded);
                encoded
            }
        }
    }
}

/// A place: the name of its secret, and the user that stands before it.
struct Place<'t> {
    name: &'t str,
    user: Option<&'t str>,
}

fn next(text: &str) -> Option<(&str, Place<'_>, &str)> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find('{')?;
        let inside = &text[at + 1..];
        let end = inside.find('}')?;
        let (inside, behind) = (&inside[..end], &inside[end + 1..]);
        if let Some(name) = inside.strip_prefix("secret:") {
            return Some((&text[..at], Place { name, user: None }, behind));
        }
        if let Some((user, name)) = inside
            .strip_prefix("basic:")
            .and_then(|rest| rest.split_once(':'))
        {
            let user = Some(user);
            return Some((&text[..at], Place { name, user }, behind));
        }
        from = at + 1;
    }
}

/// The names of the secrets that a text has places for.
pub fn secrets_in(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some((_, place, behind)) = next(rest) {
        names.push(place.name);
        rest = behind;
    }
    names
}

/// The text with its secrets.
pub(super) fn filled<E>(
    text: &str,
    escape: Escape,
    mut secret: impl FnMut(&str) -> Result<String, E>,
) -> Result<String, E> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, place, behind)) = next(rest) {
        out.push_str(before);
        let value = secret(place.name)?;
        out.push_str(&match place.user {
            None => escape.escaped(&value),
            Some(user) => {
                let mut encoded = String::new();
                percent_encode(&value, &mut encoded);
                STANDARD.encode(format!("{user}:{encoded}"))
            }
        });
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> String {
        let secret = |name: &str| Ok::<_, ()>(format!(r#"{name}"&"#));
        filled(text, Escape::of(text), secret).unwrap()
    }

    #[test]
    fn a_secret_is_escaped_as_the_body_wants_it() {
        assert_eq!(
            with(r#"{"t":"{secret:a}","n":{"x":{}}}"#),
            r#"{"t":"a\"&","n":{"x":{}}}"#
        );
        assert_eq!(
            with("t={secret:a}&u={secret:b c}"),
            "t=a%22%26&u=b%20c%22%26"
        );
        assert_eq!(with("{secret:a}"), "a%22%26");
        assert_eq!(
            with("Basic {basic:me:a}"),
            format!("Basic {}", STANDARD.encode("me:a%22%26"))
        );
        assert_eq!(secrets_in("{x}{secret:a}{basic:u:b}{"), ["a", "b"]);
    }
}
