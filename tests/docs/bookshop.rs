//! A shop of five books, as APIs of several shapes give them out: what docs/rest.md asks. It never changes.
//!
//! | path | what it shows |
//! |---|---|
//! | `/books` | all in one answer, or those of a `genre`; with an ETag |
//! | `/pages`, `/links`, `/cursor`, `/after`, `/odata/Books` | two at a time, each with another way to the next page |
//! | `/changes` | those changed at `since` or later, with a mark on the one that is gone |
//! | `/repos/octo/demo/issues` | three issues in pages, behind a Link header |
//! | `/books.csv`, `/graphql` | the same in another form |
//! | `/empty` | what some APIs say when a token has expired |

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};

use serde_json::{Value, json};
use support::{Listener, PATIENCE, json_answer, status_answer};

pub struct Bookshop {
    listener: Listener,
}

impl Bookshop {
    pub fn start() -> Bookshop {
        let listener = Listener::start(|_, stream| {
            // The client may go when it likes.
            let _ = serve(stream);
        });
        Bookshop { listener }
    }

    pub fn origin(&self) -> String {
        self.listener.origin()
    }
}

struct Request {
    path: String,
    query: BTreeMap<String, String>,
    /// The header If-None-Match.
    known: String,
    body: String,
}

impl Request {
    fn number(&self, name: &str, usual: usize) -> usize {
        let given = self.query.get(name);
        given.and_then(|text| text.parse().ok()).unwrap_or(usual)
    }

    fn text(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let target = line.split_ascii_whitespace().nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut request = Request {
        path: path.to_owned(),
        query: pairs
            .map(|(name, value)| (decoded(name), decoded(value)))
            .collect(),
        known: String::new(),
        body: String::new(),
    };
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "if-none-match" => request.known = value.trim().to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    request.body = String::from_utf8_lossy(&body).into_owned();
    stream.write_all(&answer(&request))?;
    stream.shutdown(Shutdown::Write)?;
    let _ = reader.read_to_end(&mut Vec::new());
    Ok(())
}

/// Without `%3A` and the like.
fn decoded(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let (code, rest) = piece.split_at(2.min(piece.len()));
        bytes.extend(u8::from_str_radix(code, 16));
        bytes.extend(rest.bytes());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn books() -> Vec<Value> {
    [
        (1, "Emma", "novel", 9.5, "Jane Austen"),
        (2, "Walden", "essay", 7.0, "Henry David Thoreau"),
        (3, "Dracula", "novel", 8.25, "Bram Stoker"),
        (4, "Middlemarch", "novel", 12.0, "George Eliot"),
        (5, "Nature", "essay", 4.5, "Ralph Waldo Emerson"),
    ]
    .into_iter()
    .map(|(id, title, genre, price, author)| {
        json!({
            "id": id, "title": title, "genre": genre, "price": price, "author": {"name": author},
            "updated_at": format!("2026-03-0{id}T08:00:00Z"),
        })
    })
    .collect()
}

fn answer(request: &Request) -> Vec<u8> {
    let all = books();
    let some = |from: usize, count: usize| -> Vec<Value> {
        all.iter().skip(from).take(count).cloned().collect()
    };
    let of_genre = |genre: &str| -> Vec<Value> {
        let mut books = all.clone();
        books.retain(|book| genre.is_empty() || book["genre"] == genre);
        books
    };
    let (page, size) = (request.number("page", 1), request.number("per_page", 2));
    let from = page.saturating_sub(1) * size;
    let said = |body: Value| json_answer(&body.to_string());
    let linked = |rows: Value, next: Option<String>| {
        let link = next.map(|next| format!("<{next}>; rel=\"next\""));
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(link.as_deref().map(|link| ("Link", link)));
        status_answer(200, &headers, &rows.to_string())
    };
    match request.path.as_str() {
        "/books" => {
            let rows = of_genre(request.text("genre"));
            let tag = format!("\"{}-1\"", request.text("genre"));
            if request.known == tag {
                return status_answer(304, &[("ETag", &tag)], "");
            }
            let headers = [("Content-Type", "application/json"), ("ETag", &tag)];
            let body = json!({"total": rows.len(), "items": rows});
            status_answer(200, &headers, &body.to_string())
        }
        "/pages" => said(json!({"items": some(from, size), "total": all.len()})),
        "/links" => {
            let next = from + size < all.len();
            let next = next.then(|| format!("/links?page={}&per_page={size}", page + 1));
            linked(some(from, size).into(), next)
        }
        "/cursor" => {
            let (from, size) = (request.number("cursor", 0), request.number("limit", 2));
            let mut body = json!({"books": some(from, size)});
            if from + size < all.len() {
                body["next_cursor"] = (from + size).to_string().into();
            }
            said(body)
        }
        "/after" => said(some(request.number("after_id", 0), request.number("limit", 2)).into()),
        "/odata/Books" => {
            let from = request.number("$skip", 0);
            let mut body = json!({"value": some(from, 2)});
            if from + 2 < all.len() {
                body["@odata.nextLink"] = format!("/odata/Books?$skip={}", from + 2).into();
            }
            said(body)
        }
        "/changes" => {
            let mut rows = all.clone();
            rows.retain(|book| book["updated_at"].as_str() >= Some(request.text("since")));
            for book in &mut rows {
                book["deleted"] = (book["id"] == 2).into();
            }
            said(json!({"items": rows}))
        }
        "/repos/octo/demo/issues" => {
            let since = request.text("since");
            let issues: Vec<Value> = (1..=3)
                .map(|number| {
                    let at = format!("2026-04-0{number}T12:00:00Z");
                    json!({"id": 7000 + number, "number": number, "title": "A bug", "updated_at": at})
                })
                .filter(|issue| issue["updated_at"].as_str() >= Some(since))
                .collect();
            let next = (from + size < issues.len()).then(|| {
                format!(
                    "/repos/octo/demo/issues?since={since}&per_page={size}&page={}",
                    page + 1
                )
            });
            let rows: Vec<Value> = issues.into_iter().skip(from).take(size).collect();
            linked(rows.into(), next)
        }
        "/books.csv" => {
            let lines = all
                .iter()
                .map(|book| format!("{},{},{}\n", book["id"], book["title"], book["price"]));
            let table = format!("id,title,price\n{}", lines.collect::<String>());
            status_answer(200, &[("Content-Type", "text/csv")], &table)
        }
        "/graphql" => {
            let asked: Value = serde_json::from_str(&request.body).unwrap_or_default();
            let genre = asked["variables"]["genre"].as_str().unwrap_or_default();
            said(json!({"data": {"books": of_genre(genre)}}))
        }
        "/empty" => said(json!({"items": []})),
        _ => status_answer(
            404,
            &[("Content-Type", "application/json")],
            r#"{"message":"there is nothing here"}"#,
        ),
    }
}
