//! The two revisions of the protocol.

/// How a server says things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revision {
    Earlier,
    /// Numbers travel as text, and each bundle comes with the hash of its request.
    Later,
}
