//! What this process uses of its machine, by Linux's `/proc`. Elsewhere nothing is known.

use std::fs;

/// Ticks in a second of `/proc`: `USER_HZ`, which is 100 on every architecture that Rust supports.
const TICKS: f64 = 100.0;
/// The size of a page of memory, if the kernel does not report bytes.
const PAGE: i64 = 4_096;

/// What the process uses now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Usage {
    /// Seconds of processor time in the application's own code.
    pub(super) user: f64,
    /// Seconds of processor time in the kernel.
    pub(super) system: f64,
    pub(super) threads: i64,
    /// Bytes of memory that are in RAM.
    pub(super) resident: i64,
    /// Bytes of memory that are reserved.
    pub(super) reserved: i64,
}

/// What the process uses now; `None` if the system does not report it.
pub(super) fn usage() -> Option<Usage> {
    let status = fs::read_to_string("/proc/self/status").ok();
    parse(&fs::read_to_string("/proc/self/stat").ok()?, status.as_deref())
}

/// `/proc/self/stat` and, for memory in bytes whatever the size of a page, `/proc/self/status`.
fn parse(stat: &str, status: Option<&str>) -> Option<Usage> {
    // The second field, the program's name in brackets, may have spaces and brackets.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    // The first of these is the third field of proc(5).
    let number = |field: usize| fields.get(field - 3)?.trim().parse::<u32>().ok();
    let long = |field: usize| fields.get(field - 3)?.trim().parse::<i64>().ok();
    let kibibytes = |name: &str| {
        let line = status?.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<i64>().ok()? * 1_024)
    };
    Some(Usage {
        user: f64::from(number(14)?) / TICKS,
        system: f64::from(number(15)?) / TICKS,
        threads: long(20)?,
        reserved: kibibytes("VmSize:").or_else(|| long(23))?,
        resident: kibibytes("VmRSS:").or_else(|| Some(long(24)? * PAGE))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_moves_no_field() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 12 0 5 8192 3 18446744073709551615\n";
        let status = "Name:\ta\nVmSize:\t    16 kB\nVmRSS:\t     8 kB\n";
        let usage = Usage { user: 2.5, system: 0.5, threads: 12, resident: 8_192, reserved: 16_384 };
        assert_eq!(parse(stat, Some(status)), Some(usage));
        assert_eq!(parse(stat, None), Some(Usage { resident: 12_288, reserved: 8_192, ..usage }));
        assert_eq!(parse("7 (a", None), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_threads_and_memory() {
        let usage = usage().unwrap();
        assert!(usage.threads > 0 && usage.resident > 0 && usage.reserved >= usage.resident, "{usage:?}");
    }
}
