//! Functions from documents in which an API is described: OpenAPI, Postman.

use serde_json::{Value, json};

use crate::phone::Phone;
use crate::server::Api;

const POSTMAN: &str = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json";

fn phone() -> Phone {
    Phone::new(&Api::start())
}

#[track_caller]
fn imported(phone: &Phone, document: &Value) -> Value {
    let answer = phone.call("sync_import_openapi", &["api", &document.to_string()]);
    serde_json::from_str(&answer).expect("JSON")
}

fn document(paths: Value, schemas: Value) -> Value {
    json!({"openapi": "3.0.3", "info": {"title": "t", "version": "1"}, "paths": paths, "components": {"schemas": schemas}})
}

fn rows_of(schema: Value) -> Value {
    json!({"200": {"description": "rows", "content": {"application/json": {"schema": schema}}}})
}

fn taking(schema: Value) -> Value {
    json!({"content": {"application/json": {"schema": schema}}})
}

/// The definition of a function, as it is kept.
#[track_caller]
fn kept(phone: &Phone, id: &str) -> Value {
    let text = phone.ask(&format!(
        "SELECT definition FROM sync_functions WHERE id = '{id}'"
    ));
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("no function {id}"))
}

/// Why something was not made, or what is to be looked at.
fn said(answer: &Value, list: &str, what: &str) -> String {
    let list = answer[list].as_array().expect("a list");
    let one = list.iter().find(|one| one["what"] == what);
    one.map_or_else(
        || format!("nothing of {what}: {answer}"),
        |one| one["why"].as_str().expect("text").to_owned(),
    )
}

/// Pets as such documents have them: references, a page of rows, all ways to write.
fn pets() -> Value {
    let pet = json!({"$ref": "#/components/schemas/Pet"});
    document(
        json!({
            "/pets": {
                "parameters": [{"$ref": "#/components/parameters/Tenant"}],
                "get": {"operationId": "listPets", "parameters": [
                    {"name": "page", "in": "query", "schema": {"type": "integer", "minimum": 1, "default": 1}},
                    {"name": "per_page", "in": "query", "schema": {"type": "integer", "maximum": 250}},
                    {"name": "species", "in": "query", "schema": {"type": "string", "enum": ["cat", "dog"]}},
                    {"name": "X-Request-Id", "in": "header", "schema": {"type": "string"}}],
                    "responses": rows_of(json!({"type": "object", "properties": {"pets": {"type": "array", "items": pet},
                        "warnings": {"type": "array", "items": {"type": "string"}}, "total": {"type": "integer"}}}))},
                "post": {"operationId": "addPet", "requestBody": taking(json!({"$ref": "#/components/schemas/NewPet"})), "responses": {}}},
            "/pets/{petId}": {
                "parameters": [{"name": "petId", "in": "path", "required": true, "schema": {"type": "integer"}},
                    {"$ref": "#/components/parameters/Tenant"}],
                "get": {"operationId": "getPet", "responses": rows_of(pet.clone())},
                "put": {"operationId": "putPet", "requestBody": taking(pet.clone()), "responses": rows_of(pet.clone())},
                "delete": {"operationId": "deletePet", "responses": {"204": {"description": "gone"}}}},
            "/pets/{petId}/photo": {"get": {"operationId": "photo",
                "responses": {"200": {"content": {"image/png": {}}}}}},
            "/pets/count": {"get": {"responses": rows_of(json!({"type": "integer"}))}},
            "/login": {"post": {"operationId": "login", "requestBody": taking(json!({})), "responses": rows_of(json!({}))}},
        }),
        json!({}),
    )
}

fn pet_schemas(mut document: Value) -> Value {
    document["components"] = json!({
        "parameters": {"Tenant": {"name": "X-Tenant", "in": "header", "required": true, "schema": {"type": "string"}}},
        "schemas": {
            "NewPet": {"type": "object", "properties": {"name": {"type": "string"}, "species": {"type": "string"}}},
            "Pet": {"allOf": [{"$ref": "#/components/schemas/NewPet"}, {"type": "object", "required": ["id", "name"],
                "properties": {"id": {"type": "integer"}, "friend": {"$ref": "#/components/schemas/Pet"}}}]}},
        "securitySchemes": {
            "bearerAuth": {"type": "http", "scheme": "bearer"},
            "keyAuth": {"type": "apiKey", "in": "header", "name": "X-Api-Key"}}});
    document
}

#[test]
fn r8_an_openapi_document_gives_functions_with_parameters_records_key_pages_and_writes() {
    let phone = phone();
    let answer = imported(&phone, &pet_schemas(pets()));
    assert_eq!(
        (&answer["made"], &answer["leftOut"]),
        (&json!(5), &json!(3)),
        "{answer}"
    );
    assert_eq!(
        kept(&phone, "listPets"),
        json!({"path": "/pets", "query": {"species": "{param:species}"},
            "headers": {"X-Request-Id": "{param:X-Request-Id}", "X-Tenant": "{param:X-Tenant}"},
            "parameters": {"species": {"type": "text"}, "X-Request-Id": {"type": "text"},
                "X-Tenant": {"required": true, "type": "text"}},
            "records": "$.pets", "key": "id",
            "paging": {"kind": "page", "param": "page", "start": 1, "sizeParam": "per_page", "size": 250, "total": "$.total"},
            "writes": {"create": "addPet", "mints": true, "update": "putPet", "delete": "deletePet"}})
    );
    let tenant = json!({"X-Tenant": {"required": true, "type": "text"}});
    let header = json!({"X-Tenant": "{param:X-Tenant}"});
    assert_eq!(
        kept(&phone, "addPet"),
        json!({"method": "POST", "path": "/pets", "headers": header, "parameters": tenant})
    );
    // The backend wants the key in the body of a PUT.
    assert_eq!(
        kept(&phone, "putPet"),
        json!({"method": "PUT", "path": "/pets/{key}", "headers": header, "parameters": tenant,
            "body": {"name": "{row:name}", "species": "{row:species}", "id": "{key}", "friend": "{row:friend}"}})
    );
    assert_eq!(kept(&phone, "deletePet")["path"], "/pets/{key}");
    assert_eq!(kept(&phone, "getPet")["path"], "/pets/{param:petId}");
    assert!(said(&answer, "notMade", "GET /pets/{petId}/photo").contains("image/png"));
    assert!(said(&answer, "notMade", "GET /pets/count").contains("one value"));
    assert!(said(&answer, "notMade", "POST /login").contains("declare it with sync_function"));
    // Nothing has changed the second time.
    let again = imported(&phone, &pet_schemas(pets()));
    assert_eq!(
        (&again["made"], &again["unchanged"]),
        (&json!(5), &json!(5))
    );
}

#[test]
fn r8_what_is_imported_syncs() {
    let api = Api::start();
    api.on("/v1/shops/7/books", |asked| {
        let rows: Vec<Value> = (1..=5)
            .map(|n| json!({"isbn": format!("b{n}"), "title": format!("t{n}")}))
            .collect();
        let from: usize = asked
            .query("cursor")
            .map_or(0, |at| at.parse().expect("a number"));
        let next = (from + 2 < rows.len()).then(|| (from + 2).to_string());
        let page: Vec<&Value> = rows.iter().skip(from).take(2).collect();
        crate::server::Answer::json(&json!({"data": {"list": page}, "meta": {"next_cursor": next}}))
    });
    api.on("/v1/shops/7/books/b2", |asked| {
        assert_eq!(
            (asked.method.as_str(), asked.body.as_str()),
            ("PATCH", r#"{"title":"mine"}"#)
        );
        crate::server::Answer::json(&json!({"isbn": "b2", "title": "mine"}))
    });
    let phone = Phone::new(&api);
    let book = json!({"type": ["object", "null"], "properties": {"isbn": {"type": "string"}, "title": {"type": ["string", "null"]}}});
    let mut document = document(
        json!({
            "/shops/{shop}/books": {"get": {"operationId": "books", "parameters": [
                {"name": "cursor", "in": "query", "schema": {"anyOf": [{"type": "string"}, {"type": "null"}]}}],
                "responses": rows_of(json!({"properties": {"data": {"properties": {"list": {"type": "array", "items": book}}},
                    "meta": {"properties": {"next_cursor": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}}}))}},
            "/shops/{shop}/books/{isbn}": {"patch": {"requestBody": taking(json!({"type": "object"})), "responses": {}}}}),
        json!({}),
    );
    document["servers"] =
        json!([{"url": "/{version}", "variables": {"version": {"default": "v1"}}}]);
    let answer = imported(&phone, &document);
    assert_eq!(answer["leftOut"], 0, "{answer}");
    let books = kept(&phone, "books");
    assert_eq!(
        (
            &books["path"],
            &books["records"],
            &books["key"],
            &books["paging"]
        ),
        (
            &json!("/v1/shops/{param:shop}/books"),
            &json!("$.data.list"),
            &json!("isbn"),
            &json!({"kind": "cursor", "param": "cursor", "next": "$.meta.next_cursor"})
        )
    );
    // Without an operationId, it is the method and the path.
    assert_eq!(
        kept(&phone, "PATCH /shops/{shop}/books/{isbn}")["path"],
        "/v1/shops/{param:shop}/books/{key}"
    );
    phone.table(
        "CREATE TABLE book (isbn TEXT PRIMARY KEY NOT NULL, title TEXT)",
        "book",
    );
    let read = phone.read_with("book", "books", json!({"shop": 7}));
    assert_eq!(
        (&read["state"], phone.count("book")),
        (&json!("synced"), 5),
        "{read}"
    );
    phone.exec("UPDATE book SET title = 'mine' WHERE isbn = 'b2'");
    let read = phone.read_with("book", "books", json!({"shop": 7}));
    assert_eq!(
        (&read["state"], &read["pushed"]),
        (&json!("synced"), &json!(1)),
        "{read}"
    );
}

#[test]
fn r8_pages_are_known_by_the_names_that_apis_have_for_them() {
    let parameter =
        |name: &str| json!({"name": name, "in": "query", "schema": {"type": "integer"}});
    let word = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string"}});
    let row = json!({"type": "object", "properties": {"id": {"type": "string"}}});
    let list = json!({"type": "array", "items": row});
    let page = |more: Value| {
        let mut members = json!({"items": list});
        for (name, schema) in more.as_object().expect("an object") {
            members[name] = schema.clone();
        }
        json!({"type": "object", "properties": members})
    };
    let text = json!({"type": "string"});
    for (parameters, answer, paging) in [
        (vec![], list.clone(), Value::Null),
        (vec![parameter("limit")], list.clone(), Value::Null),
        (
            vec![parameter("offset"), parameter("limit")],
            list.clone(),
            json!({"kind": "offset", "param": "offset", "sizeParam": "limit", "size": 100}),
        ),
        (
            vec![parameter("pageNumber")],
            page(json!({"hasMore": {"type": "boolean"}})),
            json!({"kind": "page", "param": "pageNumber", "start": 1, "hasMore": "$.hasMore"}),
        ),
        (
            vec![word("pageToken"), parameter("maxResults")],
            page(json!({"nextPageToken": text})),
            json!({"kind": "cursor", "param": "pageToken", "next": "$.nextPageToken", "sizeParam": "maxResults", "size": 100}),
        ),
        (
            vec![parameter("page")],
            page(
                json!({"count": {"type": "integer"}, "next": {"type": "string", "format": "uri", "nullable": true}}),
            ),
            json!({"kind": "next", "next": "$.next"}),
        ),
        (
            vec![word("starting_after"), parameter("limit")],
            page(json!({"has_more": {"type": "boolean"}})),
            json!({"kind": "keyset", "column": "id", "param": "starting_after", "sizeParam": "limit", "size": 100, "hasMore": "$.has_more"}),
        ),
        // A date is no place in a list.
        (vec![word("from"), word("to")], list.clone(), Value::Null),
    ] {
        let phone = phone();
        let document = document(
            json!({"/x": {"get": {"operationId": "x", "parameters": parameters, "responses": rows_of(answer)}}}),
            json!({}),
        );
        imported(&phone, &document);
        assert_eq!(kept(&phone, "x")["paging"], paging, "{document}");
    }
}

#[test]
fn r8_rows_are_found_in_all_usual_answers() {
    let row = json!({"type": "object", "properties": {"id": {"type": "string"}, "tags": {"type": "array", "items": {"type": "object"}}}});
    let list = json!({"type": "array", "items": row});
    let object = |members: Value| json!({"type": "object", "properties": members});
    for (path, schema, records, keyed) in [
        ("/x", list.clone(), "$", None),
        (
            "/x",
            object(json!({"odd.name": list})),
            "$['odd.name']",
            None,
        ),
        (
            "/x",
            object(json!({"links": list, "results": list})),
            "$.results",
            None,
        ),
        ("/x", object(json!({"x": list, "y": list})), "$.x", None),
        // One object, whatever lists it has.
        ("/x/{id}", row.clone(), "$", None),
        ("/x/{id}", object(json!({"data": row})), "$.data", None),
        (
            "/x",
            json!({"type": "object", "additionalProperties": object(json!({"n": {}}))}),
            "$",
            Some("id"),
        ),
        (
            "/x",
            json!({"type": "object", "additionalProperties": row}),
            "$",
            Some("_key"),
        ),
        // Nothing is said.
        ("/x", json!({}), "$", None),
        ("/x", json!(true), "$", None),
    ] {
        let phone = phone();
        let document = document(
            json!({path: {"get": {"operationId": "x", "responses": rows_of(schema)}}}),
            json!({}),
        );
        let answer = imported(&phone, &document);
        assert_eq!(answer["made"], 1, "{document}: {answer}");
        let function = kept(&phone, "x");
        let found = function["records"].as_str().unwrap_or("$");
        assert_eq!(
            (found, function["keyed"].as_str()),
            (records, keyed),
            "{document}"
        );
    }
    for (schema, why) in [
        (
            json!({"type": "array", "items": {"type": "string"}}),
            "no objects",
        ),
        (
            object(json!({"a": list, "b": list})),
            "several lists (a, b)",
        ),
        (
            object(json!({"status": {"type": "string"}})),
            "no member of its rows names them",
        ),
        (json!({"type": "string"}), "one value"),
    ] {
        let phone = phone();
        let document = document(
            json!({"/x": {"get": {"responses": rows_of(schema)}}}),
            json!({}),
        );
        let answer = imported(&phone, &document);
        assert!(
            said(&answer, "notMade", "GET /x").contains(why),
            "{why}: {answer}"
        );
    }
}

#[test]
fn r8_a_function_that_was_changed_here_stays_unless_it_is_to_be_replaced() {
    let phone = phone();
    phone.function("getPet", json!({"path": "/mine"}));
    let answer = imported(&phone, &pet_schemas(pets()));
    assert_eq!(
        (&answer["made"], &answer["leftOut"]),
        (&json!(4), &json!(4))
    );
    assert!(said(&answer, "notMade", "function \"getPet\"").contains("\"replace\":true"));
    assert_eq!(kept(&phone, "getPet")["path"], "/mine");
    let document = pet_schemas(pets()).to_string();
    let answer = phone.call(
        "sync_import_openapi",
        &["api", &document, r#"{"replace":true}"#],
    );
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(
        (&answer["made"], &answer["replaced"]),
        (&json!(5), &json!(1))
    );
    assert_eq!(kept(&phone, "getPet")["path"], "/pets/{param:petId}");
}

#[test]
fn r8_credentials_are_named_and_never_taken_over() {
    let phone = phone();
    let document = json!({"info": {"name": "n", "schema": POSTMAN},
        "auth": {"type": "apikey", "apikey": [{"key": "value", "value": "hunter2-key"}, {"key": "key", "value": "X-Key"}]},
        "variable": [{"key": "token", "value": "hunter2-token"}],
        "item": [{"name": "books", "request": {"method": "GET",
            "header": [{"key": "Authorization", "value": "Bearer hunter2-bearer"}, {"key": "X-Auth", "value": "hunter2-header"}],
            "url": {"raw": "https://h/books?api_key=hunter2-query&q={{token}}",
                "query": [{"key": "api_key", "value": "hunter2-query"}, {"key": "q", "value": "{{token}}"}]}}}]});
    let answer = phone.call("sync_import_postman", &["api", &document.to_string()]);
    assert!(!answer.contains("hunter2"), "{answer}");
    assert!(
        answer.contains(r#""config":{"secretHeaders":{"X-Key":"apikey"}}"#),
        "{answer}"
    );
    assert!(
        answer.contains("X-Auth") && answer.contains("api_key"),
        "{answer}"
    );
    assert!(
        !phone
            .ask("SELECT group_concat(definition) FROM _syncFunction")
            .contains("hunter2")
    );
    let answer = imported(&phone, &pet_schemas(pets()));
    let origin = phone.ask("SELECT config ->> 'url' FROM _syncProvider");
    assert_eq!(
        answer["auth"],
        json!([{"scheme": "bearerAuth", "config": {"token": "bearerAuth"},
                "secrets": [format!("SELECT sync_secret('bearerAuth', 'TOKEN', '{origin}');")]},
            {"scheme": "keyAuth", "config": {"secretHeaders": {"X-Api-Key": "keyAuth"}},
                "secrets": [format!("SELECT sync_secret('keyAuth', 'KEY', '{origin}');")]}])
    );
}

#[test]
fn r8_each_way_in_that_is_suggested_is_one_that_a_provider_takes() {
    let phone = phone();
    let flow = |more: Value| {
        let mut flow = json!({"tokenUrl": "https://auth.example/token"});
        for (key, value) in more.as_object().expect("an object") {
            flow[key] = value.clone();
        }
        flow
    };
    let document = json!({"openapi": "3.1.0", "paths": {}, "components": {"securitySchemes": {
        "query": {"type": "apiKey", "in": "query", "name": "api_key"},
        "cookie": {"type": "apiKey", "in": "cookie", "name": "sid"},
        "basic": {"type": "http", "scheme": "Basic"},
        "client": {"type": "oauth2", "flows": {"clientCredentials": flow(json!({"scopes": {"read": "", "write": ""}}))}},
        "password": {"type": "oauth2", "flows": {"password": {"tokenUrl": "token"}}},
        "code": {"type": "oauth2", "flows": {"authorizationCode": flow(json!({}))}},
        "implicit": {"type": "oauth2", "flows": {"implicit": {}}},
        "open": {"type": "openIdConnect"}, "odd": {"type": 7}, "lost": {"$ref": "#/nowhere"}}}});
    let answer = imported(&phone, &document);
    let mut configs = Vec::new();
    for way in answer["auth"].as_array().expect("a list") {
        if way["why"].is_string() {
            continue;
        }
        phone.provider("https://api.example", way["config"].clone());
        for secret in way["secrets"].as_array().expect("a list") {
            assert_eq!(phone.ask(secret.as_str().expect("text")), "1");
        }
        configs.push(way["config"].clone());
    }
    assert_eq!(
        configs,
        [
            json!({"secretQuery": {"api_key": "query"}}),
            json!({"secretCookies": {"sid": "cookie"}}),
            json!({"basic": "basic"}),
            json!({"login": {"url": "https://auth.example/token", "grant": "client_credentials", "clientId": "ID",
                "clientSecret": "client", "scope": "read write"}}),
            json!({"login": {"url": "/token", "body": "grant_type=password&username=USER&password={secret:password}",
                "token": "$.access_token", "expires": "$.expires_in"}}),
            json!({"login": {"url": "https://auth.example/token", "grant": "refresh_token", "clientId": "ID", "refreshToken": "code"}}),
            json!({"token": "implicit"}),
        ]
    );
    let whole = answer.to_string();
    assert!(
        whole.contains("'https://auth.example https://api.example'")
            || whole.contains("https://auth.example http://127.0.0.1"),
        "{whole}"
    );
}

#[test]
fn r8_a_postman_collection_gives_functions_too() {
    let phone = phone();
    let url = |raw: &str| json!({"raw": raw});
    let saved = json!([{"code": 404, "body": "{}"}, {"code": 200, "header": [{"key": "X-Total-Count", "value": "1"}],
        "body": r#"[{"id": 1, "title": "Emma"}]"#}]);
    let document = json!({"info": {"name": "n", "schema": POSTMAN}, "variable": [{"key": "base", "value": "https://h/api"}],
        "item": [{"name": "folder", "item": [
            {"name": "List books", "response": saved, "request": {"method": "GET", "url": {"raw": "{{base}}/books?page=1&limit=50&sort=title",
                "query": [{"key": "page", "value": "1"}, {"key": "limit", "value": "50"}, {"key": "sort", "value": "title"},
                    {"key": "author", "value": "x", "disabled": true}]}}},
            {"name": "New book", "request": {"method": "POST", "url": "{{base}}/books",
                "body": {"mode": "raw", "raw": r#"{"title": "Emma"}"#}}},
            {"name": "Change", "request": {"method": "PATCH", "url": url("{{base}}/books/:bookId"), "body": {"mode": "raw", "raw": "{\"title\": {{t}}}"}}},
            {"name": "Cover", "request": {"method": "PUT", "url": url("{{base}}/books/:bookId"), "body": {"mode": "file"}}},
            {"name": "Delete", "request": {"method": "DELETE", "url": url("{{base}}/books/{{id}}")}}]},
            {"name": "Options", "request": {"method": "OPTIONS", "url": "{{base}}/books"}},
            {"name": "Nothing"}]});
    let answer = phone.call("sync_import_postman", &["api", &document.to_string()]);
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(
        (&answer["made"], &answer["leftOut"]),
        (&json!(4), &json!(3)),
        "{answer}"
    );
    assert_eq!(
        kept(&phone, "List books"),
        json!({"path": "/api/books", "query": {"sort": "title", "author": "{param:author}"}, "parameters": {"author": {}}, "key": "id",
            "paging": {"kind": "page", "param": "page", "start": 1, "sizeParam": "limit", "size": 50, "total": "header:x-total-count"},
            "writes": {"create": "New book", "mints": true, "update": "Change", "delete": "Delete"}})
    );
    assert_eq!(
        kept(&phone, "Delete"),
        json!({"method": "DELETE", "path": "/api/books/{key}"})
    );
}

#[test]
fn r8_a_hostile_document_is_an_error_or_an_entry_and_nothing_is_half_done() {
    let phone = phone();
    let refused = |document: &str| {
        let error = phone
            .try_call("sync_import_openapi", &["api", document])
            .expect_err(document);
        assert!(error.contains("sync_import_openapi: "), "{error}");
        error
    };
    let deep = format!(
        r#"{{"openapi":"3.0.0","paths":{}{}}}"#,
        "{\"a\":".repeat(5_000),
        "}".repeat(5_000)
    );
    for (document, said) in [
        ("", "it ends too early"),
        ("openapi: 3.0.0", "if it is YAML, convert it to JSON"),
        ("[]", "must be a JSON object"),
        ("{}", "no OpenAPI document"),
        (r#"{"swagger":"2.0","paths":{}}"#, "Swagger 2.0"),
        (r#"{"openapi":"4.0","paths":{}}"#, "3.x is needed"),
        (r#"{"openapi":3,"paths":{}}"#, "no OpenAPI document"),
        (r#"{"openapi":"3.0.0"}"#, "no object \"paths\""),
        (r#"{"openapi":"3.0.0","paths":[1]}"#, "no object \"paths\""),
        (deep.as_str(), "nested too deeply"),
    ] {
        let error = refused(document);
        assert!(error.contains(said), "{said}: {error}");
    }
    let error = phone
        .try_call("sync_import_postman", &["api", r#"{"info":{},"item":[]}"#])
        .expect_err("no schema");
    assert!(error.contains("Collection v2.1"), "{error}");
    // Wrong types everywhere, references to nowhere and in circles, schemas that unfold without end.
    let reference = |to: &str| json!({"$ref": to});
    let get = |schema: Value| json!({"get": {"responses": rows_of(schema)}});
    let mut wide = json!({});
    for level in 0..60 {
        let inner = reference(&format!("#/components/schemas/W{}", level + 1));
        wide[format!("W{level}")] = json!({"allOf": [inner, inner, inner, inner]});
    }
    wide["Circle"] = reference("#/components/schemas/Circle");
    wide["Inner"] =
        json!({"type": "array", "items": {"allOf": [reference("#/components/schemas/Inner")]}});
    let document = document(
        json!({
            "/null": null, "/number": {"get": 5}, "/list": [], "/nowhere": reference("#/paths/~1missing"),
            "/self": reference("#/paths/~1self"), "/types": {"get": {"operationId": 7, "parameters": {"a": 1}, "responses": []}},
            "/parameters": {"get": {"parameters": [5], "responses": {}}},
            "/a": get(reference("#/components/schemas/Circle")), "/b": get(reference("#/components/schemas/W0")),
            "/c": get(reference("#/components/schemas/Inner")), "/d": get(reference("http://elsewhere/x")),
            "/e": get(json!({"type": 5, "properties": [1], "required": {"x": 1}, "allOf": 3})),
            "/good": {"get": {"operationId": "good", "responses": rows_of(json!({"type": "array", "items": {"properties": {"id": {}}}}))}},
            "/names/{a}{b}/{": get(json!({})),
        }),
        wide,
    );
    let answer = imported(&phone, &document);
    for path in ["/null", "/list", "/nowhere", "/self"] {
        assert!(
            !said(&answer, "notMade", path).starts_with("nothing of"),
            "{path}"
        );
    }
    for path in ["/number", "/parameters", "/a", "/b", "/c", "/d"] {
        assert!(
            !said(&answer, "notMade", &format!("GET {path}")).starts_with("nothing of"),
            "{path}: {answer}"
        );
    }
    assert_eq!(kept(&phone, "good")["key"], "id");
    // Ids that clash get another one.
    let twice = json!({"operationId": "good", "responses": {}});
    let document =
        json!({"openapi": "3.1.0", "paths": {"/x": {"get": twice}, "/y": {"get": twice}}});
    let answer = imported(&phone, &document);
    assert_eq!(answer["functions"][0]["id"], "GET /y", "{answer}");
}

#[test]
fn r8_very_many_operations_are_counted_and_named_up_to_a_limit() {
    let phone = phone();
    let mut paths = json!({});
    for number in 0..6_000 {
        paths[format!("/p{number}")] = json!({"get": {"responses": {}}});
    }
    let answer = imported(&phone, &json!({"openapi": "3.1.0", "paths": paths}));
    assert_eq!(
        (&answer["made"], &answer["leftOut"]),
        (&json!(5_000), &json!(1_000))
    );
    assert_eq!(answer["functions"].as_array().map(Vec::len), Some(1_000));
    assert_eq!(phone.ask("SELECT count(*) FROM sync_functions"), "5000");
}
