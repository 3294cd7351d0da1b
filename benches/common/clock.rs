//! CPU time, so that what else runs on the machine counts as little as possible.

use std::time::Duration;

/// CPU time of this process, all its threads together. A request is sent in a thread of its own, which the
/// calling thread's clock would miss.
pub fn process() -> Duration {
    read(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// CPU time of another process; none where the system does not report it.
#[cfg(target_os = "linux")]
pub fn of_process(id: i32) -> Option<Duration> {
    let mut clock = 0;
    // SAFETY: `clock` is ours.
    let code = unsafe { libc::clock_getcpuclockid(id, &mut clock) };
    (code == 0).then(|| read(clock))
}

/// CPU time of another process; none where the system does not report it.
#[cfg(not(target_os = "linux"))]
pub fn of_process(_id: i32) -> Option<Duration> {
    None
}

fn read(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is ours.
    let code = unsafe { libc::clock_gettime(clock, &mut time) };
    assert_eq!(code, 0, "this system has no such clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// What some work took of [`process`], in seconds, and its result.
pub fn timed<T>(work: impl FnOnce() -> super::Result<T>) -> super::Result<(f64, T)> {
    let start = process();
    let result = work()?;
    Ok(((process() - start).as_secs_f64(), result))
}
