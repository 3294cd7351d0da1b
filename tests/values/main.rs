//! Values on their way between the server and columns of every declared type: none changes on the server unless its
//! column was edited here.

mod aside;
mod awaited;
mod deep;
mod every_type;
mod exact;
mod ids;
mod odd_answers;
mod server;
mod times;
