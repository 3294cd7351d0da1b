//! What the server says of itself: capabilities, health and status.

use super::later;
use super::spelling::{Object, array, quoted};
use super::state::{Health, Service, State, Who};
use crate::oversync::escape::escaped;

/// `GET /sync/capabilities`.
pub fn capabilities(service: &Service, who: &Who) -> String {
    let specs = sorted_tables(service).into_iter().map(|(name, key)| {
        Object::new()
            .text("schema", &service.options.schema)
            .text("table", name)
            .raw("sync_key_columns", &array([escaped(&quoted(key))]))
            .end()
    });
    Object::new()
        .text("protocol_version", "v1")
        .number("schema_version", 1)
        .text("app_name", &service.options.app_name)
        .raw("registered_tables", &registered(service))
        .raw("registered_table_specs", &array(specs))
        .raw("features", &features(may_watch(service, &who.source)))
        .raw("bundle_limits", &limits(service))
        .end()
}

/// Whether a source may be told of new bundles.
pub fn may_watch(service: &Service, source: &str) -> bool {
    let watch = &service.options.watch;
    watch.is_on && !is_refused(service, source)
}

/// Whether a source is kept from watching, though others may.
pub fn is_refused(service: &Service, source: &str) -> bool {
    let refused = service.options.watch.refused.as_deref();
    refused.is_some_and(|refused| source.starts_with(refused))
}

fn sorted_tables(service: &Service) -> Vec<(&str, &str)> {
    let tables = service.options.tables.iter();
    let mut tables: Vec<(&str, &str)> = tables
        .map(|table| (table.name.as_str(), table.key()))
        .collect();
    tables.sort();
    tables
}

fn registered(service: &Service) -> String {
    let tables = sorted_tables(service).into_iter();
    array(tables.map(|(name, _)| quoted(&format!("{}.{name}", service.options.schema))))
}

fn features(watch: bool) -> String {
    Object::new()
        .flag("accepted_push_replay_visibility", true)
        .flag("bundle_change_watch", watch)
        .flag("bundle_pull", true)
        .flag("bundle_push", true)
        .flag("capabilities_endpoint", true)
        .flag("committed_bundle_row_fetch", true)
        .flag("committed_bundle_visibility", true)
        .flag("connect_lifecycle", true)
        .flag("graceful_shutdown", true)
        .flag("history_pruned_errors", true)
        .flag("history_pruned_visibility", true)
        .flag("push_session_chunking", true)
        .flag("registered_write_rejection_enforced", true)
        .flag("retained_floor_visibility", true)
        .flag("retained_window_visibility", true)
        .flag("scope_initialization_leases", true)
        .flag("server_checkpoint_tracking", false)
        .flag("snapshot_chunking", true)
        .flag("status_endpoint", true)
        .flag("structured_sync_keys", true)
        .end()
}

fn limits(service: &Service) -> String {
    let limits = &service.options.limits;
    let lifetimes = &service.options.lifetimes;
    let seconds = |time: std::time::Duration| time.as_secs() as i64;
    let usual = |limit: i64| limit.min(1000);
    let mut out = Object::new();
    if let Some(rows) = limits.rows_per_bundle {
        out = out.number("max_rows_per_bundle", rows);
    }
    out = out
        .number("max_bundles_per_pull", limits.bundles_per_pull)
        .number(
            "default_rows_per_push_chunk",
            usual(limits.rows_per_push_chunk),
        )
        .number("max_rows_per_push_chunk", limits.rows_per_push_chunk)
        .number("push_session_ttl_seconds", seconds(lifetimes.push_session))
        .number(
            "default_rows_per_committed_bundle_chunk",
            usual(limits.rows_per_committed_chunk),
        )
        .number(
            "max_rows_per_committed_bundle_chunk",
            limits.rows_per_committed_chunk,
        )
        .number(
            "default_rows_per_snapshot_chunk",
            usual(limits.rows_per_snapshot_chunk),
        )
        .number(
            "max_rows_per_snapshot_chunk",
            limits.rows_per_snapshot_chunk,
        )
        .number("snapshot_session_ttl_seconds", seconds(lifetimes.snapshot));
    if let Some(rows) = limits.rows_per_snapshot {
        out = out.number("max_rows_per_snapshot_session", rows);
    }
    if later::is_on(service) {
        let chunk = limits.bytes_per_snapshot_chunk;
        out = out
            .number("default_bytes_per_snapshot_chunk", chunk / 2)
            .number("max_bytes_per_snapshot_chunk", chunk)
            .number(
                "max_bytes_per_snapshot_row",
                limits.bytes_per_snapshot_row.min(chunk),
            )
            .number("max_concurrent_snapshot_builds", 2)
            .number("max_concurrent_snapshot_chunk_requests", 8);
    }
    out.number("initialization_lease_ttl_seconds", seconds(lifetimes.lease))
        .end()
}

/// `GET /syncx/health` and `/syncx/status`.
pub fn health(service: &Service, state: &State) -> String {
    let users = || state.users.values();
    let window = |user: &super::state::User| user.head - user.floor;
    let bundles: usize = users().map(|user| user.bundles.len()).sum();
    let bytes: usize = users()
        .flat_map(|user| user.bundles.values())
        .flat_map(|bundle| &bundle.rows)
        .map(|row| row.payload.as_ref().map_or(0, String::len))
        .sum();
    let (status, lifecycle) = match state.health {
        Health::Well => ("healthy", "running"),
        Health::Closing => ("unhealthy", "shutting_down"),
        Health::Broken => ("unhealthy", "closed"),
    };
    Object::new()
        .text("status", status)
        .text("version", "v1")
        .text("app_name", &service.options.app_name)
        .text("lifecycle", lifecycle)
        .flag("accepting_operations", state.health == Health::Well)
        .number("inflight_operations", 0)
        .raw("registered_tables", &registered(service))
        .raw("features", &features(service.options.watch.is_on))
        .number("user_state_retention_floor_ahead_count", 0)
        .number(
            "latest_bundle_seq_max",
            users().map(|user| user.head).max().unwrap_or(0),
        )
        .number(
            "retained_bundle_floor_min",
            users().map(|user| user.floor).min().unwrap_or(0),
        )
        .number(
            "retained_bundle_floor_max",
            users().map(|user| user.floor).max().unwrap_or(0),
        )
        .number(
            "retained_bundle_window_min",
            users().map(window).min().unwrap_or(0),
        )
        .number(
            "retained_bundle_window_max",
            users().map(window).max().unwrap_or(0),
        )
        .number("history_pruned_error_count", state.pruned_errors)
        .number("accepted_push_replay_count", state.replays)
        .number("rejected_registered_write_count", 0)
        .number("committed_bundle_count", bundles as i64)
        .number("committed_bundle_bytes", bytes as i64)
        .end()
}
