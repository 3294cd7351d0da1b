//! The WatermelonDB protocol, its options and the takeover of its files.

mod migrations;
mod options;
mod presets;
mod scale;
mod scenarios;
mod takeover;
