//! The reference backend keeps its promises, with every preset, and breaks them on request.

mod astray;
mod modes;
mod oversync_a;
mod oversync_b;
mod own;
mod presets;
mod recording;
mod replacement;
mod rules;
mod wire;
