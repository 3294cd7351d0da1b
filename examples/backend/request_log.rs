//! What clients sent, for tests to look at.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;

const MOST_REQUESTS: usize = 4096;
const MOST_BODY: usize = 1 << 20;

/// One request as it came in.
#[derive(Clone, Debug)]
pub struct SeenRequest {
    pub method: String,
    /// Path with the query, as sent.
    pub path: String,
    /// Names in lower case, in the order received.
    pub headers: Vec<(String, String)>,
    /// The first MiB of the body.
    pub body: String,
    pub body_bytes: usize,
}

impl SeenRequest {
    pub fn new(method: &str, path: &str, headers: &HeaderMap, body: &[u8]) -> SeenRequest {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_string(), value)
            })
            .collect();
        SeenRequest {
            method: method.to_string(),
            path: path.to_string(),
            headers,
            body: String::from_utf8_lossy(&body[..body.len().min(MOST_BODY)]).into_owned(),
            body_bytes: body.len(),
        }
    }

    /// Value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The latest requests, oldest first.
pub struct RequestLog {
    is_on: bool,
    requests: Mutex<VecDeque<SeenRequest>>,
}

impl RequestLog {
    pub fn new(is_on: bool) -> RequestLog {
        RequestLog {
            is_on,
            requests: Mutex::new(VecDeque::new()),
        }
    }

    /// Keeps what `request` makes; it is not called when the log is off.
    pub fn add(&self, request: impl FnOnce() -> SeenRequest) {
        if !self.is_on {
            return;
        }
        let request = request();
        let mut requests = self.lock();
        if requests.len() == MOST_REQUESTS {
            requests.pop_front();
        }
        requests.push_back(request);
    }

    pub fn all(&self) -> Vec<SeenRequest> {
        self.lock().iter().cloned().collect()
    }

    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<SeenRequest>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
