//! 进程的开销：/proc 里的处理器时间与内存。
//!
//! Owns what the kernel knows of a process (Linux only): seconds of processor, resident bytes.

use std::fs;

/// Processor time that the whole machine has spent on anything.
#[derive(Clone, Copy, Debug)]
pub struct Busy {
    /// Seconds, of all cores together.
    pub seconds: f64,
}

/// Linux tells times to programs in hundredths, whatever its own clock is.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds in user and system mode of a process, its threads included; 0 where it is gone.
pub(super) fn cpu(process: i32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name, in parentheses, may hold anything; user and system time are fields 14 and 15.
    let after_name = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / TICKS_PER_SECOND
}

/// Resident bytes of a process.
pub fn resident(process: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// What all cores have done since the machine started, but waiting.
pub fn busy() -> Busy {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let all = stat.lines().next().unwrap_or_default();
    let fields: Vec<f64> = all
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    // user, nice, system, then idle and waiting for disks, then interrupts and what other guests took.
    let work = [0, 1, 2, 5, 6, 7];
    let ticks: f64 = work.iter().filter_map(|at| fields.get(*at)).sum();
    Busy {
        seconds: ticks / TICKS_PER_SECOND,
    }
}
