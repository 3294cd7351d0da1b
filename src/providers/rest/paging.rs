//! How one page follows another, and how it is known that all came.
//!
//! | kind | the next page | all came |
//! |---|---|---|
//! | `none` | there is one answer | at once |
//! | `page`, `offset` | a number in the request | with an empty page, or as `total`, `hasMore` or `stop` say |
//! | `cursor`, `continuation` | a token of the answer, sent back | without a token |
//! | `next` | an address in the answer or its Link header | without an address |
//! | `keyset` | what the last row has in a column | with an empty page |
//! | `auto` | what the first answer shows of these | |

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value as Json};

use super::given::{object, path_at, text_of};
use super::keys::PAGING;
use super::path::{Path, Step};
use super::template::{Values, plain};
use crate::ground::{SyncError, origin, quoted};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Auto,
    None,
    Page,
    Offset,
    Cursor,
    Next,
    Keyset,
}

/// Where a parameter of a page goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Query,
    Body,
    Header,
}

/// Where an answer says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    At(Path),
    Header(String),
    /// The Link header (RFC 8288), `rel="next"`.
    Link,
}

#[derive(Debug, Clone)]
pub struct Paging {
    pub kind: Kind,
    pub size: Option<u64>,
    size_param: String,
    param: String,
    pub part: Part,
    start: u64,
    next: Option<Spot>,
    pub column: Option<Path>,
    stops_short: bool,
    total: Option<Spot>,
    has_more: Option<Spot>,
    most: u64,
}

/// How far the pages of a reading have come.
#[derive(Debug, Clone, Default)]
pub struct Pages {
    /// Pages that have come.
    pub count: u64,
    pub rows: u64,
    next: Option<Next>,
    total: Option<u64>,
    last: Option<u64>,
    /// The last page had fewer rows than were asked for.
    is_short: bool,
    /// Tokens and addresses that were given, as hashes.
    given: HashSet<u64>,
    /// What `auto` has chosen, and the parameter for it.
    chosen: Option<(Kind, &'static str)>,
}

#[derive(Debug, Clone, PartialEq)]
enum Next {
    Address(String),
    Token(Json),
}

/// A page that has come.
pub struct Page<'a> {
    pub rows: u64,
    /// The hash of its rows.
    pub hash: u64,
    /// What the last row has in the column of a keyset.
    pub last: Option<Json>,
    pub envelope: &'a Json,
    pub headers: &'a [(String, String)],
    /// The address that it came from.
    pub url: &'a str,
}

/// What follows a page.
pub enum After {
    Page(Pages),
    /// All came.
    Whole,
    /// Something may be missing.
    Cut(SyncError),
}

/// Members of an answer that name the address of the next page.
const ADDRESSES: &[&str] = &[
    "$.next",
    "$.next_url",
    "$.nextUrl",
    "$.nextPage",
    "$.links.next",
    "$._links.next",
    "$.paging.next",
    "$.pagination.next",
    "$['@odata.nextLink']",
];

/// Members that have a token for the next page, and the parameter that takes it.
const TOKENS: &[(&str, &str)] = &[
    ("$.next_cursor", "cursor"),
    ("$.nextCursor", "cursor"),
    ("$.cursor", "cursor"),
    ("$.meta.next_cursor", "cursor"),
    ("$.next_page_token", "page_token"),
    ("$.nextPageToken", "pageToken"),
    ("$.continuationToken", "continuationToken"),
];

/// Members that say how many rows there are.
const TOTALS: &[&str] = &[
    "$.total",
    "$.total_count",
    "$.totalCount",
    "$.totalItems",
    "$.meta.total",
];

impl Spot {
    pub fn parse(key: &str, text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("link") {
            return Ok(Self::Link);
        }
        match text.strip_prefix("header:") {
            Some(name) => Ok(Self::Header(name.trim().to_ascii_lowercase())),
            None => path_at(key, text).map(Self::At),
        }
    }

    /// What an answer says there; none: nothing.
    pub fn find(&self, envelope: &Json, headers: &[(String, String)]) -> Option<Json> {
        let header = |wanted: &str| {
            let mut headers = headers.iter();
            headers
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value)
        };
        let found = match self {
            Self::At(path) => path.find(envelope).cloned(),
            Self::Header(name) => header(name).map(|value| Json::from(value.as_str())),
            Self::Link => header("link")
                .and_then(|links| linked(links))
                .map(Json::from),
        };
        found.filter(|found| !found.is_null() && found.as_str() != Some(""))
    }
}

/// The address that a Link header gives for the next page.
fn linked(links: &str) -> Option<String> {
    // Commas are allowed in addresses, so that each begins with its bracket.
    links.split('<').skip(1).find_map(|link| {
        let (address, rest) = link.split_once('>')?;
        let is_next = rest.split(';').any(|word| {
            let word = word.trim().trim_end_matches(',').trim();
            let value = word
                .strip_prefix("rel=")
                .map(|value| value.trim_matches('"'));
            value.is_some_and(|value| value.split(' ').any(|rel| rel.eq_ignore_ascii_case("next")))
        });
        is_next.then(|| address.to_owned())
    })
}

impl Paging {
    /// # Errors
    /// `paging.<key> <problem>`.
    pub fn read(value: Option<&Json>) -> Result<Self, String> {
        let usual = Json::Object(Map::new());
        let given = object("paging", value.unwrap_or(&usual), PAGING)?;
        let text = |key: &str| text_of(&given, PAGING, key);
        let number = |key: &str| given.get(key).and_then(Json::as_u64);
        let name = text("kind").unwrap_or_default();
        let (kind, param, size_param) = match name.as_str() {
            "none" => (Kind::None, "", "limit"),
            "page" => (Kind::Page, "page", "per_page"),
            "offset" => (Kind::Offset, "offset", "limit"),
            "cursor" => (Kind::Cursor, "cursor", "limit"),
            "continuation" => (Kind::Cursor, "continuationToken", "limit"),
            "next" => (Kind::Next, "", "limit"),
            "keyset" => (Kind::Keyset, "after", "limit"),
            _ => (Kind::Auto, "", "limit"),
        };
        let spot = |key: &str| match text(key) {
            Some(text) => Spot::parse(&format!("paging.{key}"), &text).map(Some),
            None => Ok(None),
        };
        let next = match (spot("next")?, kind) {
            (Some(next), _) => Some(next),
            (None, Kind::Next) => Some(Spot::Link),
            (None, Kind::Cursor) if name == "continuation" => {
                Some(Spot::parse("", "$.continuationToken")?)
            }
            (None, Kind::Cursor) => {
                return Err("paging.next is missing; say where an answer has the token, as in \"$.next_cursor\"".into());
            }
            (None, _) => None,
        };
        let column = match text("column") {
            Some(column) => Some(path_at("paging.column", &column)?),
            None if kind == Kind::Keyset => {
                return Err("paging.column is missing; name the member of the last row that the next page begins behind".into());
            }
            None => None,
        };
        Ok(Self {
            kind,
            size: number("size"),
            size_param: text("sizeParam").unwrap_or_else(|| size_param.to_owned()),
            param: text("param").unwrap_or_else(|| param.to_owned()),
            part: match text("in").as_deref() {
                Some("body") => Part::Body,
                Some("header") => Part::Header,
                _ => Part::Query,
            },
            start: number("start").unwrap_or(u64::from(kind == Kind::Page)),
            next,
            column,
            stops_short: text("stop").as_deref() == Some("short"),
            total: spot("total")?,
            has_more: spot("hasMore")?,
            most: number("maxPages").unwrap_or(100_000),
        })
    }

    /// The ways to what an answer has to be searched for.
    pub fn wanted(&self) -> Vec<Path> {
        let spots = [&self.next, &self.total, &self.has_more];
        let mut wanted: Vec<Path> = spots
            .into_iter()
            .flatten()
            .filter_map(|spot| match spot {
                Spot::At(path) => Some(path.clone()),
                _ => None,
            })
            .collect();
        if self.kind == Kind::Auto {
            let tokens = TOKENS.iter().map(|(path, _)| *path);
            let known = ADDRESSES
                .iter()
                .copied()
                .chain(tokens)
                .chain(TOTALS.iter().copied());
            wanted.extend(known.filter_map(|path| Path::parse(path).ok()));
        }
        wanted
    }

    /// What the places of the next request stand for.
    pub fn values(&self, pages: &Pages, values: &mut Values) {
        if let Some(size) = self.size {
            values.insert("limit".into(), size.into());
        }
        match (self.kind, &pages.next) {
            (Kind::Page, _) => values.insert("page".into(), (self.start + pages.count).into()),
            (Kind::Offset, _) => values.insert("offset".into(), (self.start + pages.rows).into()),
            (_, Some(Next::Token(token))) => values.insert("next".into(), token.clone()),
            _ => None,
        };
    }

    /// The parameters that a request gets besides those that the function writes itself, `writes` says by the place's name.
    pub fn parameters(
        &self,
        pages: &Pages,
        values: &Values,
        writes: impl Fn(&str) -> bool,
    ) -> Vec<(String, Json)> {
        let mut parameters = Vec::new();
        let size = values
            .get("limit")
            .filter(|_| self.kind != Kind::None && !writes("limit"));
        if let Some(size) = size {
            parameters.push((self.size_param.clone(), size.clone()));
        }
        let place = match self.kind {
            Kind::Page => "page",
            Kind::Offset => "offset",
            _ => "next",
        };
        let name = match (self.param.as_str(), pages.chosen) {
            ("", Some((_, chosen))) => chosen,
            (name, _) => name,
        };
        if let Some(value) = values
            .get(place)
            .filter(|_| !writes(place) && !name.is_empty())
        {
            parameters.push((name.to_owned(), value.clone()));
        }
        parameters
    }

    /// The address of the next page, where the backend gives it.
    pub fn address<'p>(&self, pages: &'p Pages) -> Option<&'p str> {
        match &pages.next {
            Some(Next::Address(address)) => Some(address),
            _ => None,
        }
    }

    /// What follows a page.
    pub fn after(&self, pages: &Pages, page: &Page<'_>) -> After {
        let mut now = pages.clone();
        now.count += 1;
        now.rows += page.rows;
        let said = |spot: &Option<Spot>| spot.as_ref()?.find(page.envelope, page.headers);
        let known = || match self.kind {
            Kind::Auto => TOTALS
                .iter()
                .find_map(|path| Path::parse(path).ok()?.find(page.envelope).cloned()),
            _ => None,
        };
        let total = said(&self.total)
            .or_else(known)
            .and_then(|total| plain(&total).trim().parse::<u64>().ok());
        if let (Some(before), Some(total)) = (pages.total, total)
            && before != total
        {
            return cut(format!(
                "the total changed from {before} to {total} while the pages were read, so rows may have moved between them; sync \
                 again, or let the backend give its pages out in one order"
            ));
        }
        now.total = total.or(pages.total);
        if page.rows > 0 && pages.last == Some(page.hash) {
            return cut(format!(
                "page {} is the same as the one before: the backend does not heed {}; see paging",
                now.count,
                match self.kind {
                    Kind::Page | Kind::Offset | Kind::Cursor | Kind::Keyset => quoted(&self.param),
                    _ => "what it was asked for".into(),
                }
            ));
        }
        now.last = Some(page.hash);
        let size = self.size.filter(|_| self.kind == Kind::Page);
        if let (true, Some(size), 1..) = (pages.is_short, size, page.rows) {
            return cut(format!(
                "page {} had fewer rows than the {size} that were asked for, and yet more followed: the backend gives out smaller \
                 pages, so rows may be missing; set size in paging to what it gives",
                pages.count
            ));
        }
        now.is_short = size.is_some_and(|size| page.rows < size);
        let has_more = said(&self.has_more).map(|more| match more {
            Json::Bool(more) => more,
            other => !matches!(plain(&other).as_str(), "false" | "0" | "no"),
        });
        let ended = match self.next_of(&mut now, page) {
            Ok(ended) => ended,
            Err(error) => return After::Cut(error),
        };
        let ended = match (has_more, now.total) {
            (Some(false), _) => true,
            (Some(true), _) if ended && now.next.is_none() && !self.is_numbered() => {
                return cut(
                    "the backend says that there is more, but not where; see paging.next".into(),
                );
            }
            (Some(true), _) => false,
            (None, Some(total))
                if now.rows >= total && (self.is_numbered() || self.kind == Kind::Keyset) =>
            {
                true
            }
            _ => ended,
        };
        if let (true, Some(total)) = (ended, now.total)
            && now.rows < total
        {
            return cut(format!(
                "the backend says that there are {total} rows, but only {} came; see paging",
                now.rows
            ));
        }
        if ended {
            return After::Whole;
        }
        if now.count >= self.most {
            return cut(format!(
                "there is more behind page {}; raise maxPages in paging",
                now.count
            ));
        }
        After::Page(now)
    }

    fn is_numbered(&self) -> bool {
        matches!(self.kind, Kind::Page | Kind::Offset)
    }

    /// Notes where the next page is; whether there is none.
    fn next_of(&self, now: &mut Pages, page: &Page<'_>) -> Result<bool, SyncError> {
        let is_short = self.size.is_some_and(|size| page.rows < size);
        let is_last = page.rows == 0 || (self.stops_short && is_short);
        let said = self
            .next
            .as_ref()
            .and_then(|spot| spot.find(page.envelope, page.headers));
        now.next = match self.kind {
            Kind::None => return Ok(true),
            Kind::Page | Kind::Offset => return Ok(is_last),
            Kind::Keyset => match &page.last {
                Some(last) if !is_last => Some(Next::Token(last.clone())),
                None if page.rows > 0 => {
                    return Err(SyncError::protocol(
                        "the last row of the page has not what paging.column names, behind which the next page begins",
                    ));
                }
                _ => return Ok(true),
            },
            Kind::Cursor => said.map(Next::Token),
            Kind::Next => said.and_then(address_of).map(Next::Address),
            Kind::Auto => self.choose(now, page, said)?,
        };
        let Some(next) = &mut now.next else {
            return Ok(true);
        };
        if let Next::Address(address) = next {
            *address = joined(page.url, address);
            if !origin(address).eq_ignore_ascii_case(origin(page.url)) {
                return Err(SyncError::protocol(format!(
                    "the next page is at another origin, {}, where it is not followed; see paging",
                    quoted(origin(address))
                )));
            }
        }
        let mut hasher = DefaultHasher::new();
        match next {
            Next::Address(address) => address.hash(&mut hasher),
            Next::Token(token) => plain(token).hash(&mut hasher),
        }
        if !now.given.insert(hasher.finish()) {
            return Err(SyncError::protocol(
                "the pages lead back to one that was read already: a loop; see paging",
            ));
        }
        Ok(false)
    }

    /// What the first answer shows, and each one after it.
    ///
    /// # Errors
    /// It shows something that nobody knows how to send.
    fn choose(
        &self,
        now: &mut Pages,
        page: &Page<'_>,
        said: Option<Json>,
    ) -> Result<Option<Next>, SyncError> {
        let link = || Spot::Link.find(page.envelope, page.headers);
        let header = || Spot::Header("next-page".into()).find(page.envelope, page.headers);
        if let Some(address) = link().or_else(header).or(said).and_then(address_of) {
            now.chosen.get_or_insert((Kind::Next, ""));
            return Ok(Some(Next::Address(address)));
        }
        let at = |path: &str| Path::parse(path).ok()?.find(page.envelope).cloned();
        if let Some(address) = ADDRESSES.iter().find_map(|path| address_of(at(path)?)) {
            now.chosen.get_or_insert((Kind::Next, ""));
            return Ok(Some(Next::Address(address)));
        }
        let token = TOKENS.iter().find_map(|(path, parameter)| {
            let token = at(path).filter(|token| token.is_string() || token.is_number())?;
            (token.as_str() != Some("")).then_some((token, *parameter))
        });
        if let Some((token, parameter)) = token {
            now.chosen.get_or_insert((Kind::Cursor, parameter));
            return Ok(Some(Next::Token(token)));
        }
        // All that the backend counts has come.
        if now.total.is_some_and(|total| now.rows >= total) {
            return Ok(None);
        }
        let unknown = ADDRESSES.iter().find(|path| match at(path) {
            Some(Json::String(text)) => !text.is_empty(),
            Some(Json::Number(_)) => true,
            _ => false,
        });
        match unknown {
            Some(path) => Err(strange(path)),
            None => Ok(None),
        }
    }

    /// What `auto` has chosen, or what was declared.
    pub fn shown(&self, pages: &Pages) -> &'static str {
        match pages.chosen.map_or(self.kind, |(kind, _)| kind) {
            Kind::Auto | Kind::None => "none",
            Kind::Page => "page",
            Kind::Offset => "offset",
            Kind::Cursor => "cursor",
            Kind::Next => "next",
            Kind::Keyset => "keyset",
        }
    }
}

/// Whether a step is at the beginning of one of the ways.
pub fn passes(wanted: &[Path], trail: &[Step]) -> bool {
    wanted.iter().any(|path| path.passes(trail))
}

/// The answer has something where an address of the next page is expected, and it is none.
fn strange(path: &str) -> SyncError {
    SyncError::protocol(format!(
        "the answer has something at {path} that is no address, so there may be more: say how it is sent, as in \
         paging {{\"kind\":\"cursor\",\"next\":\"{path}\",\"param\":\"NAME\"}}; or that all is in one answer, \
         {{\"kind\":\"none\"}}"
    ))
}

/// An address as a text, or in an object as `href` or `url`.
fn address_of(value: Json) -> Option<String> {
    let text = match &value {
        Json::String(text) => text,
        Json::Object(members) => members
            .get("href")
            .or_else(|| members.get("url"))?
            .as_str()?,
        _ => return None,
    };
    let is_one = text.contains('/') || text.starts_with('?');
    is_one.then(|| text.to_owned())
}

/// An address that may only be the end of one.
fn joined(base: &str, address: &str) -> String {
    if address.contains("://") {
        return address.to_owned();
    }
    let bare = base.split(['?', '#']).next().unwrap_or_default();
    match address.chars().next() {
        Some('?') => format!("{bare}{address}"),
        Some('/') => format!("{}{address}", origin(base)),
        _ => format!(
            "{}/{address}",
            bare.rsplit_once('/').map_or(bare, |(start, _)| start)
        ),
    }
}

fn cut(message: String) -> After {
    After::Cut(SyncError::protocol(format!(
        "{message}; nothing was removed, the cursor stays, and the next sync reads it again"
    )))
}
