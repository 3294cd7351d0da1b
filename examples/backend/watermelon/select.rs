//! Which rows stand in which section of a table's change set, as SQL.

use super::super::schema::{Table, quoted};
use super::super::switches::Switches;
use super::read::selected_columns;
use super::request::PullRequest;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Section {
    Created,
    Updated,
    Deleted,
}

impl Section {
    pub const ALL: [Section; 3] = [Section::Created, Section::Updated, Section::Deleted];

    pub fn name(self) -> &'static str {
        match self {
            Section::Created => "created",
            Section::Updated => "updated",
            Section::Deleted => "deleted",
        }
    }
}

/// What decides on the rows of one table.
pub struct Selection<'a> {
    pub table: &'a Table,
    pub request: &'a PullRequest,
    pub switches: &'a Switches,
    /// The set must be complete.
    pub is_replaced: bool,
}

impl Selection<'_> {
    /// The rows of a section, or their ids if they are deleted; `None` if there can be none.
    /// `?1` is the table, `?2` the cursor.
    pub fn sql(&self, section: Section) -> Option<String> {
        if section == Section::Deleted {
            return self.deleted();
        }
        let wanted = self.live(section)?;
        Some(format!(
            "SELECT {columns} FROM _backend_row AS r CROSS JOIN {table} AS u ON u.{key} = r.id \
             WHERE r.tab = ?1 AND NOT r.deleted AND {wanted} ORDER BY r.last_modified, r.id",
            columns = selected_columns(self.table),
            table = quoted(&self.table.name),
            key = quoted(&self.table.key),
        ))
    }

    fn deleted(&self) -> Option<String> {
        let changed = self.later_than_cursor("r.last_modified");
        let wanted = match self.switches.also_deleted {
            true => changed,
            false if self.is_first_sync() => return None,
            false => format!("r.deleted AND {changed}"),
        };
        Some(format!(
            "SELECT r.id FROM _backend_row AS r WHERE r.tab = ?1 AND {wanted} \
             ORDER BY r.last_modified, r.id"
        ))
    }

    fn live(&self, section: Section) -> Option<String> {
        let switches = self.switches;
        let sent = self.sent();
        match section {
            Section::Created if switches.all_created => Some(sent),
            Section::Created if switches.all_updated => None,
            Section::Created => Some(format!("{sent} AND {}", self.fresh())),
            Section::Updated if switches.all_created => None,
            Section::Updated if switches.all_updated || switches.duplicates => Some(sent),
            Section::Updated if self.is_first_sync() => None,
            Section::Updated => Some(format!("{sent} AND NOT {}", self.fresh())),
            Section::Deleted => None,
        }
    }

    /// The rows that are sent at all.
    fn sent(&self) -> String {
        let mut sent = match self.is_replaced {
            // Always so; every query has both parameters.
            true => "?2 IS NOT NULL".to_string(),
            false => self.later_than_cursor("r.last_modified"),
        };
        for condition in self.request.migration.conditions(self.table) {
            sent += &format!(" OR {condition}");
        }
        match self.switches.only.get(&self.table.name) {
            None => format!("({sent})"),
            Some(only) => format!(
                "({sent}) AND u.{key} IN (SELECT {key} FROM {table} WHERE {only})",
                key = quoted(&self.table.key),
                table = quoted(&self.table.name),
            ),
        }
    }

    /// Those that are sent as `created`.
    fn fresh(&self) -> String {
        let born = self.later_than_cursor("r.created_at");
        match self.switches.echo_created {
            false => born,
            true => format!("({born} OR r.last_modified IN (SELECT stamp FROM _backend_push))"),
        }
    }

    fn later_than_cursor(&self, stamp: &str) -> String {
        match self.switches.seconds_clock {
            true => format!("{stamp} / 1000 > ?2"),
            false => format!("{stamp} > ?2"),
        }
    }

    fn is_first_sync(&self) -> bool {
        self.request.cursor_for(self.table) == 0
    }
}
