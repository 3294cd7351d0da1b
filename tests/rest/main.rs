//! The kind `rest`: rows from any API that gives out JSON over HTTP, asked for by functions. Tests are named by the rule
//! that they prove.

mod phone;
mod server;
mod shelf;

mod answers;
mod conditions;
mod deletes;
mod fastapi;
mod functions;
mod guards;
mod import;
mod incremental;
mod limits;
mod login;
mod modes;
mod paging;
mod parents;
mod versions;
mod writes;
