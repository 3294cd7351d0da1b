//! A file of v0.1.0 is read as it is, upgraded by the first call that writes, as a whole or not at all, and goes
//! on from there: nothing that waited in it is lost, doubled or forgotten.

mod failure;
mod fixture;
mod goes_on;
mod reading;
mod upgrade;
