//! A token: bound to one origin, shown nowhere.

use std::fmt;
use std::sync::Arc;

use super::origin::Origin;

/// Longest secret, bytes: servers refuse headers beyond 8 to 64 KiB.
const LONGEST: usize = 32 << 10;

/// A header value that may be sent to one origin only. `Debug` shows the origin, never the value.
#[derive(Clone)]
pub struct Secret {
    prefix: &'static str,
    value: Arc<str>,
    origin: Origin,
}

impl Secret {
    /// Binds a value to an origin. Refuses what is not allowed in a header: empty, longer than 32 KiB,
    /// anything but printable ASCII.
    pub fn new(value: &str, origin: Origin) -> Result<Secret, SecretError> {
        if value.is_empty() || value.len() > LONGEST {
            return Err(SecretError::Value(
                "it must have 1 to 32768 characters".into(),
            ));
        }
        if !value.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            return Err(SecretError::Value(
                "it has a line break or another character that a header can't carry".into(),
            ));
        }
        if value.trim() != value {
            return Err(SecretError::Value("it begins or ends with a space".into()));
        }
        Ok(Secret {
            prefix: "",
            value: value.into(),
            origin,
        })
    }

    /// The same secret sent as `Bearer VALUE`, the form `Authorization` usually has.
    pub fn bearer(self) -> Secret {
        Secret {
            prefix: "Bearer ",
            ..self
        }
    }

    /// The only origin that this secret is ever sent to.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The bare value, for the redactor.
    pub(super) fn value(&self) -> &Arc<str> {
        &self.value
    }

    /// The header's value, for a program that sends the request itself and has given us the secret.
    pub fn for_the_program(&self) -> String {
        self.header_text()
    }

    /// The header's value. Else it stays in this room.
    pub(super) fn header_text(&self) -> String {
        format!("{}{}", self.prefix, self.value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret(for {})", self.origin)
    }
}

/// Why a secret can't be kept or used. No variant holds the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretError {
    /// The name is empty, longer than 128 bytes or has a control character.
    Name,
    /// The value is not allowed in a header; the text says why.
    Value(String),
    /// The origin is missing or no `scheme://host[:port]`; the text says why.
    Origin(String),
    /// The URL that the secret is wanted for can't be used.
    Url(String),
    /// Nobody has set a secret of that name.
    Unknown {
        /// The name asked for.
        name: String,
    },
    /// The secret belongs to another origin than the URL's: a configuration, perhaps a stranger's, asks to
    /// send a token where it does not belong.
    OtherOrigin {
        /// The name asked for.
        name: String,
        /// Where the secret may go.
        bound: Origin,
        /// Where it was to be sent.
        wanted: Origin,
    },
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretError::Name => {
                f.write_str("a secret's name has 1 to 128 bytes and no control characters")
            }
            SecretError::Value(why) => write!(f, "the secret's value can't be used: {why}"),
            SecretError::Origin(why) => write!(f, "the secret's origin can't be used: {why}"),
            SecretError::Url(why) => write!(f, "the URL can't be used: {why}"),
            SecretError::Unknown { name } => {
                let variable = variable(name);
                write!(
                    f,
                    "no secret \"{name}\"; set it with sync_secret(name, value, origin), or set {variable} and \
                     {variable}_ORIGIN in the environment"
                )
            }
            SecretError::OtherOrigin {
                name,
                bound,
                wanted,
            } => write!(
                f,
                "the secret \"{name}\" belongs to {bound} and is not sent to {wanted}; correct the URL, or set a \
                 secret for that origin"
            ),
        }
    }
}

impl std::error::Error for SecretError {}

/// The environment variable that may hold the secret of that name.
pub(super) fn variable(name: &str) -> String {
    let name: String = name
        .chars()
        .map(|c| c.to_ascii_uppercase())
        .map(|c| {
            if c.is_ascii_uppercase() || c.is_ascii_digit() {
                c
            } else {
                '_'
            }
        })
        .collect();
    format!("SYNCSCOPE_SECRET_{name}")
}
