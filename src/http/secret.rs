//! A token: bound to one origin, shown nowhere.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::origin::Origin;
use crate::ground::percent_encode;

/// Longest secret, bytes: servers refuse headers beyond 8 to 64 KiB.
const LONGEST: usize = 32 << 10;

/// A header value that may be sent to one origin only. `Debug` shows the origin, never the value.
#[derive(Clone)]
pub struct Secret {
    form: Form,
    value: Arc<str>,
    origin: Origin,
    /// Where tokens may go that are got with it, besides its own origin.
    beyond: Arc<[Origin]>,
    /// When it was set; none: nobody did, it is in the environment.
    set: Option<Instant>,
}

/// How a secret is written.
#[derive(Clone, Copy)]
enum Form {
    Plain,
    Bearer,
    /// `USER:PASSWORD`, encoded.
    Basic,
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
            form: Form::Plain,
            value: value.into(),
            origin,
            beyond: Arc::new([]),
            set: None,
        })
    }

    /// The same secret sent as `Bearer VALUE`, the form `Authorization` usually has.
    pub fn bearer(self) -> Secret {
        Secret {
            form: Form::Bearer,
            ..self
        }
    }

    /// The same secret, `USER:PASSWORD`, sent as `Basic …`.
    pub fn basic(self) -> Secret {
        Secret {
            form: Form::Basic,
            ..self
        }
    }

    /// The same secret, with origins that tokens may go to which are got with it.
    pub(super) fn reaching(self, beyond: Vec<Origin>) -> Secret {
        Secret {
            beyond: beyond.into(),
            ..self
        }
    }

    /// The same secret, set now.
    pub(super) fn set_now(self) -> Secret {
        Secret {
            set: Some(Instant::now()),
            ..self
        }
    }

    /// Whether it was set before something was got.
    pub fn is_older(&self, got: Instant) -> bool {
        self.set.is_none_or(|set| set <= got)
    }

    /// Whether it has that value.
    pub fn is(&self, value: &str) -> bool {
        *self.value == *value
    }

    /// Another value for the same places.
    pub(super) fn replaced(&self, value: &str) -> Result<Secret, SecretError> {
        let new = Secret::new(value, self.origin.clone())?;
        Ok(Secret {
            beyond: Arc::clone(&self.beyond),
            ..new
        })
    }

    /// Whether a token that is got with it may be sent to an origin.
    pub(super) fn reaches(&self, origin: &Origin) -> bool {
        self.origin == *origin || self.beyond.contains(origin)
    }

    /// The only origin that this secret is ever sent to.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The header's value, for a program that sends the request itself and has given us the secret.
    pub fn for_the_program(&self) -> String {
        self.header_text()
    }

    /// The header's value. Else it stays in this room.
    pub(super) fn header_text(&self) -> String {
        match self.form {
            Form::Plain => self.value.to_string(),
            Form::Bearer => format!("Bearer {}", self.value),
            Form::Basic => format!("Basic {}", STANDARD.encode(self.value.as_bytes())),
        }
    }

    /// The forms in which it can come back: as it is, in an address, encoded.
    pub(super) fn forms(&self) -> Vec<Arc<str>> {
        let mut encoded = String::new();
        percent_encode(&self.value, &mut encoded);
        let mut forms = vec![Arc::clone(&self.value)];
        if encoded != *self.value {
            forms.push(encoded.into());
        }
        if let Form::Basic = self.form {
            forms.push(STANDARD.encode(self.value.as_bytes()).into());
            if let Some((_, password)) = self.value.split_once(':') {
                forms.push(password.into());
            }
        }
        forms
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
    /// A token is to be got by logging in first.
    NotLoggedIn,
    /// A token that would be got with the secret is for another origin, which the secret was not set for.
    Reach {
        /// The name asked for.
        name: String,
        /// Where the token was to be sent.
        wanted: Origin,
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
            SecretError::NotLoggedIn => {
                f.write_str("there is no token yet; the next sync logs in for one")
            }
            SecretError::Reach { name, wanted } => write!(
                f,
                "a token got with the secret \"{name}\" is not sent to {wanted}; if it is meant for there, name that origin too, \
                 behind a space, in the third argument of sync_secret"
            ),
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

/// Whether a text can be sent as a token.
///
/// # Errors
/// What is wrong with it.
pub fn check_token(value: &str) -> Result<(), SecretError> {
    let nowhere = Origin::parse("https://localhost").map_err(SecretError::Origin)?;
    Secret::new(value, nowhere).map(drop)
}

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
