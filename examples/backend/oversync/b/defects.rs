//! What is wrong with the recorded server. Each can be put right.

/// True: as recorded. False: as one would expect.
#[derive(Clone, Debug)]
pub struct Defects {
    /// While the server is being initialised, a push without the id is a 400, not a 409.
    pub push_without_id_is_400: bool,
    /// A connect that does not say whether there are rows counts as "no rows", and initialises empty.
    pub missing_flag_means_no_rows: bool,
    /// The device that initialises may not read meanwhile.
    pub initialiser_may_not_read: bool,
    /// Whole numbers pass through doubles on their way in (as JSON numbers) and out (in bundles).
    pub rounds_integers: bool,
    /// Whole numbers in snapshots and conflicts are rounded in a row that has a blob.
    pub rounds_beside_blobs: bool,
    /// true and false are refused in columns of whole numbers, for ever.
    pub refuses_booleans_as_integers: bool,
    /// A column spelled with capitals is not found, and the bundle is refused for ever.
    pub knows_no_capitals: bool,
    /// A lease that ran out is reported as stale (409) at chunk and commit, not as expired (410).
    pub late_lease_is_stale: bool,
    /// Sessions that ran out are forgotten (404) as soon as anyone opens a new one.
    pub forgets_expired: bool,
    /// A cursor equal to the retention floor is refused, although nothing is missing for it.
    pub floor_is_pruned: bool,
    /// A pull from 0 with history missing starts later without a word.
    pub partial_history: bool,
    /// A target above the head comes back as `stable_bundle_seq`.
    pub echoes_target: bool,
    /// The first event of a watch names the bundle only, not its source.
    pub catch_up_without_source: bool,
    /// Events that come close together are skipped up to the last.
    pub bursts_skip: bool,
    /// A pushed tuple that is known is answered as committed, however many rows were planned.
    pub replay_ignores_count: bool,
    /// A retired source still gets its old tuples acknowledged.
    pub retired_may_replay: bool,
    /// Any source of a user may fill and commit a session of another.
    pub any_source_may_fill: bool,
    /// The limit of rows in a bundle is announced and not enforced.
    pub bundle_limit_is_a_word: bool,
    /// A snapshot above its limit is a 500 without a reason.
    pub snapshot_limit_is_500: bool,
    /// An id of a snapshot that is no UUID is a 500.
    pub malformed_id_is_500: bool,
    /// Committed rows of a user who never connected are a 500.
    pub unknown_user_is_500: bool,
    /// Once it is closed, the service answers 500 instead of 503.
    pub closed_is_500: bool,
    /// `Retry-After` is never sent.
    pub no_retry_after: bool,
    /// A snapshot is ordered by the name of the tables, not by what refers to what.
    pub snapshot_by_name: bool,
    /// Reading a snapshot does not prolong its life.
    pub reading_does_not_renew: bool,
    /// A page that is asked too large is cut down without a word.
    pub caps_silently: bool,
    /// An empty snapshot has no `byte_count`.
    pub no_byte_count_when_empty: bool,
}

impl Defects {
    /// All put right.
    pub fn none() -> Defects {
        Defects::all(false)
    }

    fn all(on: bool) -> Defects {
        Defects {
            push_without_id_is_400: on,
            missing_flag_means_no_rows: on,
            initialiser_may_not_read: on,
            rounds_integers: on,
            rounds_beside_blobs: on,
            refuses_booleans_as_integers: on,
            knows_no_capitals: on,
            late_lease_is_stale: on,
            forgets_expired: on,
            floor_is_pruned: on,
            partial_history: on,
            echoes_target: on,
            catch_up_without_source: on,
            bursts_skip: on,
            replay_ignores_count: on,
            retired_may_replay: on,
            any_source_may_fill: on,
            bundle_limit_is_a_word: on,
            snapshot_limit_is_500: on,
            malformed_id_is_500: on,
            unknown_user_is_500: on,
            closed_is_500: on,
            no_retry_after: on,
            snapshot_by_name: on,
            reading_does_not_renew: on,
            caps_silently: on,
            no_byte_count_when_empty: on,
        }
    }
}

impl Default for Defects {
    fn default() -> Defects {
        Defects::all(true)
    }
}
