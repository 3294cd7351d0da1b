//! What a response does to the tables of an entity, for programs that move the data themselves.
//!
//! | setting | effect |
//! |---|---|
//! | none | all rows go, those of the response come |
//! | `forRowsWithMatchingIds` | rows are merged by id, others stay |
//! | `forRowsWithValues`, `forRowsInRange` | the rows they name go, those of the response come |
//! | `operations` | these, in order |
//! | `keepTempIds` | rows with a temporary id never go |
//!
//! The rules are those of Jigx's REST functions. Rows go on the first page only.
//!
//! Into a tracked table the rows are applied like those of any server: nothing of it is captured, a row edited
//! here meets the server's by the entity's policy, and what waits to be sent never goes with others
//! (`tracked`, `find_replace`). Other tables are simply written.

mod attempt;
mod entity_table;
mod find_replace;
mod operations;
mod outcome;
mod plain;
mod records;
mod respond;
mod rows;
mod scope;
mod settings;
mod tracked;

pub use entity_table::make_documents;
pub use outcome::Page;
pub use respond::{apply_response, check_settings};
#[cfg(fuzzing)]
pub use respond::{read_records, read_settings};
