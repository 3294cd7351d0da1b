//! What the trials need of a server: a table of their own, reached by devices through a relay, and past it.

use serde_json::Value;
use support::client::agent;

use crate::recipe::Recipe;
use crate::relay::Relay;

pub trait Server {
    /// The recipe, with the address of the relay, the names of the trial and further changes.
    fn recipe(&self, changes: &[(&str, &str)]) -> Recipe;
    /// The name that the recipe gives to the provider and its secret.
    fn provider(&self) -> &'static str;
    fn relay(&self) -> &Relay;
    /// Makes the row with this number, or makes it what is given.
    fn put(&self, number: usize, title: &str, price: f64);
    fn remove(&self, number: usize);
    fn rows(&self) -> Vec<Value>;

    /// `title=price` of all rows, in order.
    fn books(&self) -> Vec<String> {
        let rows = self.rows();
        let mut books: Vec<String> = rows
            .iter()
            .map(|row| {
                let title = row["title"].as_str().unwrap_or("?");
                format!("{title}={}", row["price"].as_f64().unwrap_or(-1.0))
            })
            .collect();
        books.sort();
        books
    }
}

/// A request past the relay; status and body, null when there is none.
pub fn call(method: &str, url: &str, header: (&str, &str), body: Option<&Value>) -> (u16, Value) {
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(url)
        .header(header.0, header.1)
        .header("Content-Type", "application/json");
    let text = body.map(Value::to_string).unwrap_or_default();
    let answer = agent().run(request.body(text).expect("a request"));
    let mut answer = answer.unwrap_or_else(|error| panic!("{method} {url}: {error}"));
    let status = answer.status().as_u16();
    let text = answer.body_mut().read_to_string().expect("a body");
    (status, serde_json::from_str(&text).unwrap_or_default())
}

/// The same; it must be done.
#[track_caller]
pub fn done(method: &str, url: &str, header: (&str, &str), body: Option<&Value>) -> Value {
    let (status, said) = call(method, url, header, body);
    assert!(
        (200..300).contains(&status),
        "{method} {url}: {status} {said}"
    );
    said
}
