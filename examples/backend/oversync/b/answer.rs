//! What is answered, before it is HTTP.

use super::spelling::Object;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    Json,
    Text,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub content: Content,
    pub body: String,
    /// The methods that a path takes.
    pub allow: Option<&'static str>,
    /// Seconds to wait.
    pub retry_after: Option<i64>,
}

/// What was asked for, or why it is not given.
pub type Answered<T = Answer> = Result<T, Answer>;

impl Answer {
    pub fn json(status: u16, mut body: String) -> Answer {
        body.push('\n');
        Answer {
            status,
            content: Content::Json,
            body,
            allow: None,
            retry_after: None,
        }
    }

    pub fn ok(body: String) -> Answer {
        Answer::json(200, body)
    }

    /// 204.
    pub fn done() -> Answer {
        Answer {
            body: String::new(),
            ..Answer::json(204, String::new())
        }
    }

    pub fn text(status: u16, text: &str) -> Answer {
        Answer {
            content: Content::Text,
            ..Answer::json(status, text.to_string())
        }
    }

    pub fn error(status: u16, error: &str, message: &str) -> Answer {
        Answer::json(status, described(error, message).end())
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// An error to which more members are to be added.
pub fn described(error: &str, message: &str) -> Object {
    Object::new().text("error", error).text("message", message)
}

/// 404 for a path that does not exist.
pub fn no_such_path() -> Answer {
    Answer::text(404, "404 page not found")
}

/// 401, always in text.
pub fn unauthorized(message: &str) -> Answer {
    Answer::text(401, message)
}

/// 400 for a request that is wrong in itself.
pub fn invalid_request(message: &str) -> Answer {
    Answer::error(400, "invalid_request", message)
}

/// A number in the query; None where it is absent or empty.
pub fn query_number(query: &[(String, String)], name: &str, error: &str) -> Answered<Option<i64>> {
    let found = query.iter().find(|(known, _)| known == name);
    let Some((_, text)) = found.filter(|(_, text)| !text.is_empty()) else {
        return Ok(None);
    };
    let number = text.parse();
    let wrong = |_| Answer::error(400, error, &format!("{name} must be an integer"));
    number.map(Some).map_err(wrong)
}

/// The same for a number that is 0 or more.
pub fn query_cursor(query: &[(String, String)], name: &str, error: &str) -> Answered<Option<i64>> {
    let number = query_number(query, name, error)?;
    if number.is_some_and(|number| number < 0) {
        return Err(Answer::error(400, error, &format!("{name} must be >= 0")));
    }
    Ok(number)
}
