//! When something is due, without a clock and without a database of its own.

use crate::providers::conversation::Goal;
use crate::store::{Database, Result, Statement};

use super::noticed::Changed;

/// What `sync_auto` was told of a provider, and how it went so far. Times are milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub provider: String,
    pub upload_every: Option<i64>,
    pub download_every: Option<i64>,
    pub debounce: Option<i64>,
    pub backoff: i64,
    /// Epoch, as are the next.
    pub uploaded_at: i64,
    pub downloaded_at: i64,
    pub failures: i64,
    pub failed_at: Option<i64>,
    pub retry_at: Option<i64>,
    /// News is listened for, as long as a thread carries this out.
    pub watch: bool,
}

/// What else matters about a provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// Something waits to be sent.
    pub pending: bool,
    /// When changes of tracked tables were noticed that wait, if that is known.
    pub changed: Option<Changed>,
    /// When the last run of the provider succeeded. Epoch ms.
    pub succeeded_at: Option<i64>,
    pub uploads_paused: bool,
    pub downloads_paused: bool,
    /// The server has said that there is something new.
    pub has_news: bool,
    /// It should say so, but nothing connects us.
    pub is_deaf: bool,
}

/// When work is due; none: not at all as things stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Due {
    pub upload: Option<i64>,
    pub download: Option<i64>,
}

/// How often is asked at least where news is listened for and nothing connects us. Milliseconds.
const DEAF: i64 = 60_000;

/// The longest back-off, as a multiple of the first.
const LONGEST: i64 = 16;

impl Schedule {
    const COLUMNS: &str = "provider, uploadEvery, downloadEvery, debounce, backoff, uploadedAt, downloadedAt, \
         failures, failedAt, retryAt, watch";

    /// All schedules of a file.
    ///
    /// # Errors
    /// SQLite's.
    pub fn all(database: &Database) -> Result<Vec<Self>> {
        let sql = format!(
            "SELECT {} FROM main._syncSchedule ORDER BY provider",
            Self::COLUMNS
        );
        database.query_all(&sql, &[], |row| Ok(Self::read(row)))
    }

    fn read(row: &Statement) -> Self {
        let number = |index: usize| row.column(index).as_i64();
        Self {
            provider: row.text(0),
            upload_every: number(1),
            download_every: number(2),
            debounce: number(3),
            backoff: row.integer(4).max(1),
            uploaded_at: row.integer(5),
            downloaded_at: row.integer(6),
            failures: row.integer(7),
            failed_at: number(8),
            retry_at: number(9),
            watch: row.integer(10) != 0,
        }
    }

    /// When uploads and downloads are due.
    pub fn due(&self, now: &Circumstances) -> Due {
        let mended = match (now.succeeded_at, self.failed_at) {
            (Some(success), Some(failure)) => success > failure,
            _ => false,
        };
        let not_before = self.retry_at.filter(|_| !mended).unwrap_or(0);
        let (by_change, since) = match (self.debounce, now.changed) {
            (Some(debounce), Some(changed)) => {
                (Some(changed.last.saturating_add(debounce)), changed.first)
            }
            _ => (None, 0),
        };
        // However long nothing was to be sent: what comes then is a burst. One without an end goes up by the clock.
        let since = self.uploaded_at.max(since);
        let by_clock = self.upload_every.map(|every| since.saturating_add(every));
        let upload = by_clock.into_iter().chain(by_change).min();
        let every = match now.is_deaf {
            true => Some(self.download_every.map_or(DEAF, |every| every.min(DEAF))),
            false => self.download_every,
        };
        let download = every.map(|every| self.downloaded_at.saturating_add(every));
        let download = match now.has_news {
            true => Some(0),
            false => download,
        };
        Due {
            upload: upload
                .filter(|_| now.pending && !now.uploads_paused)
                .map(|at| at.max(not_before)),
            download: download
                .filter(|_| !now.downloads_paused)
                .map(|at| at.max(not_before)),
        }
    }

    /// How long to wait after that many failures, one after the other. `asked`: the seconds that the server has asked
    /// for. `jitter`: 0 to 1.
    pub fn wait_after(&self, failures: i64, asked: Option<i64>, jitter: f64) -> i64 {
        let doubled = 1i64 << failures.saturating_sub(1).clamp(0, 4);
        let wait = match asked {
            Some(seconds) => seconds.saturating_mul(1000),
            None => self.backoff.saturating_mul(doubled.min(LONGEST)),
        };
        wait.saturating_add((wait as f64 * 0.2 * jitter) as i64)
    }
}

impl Due {
    /// The earlier of both.
    pub fn next(&self) -> Option<i64> {
        self.upload.into_iter().chain(self.download).min()
    }

    /// What is to be done at a moment.
    pub fn goal(&self, now: i64) -> Option<Goal> {
        let is_due = |at: Option<i64>| at.is_some_and(|at| at <= now);
        match (is_due(self.upload), is_due(self.download)) {
            (true, true) => Some(Goal::Sync),
            (true, false) => Some(Goal::Upload),
            (false, true) => Some(Goal::Hydrate),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every 30 s up, every 120 s down, 2 s after a change; a minute after a failure.
    fn schedule() -> Schedule {
        Schedule {
            provider: "cloud".into(),
            upload_every: Some(30_000),
            download_every: Some(120_000),
            debounce: Some(2_000),
            backoff: 60_000,
            uploaded_at: 0,
            downloaded_at: 0,
            failures: 0,
            failed_at: None,
            retry_at: None,
            watch: false,
        }
    }

    fn once(at: i64) -> Option<Changed> {
        Some(Changed {
            first: at,
            last: at,
        })
    }

    fn pending() -> Circumstances {
        Circumstances {
            pending: true,
            ..Circumstances::default()
        }
    }

    #[test]
    fn line_10_uploads_and_downloads_have_clocks_of_their_own() {
        let mut schedule = schedule();
        let mut done = Vec::new();
        for now in (0..=240_000).step_by(1_000) {
            let goal = schedule.due(&pending()).goal(now);
            if matches!(goal, Some(Goal::Sync | Goal::Upload)) {
                schedule.uploaded_at = now;
            }
            if matches!(goal, Some(Goal::Sync | Goal::Hydrate)) {
                schedule.downloaded_at = now;
            }
            done.extend(goal.map(|goal| (now / 1_000, goal.as_str())));
        }
        let expected = [
            (30, "upload"),
            (60, "upload"),
            (90, "upload"),
            (120, "sync"),
            (150, "upload"),
            (180, "upload"),
            (210, "upload"),
            (240, "sync"),
        ];
        assert_eq!(done, expected);
    }

    #[test]
    fn line_10_nothing_goes_up_where_nothing_waits() {
        let idle = Circumstances {
            changed: once(5),
            ..Circumstances::default()
        };
        let due = schedule().due(&idle);
        assert_eq!((due.upload, due.download), (None, Some(120_000)));
    }

    #[test]
    fn line_10_a_burst_gives_one_run_after_its_last_change() {
        let changed = |at: i64| Circumstances {
            changed: Some(Changed {
                first: 1_000,
                last: at,
            }),
            ..pending()
        };
        // Also where nothing went up for long.
        let idle_for_long = Schedule {
            uploaded_at: -100_000,
            ..schedule()
        };
        for schedule in [schedule(), idle_for_long] {
            for at in [1_000, 1_500, 2_900, 4_000] {
                assert_eq!(schedule.due(&changed(at)).goal(at + 1_999), None);
            }
            let due = schedule.due(&changed(4_000));
            assert_eq!(due.goal(6_000), Some(Goal::Upload));
            // A burst without an end goes up by the clock.
            assert_eq!(schedule.due(&changed(30_900)).upload, Some(31_000));
        }
    }

    #[test]
    fn line_10_after_a_failure_both_wait_and_success_clears_that() {
        let failed = Schedule {
            failures: 1,
            failed_at: Some(100_000),
            retry_at: Some(160_000),
            ..schedule()
        };
        let changed = Circumstances {
            changed: once(100_500),
            ..pending()
        };
        let due = failed.due(&changed);
        assert_eq!((due.upload, due.download), (Some(160_000), Some(160_000)));
        // Somebody called, and it went well.
        let mended = Circumstances {
            succeeded_at: Some(100_700),
            ..changed
        };
        assert_eq!(failed.due(&mended).upload, Some(102_500));
    }

    #[test]
    fn line_10_the_wait_doubles_up_to_a_bound() {
        let schedule = schedule();
        let waits: Vec<i64> = (1..=7)
            .map(|n| schedule.wait_after(n, None, 0.0) / 60_000)
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 16, 16]);
        assert_eq!(schedule.wait_after(1, None, 1.0), 72_000);
        assert!(schedule.wait_after(i64::MAX, None, 0.5) > 0);
        assert_eq!(schedule.wait_after(3, Some(5), 0.0), 5_000);
    }

    #[test]
    fn o3_news_is_fetched_at_once_unless_the_last_try_failed() {
        let news = Circumstances {
            has_news: true,
            ..Circumstances::default()
        };
        assert_eq!(schedule().due(&news).goal(1), Some(Goal::Hydrate));
        let failed = Schedule {
            failed_at: Some(100_000),
            retry_at: Some(160_000),
            ..schedule()
        };
        assert_eq!(failed.due(&news).download, Some(160_000));
        let paused = Circumstances {
            downloads_paused: true,
            ..news
        };
        assert_eq!(schedule().due(&paused).download, None);
    }

    #[test]
    fn o3_without_a_connection_the_server_is_asked_every_minute() {
        let deaf = Circumstances {
            is_deaf: true,
            ..Circumstances::default()
        };
        let every = |download_every| Schedule {
            download_every,
            ..schedule()
        };
        for (usual, due) in [
            (None, 60_000),
            (Some(120_000), 60_000),
            (Some(10_000), 10_000),
        ] {
            assert_eq!(every(usual).due(&deaf).download, Some(due));
        }
    }

    #[test]
    fn what_is_paused_is_not_due() {
        let paused = Circumstances {
            uploads_paused: true,
            ..pending()
        };
        assert_eq!(schedule().due(&paused).upload, None);
        let paused = Circumstances {
            downloads_paused: true,
            ..pending()
        };
        assert_eq!(schedule().due(&paused).download, None);
    }
}
