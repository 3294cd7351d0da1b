//! Memory of this process.

/// Resident memory now, and its peak so far, in MiB. None where the system does not report it.
///
/// Not from getrusage: there the peak of a new process begins with its parent's.
pub fn resident() -> Option<(f64, f64)> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let of = |name: &str| -> Option<f64> {
        let line = status.lines().find(|line| line.starts_with(name))?;
        let kibibytes: f64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some(kibibytes / 1024.0)
    };
    Some((of("VmRSS:")?, of("VmHWM:")?))
}
