//! The time as it is kept in the database.

/// Now, in milliseconds since 1970: the unit of every time in the database.
pub fn now() -> i64 {
    chrono::Utc::now().timestamp_millis()
}
