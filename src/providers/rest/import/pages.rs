//! How one page follows another, by the names that APIs have for it.

use serde_json::{Map, Value as Json, json};

use super::answer::{Answer, Said};
use super::operation::{Operation, Parameter, Place};
use super::schema::Kind;

/// Pages of an operation.
#[derive(Debug, Default)]
pub struct Paged {
    /// As `paging` takes it; none: nothing is known.
    pub paging: Option<Map<String, Json>>,
    /// The parameters that it takes for itself.
    pub taken: Vec<String>,
}

const PAGES: &[&str] = &[
    "page",
    "pagenumber",
    "pageno",
    "pageindex",
    "page[number]",
    "currentpage",
];
const OFFSETS: &[&str] = &["offset", "skip", "$skip", "startindex", "page[offset]"];
const CURSORS: &[&str] = &[
    "cursor",
    "pagetoken",
    "nexttoken",
    "continuationtoken",
    "continuation",
    "pagecursor",
    "page[cursor]",
    "page[after]",
    "nextcursor",
    "marker",
    "bookmark",
    "after",
    "startcursor",
];
const BEHIND: &[&str] = &["startingafter", "afterid", "sinceid"];
const SIZES: &[&str] = &[
    "perpage",
    "pagesize",
    "limit",
    "size",
    "page[size]",
    "page[limit]",
    "maxresults",
    "take",
    "$top",
    "top",
    "count",
    "itemsperpage",
    "first",
];

/// Members of an answer that have the token of the next page; the last part of their names.
const TOKENS: &[&str] = &[
    "nextcursor",
    "nextpagetoken",
    "nexttoken",
    "continuationtoken",
    "continuation",
    "endcursor",
    "nextmarker",
    "nextbookmark",
    "bookmark",
    "cursor",
    "next",
];

/// Members that have the address of the next page.
const ADDRESSES: &[&str] = &[
    "next",
    "nexturl",
    "nextpage",
    "nextlink",
    "@odatanextlink",
    "@odata.nextlink",
];
const TOTALS: &[&str] = &[
    "total",
    "totalcount",
    "totalitems",
    "totalresults",
    "totalrecords",
];
const MORE: &[&str] = &["hasmore", "hasnext", "hasnextpage"];

/// Rows of a page that are asked for, where the document does not say how many there may be.
const SIZE: u64 = 100;

/// Most rows of a page that are asked for, whatever the document allows.
const LARGEST: u64 = 1_000;

fn plain(name: &str) -> String {
    name.replace(['_', '-'], "").to_ascii_lowercase()
}

/// `key`: the member that names a row.
pub fn of(operation: &Operation, answer: &Answer, key: &str) -> Paged {
    let named = |names: &[&str], kinds: &[Option<&str>]| {
        let mut query = operation.parameters.iter();
        query.find(|one| {
            one.place == Place::Query
                && kinds.contains(&one.kind)
                && names.contains(&plain(&one.name).as_str())
        })
    };
    let counted = |names: &[&str]| named(names, &[Some("number"), None]);
    let says = |names: &[&str], fits: &dyn Fn(&Said) -> bool| {
        let of = |said: &Said| plain(said.name.rsplit('.').next().unwrap_or_default());
        names.iter().find_map(|name| {
            let mut all = answer.envelope.iter();
            all.find(|said| of(said) == *name && fits(said))
        })
    };
    let is_text = |said: &Said| matches!(said.kind, Some(Kind::Text) | None);
    let number = |said: &Said| matches!(said.kind, Some(Kind::Number) | None);
    let size = counted(SIZES);
    let cursor = named(CURSORS, &[Some("text"), Some("number"), None]);
    let mut paging = Map::new();
    let mut taken: Vec<&Parameter> = size.into_iter().collect();
    let put = |paging: &mut Map<String, Json>, key: &str, value: Json| {
        paging.insert(key.into(), value);
    };
    let address = says(ADDRESSES, &|said| {
        is_text(said) && (said.is_address || cursor.is_none())
    });
    let token = says(TOKENS, &|said| {
        !said.is_address && said.kind != Some(Kind::Flag)
    });
    let is_linked = answer.headers.iter().any(|name| name == "link");
    if let (Some(cursor), Some(token), None) = (cursor, token, address) {
        put(&mut paging, "kind", "cursor".into());
        put(&mut paging, "param", cursor.name.as_str().into());
        put(&mut paging, "next", token.path.as_str().into());
        taken.push(cursor);
    } else if is_linked || address.is_some() {
        put(&mut paging, "kind", "next".into());
        if let Some(said) = address.filter(|_| !is_linked) {
            put(&mut paging, "next", said.path.as_str().into());
        }
        // The backend's own addresses have these.
        taken.extend(
            [counted(PAGES), counted(OFFSETS), cursor]
                .into_iter()
                .flatten(),
        );
    } else if let Some(page) = counted(PAGES) {
        put(&mut paging, "kind", "page".into());
        put(&mut paging, "param", page.name.as_str().into());
        let start = page
            .default
            .as_ref()
            .and_then(Json::as_u64)
            .or(page.minimum);
        put(
            &mut paging,
            "start",
            start.filter(|start| *start <= 1).unwrap_or(1).into(),
        );
        taken.push(page);
    } else if let (Some(offset), Some(_)) = (counted(OFFSETS), size) {
        put(&mut paging, "kind", "offset".into());
        put(&mut paging, "param", offset.name.as_str().into());
        taken.push(offset);
    } else if let Some(behind) = named(BEHIND, &[Some("text"), Some("number"), None]) {
        put(&mut paging, "kind", "keyset".into());
        put(&mut paging, "column", key.into());
        put(&mut paging, "param", behind.name.as_str().into());
        taken.push(behind);
    } else {
        return Paged::default();
    }
    if let Some(size) = size {
        put(&mut paging, "sizeParam", size.name.as_str().into());
        let usual = size
            .default
            .as_ref()
            .and_then(Json::as_u64)
            .filter(|usual| *usual > 0);
        let most = size.maximum.filter(|most| *most > 0);
        let most = most.or(usual).unwrap_or(SIZE).min(LARGEST);
        put(&mut paging, "size", most.into());
    }
    let total = answer.headers.iter().find(|name| *name == "x-total-count");
    if let Some(total) = says(TOTALS, &number) {
        put(&mut paging, "total", total.path.as_str().into());
    } else if let Some(name) = total {
        put(&mut paging, "total", json!(format!("header:{name}")));
    }
    let is_flag = |said: &Said| matches!(said.kind, Some(Kind::Flag) | None);
    if let Some(more) = says(MORE, &is_flag) {
        put(&mut paging, "hasMore", more.path.as_str().into());
    }
    Paged {
        paging: Some(paging),
        taken: taken.into_iter().map(|one| one.name.clone()).collect(),
    }
}
