//! CPU time and memory of processes, from Linux's /proc (proc(5)).

use std::collections::HashSet;
use std::fs;

use anyhow::{Context as _, Result};

/// A process and all that descend from it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// User and system time so far, in seconds.
    pub cpu: f64,
    /// Resident memory in bytes.
    pub resident: u64,
    /// Largest resident memory so far in bytes, summed over the processes.
    pub peak: u64,
}

/// Samples process `pid` and its living descendants.
pub fn sample(pid: i32) -> Result<Sample> {
    let mut total = Sample::default();
    let mut family = HashSet::from([pid]);
    let mut stats = all()?;
    // A child may have a smaller number than its parent once numbers have wrapped: go on until none is new.
    loop {
        let (found, rest): (Vec<_>, Vec<_>) = stats
            .into_iter()
            .partition(|stat| stat.pid == pid || family.contains(&stat.parent));
        if found.is_empty() {
            break;
        }
        for stat in &found {
            family.insert(stat.pid);
            total.cpu += stat.ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
            let (resident, peak) = memory(stat.pid);
            total.resident += resident;
            total.peak += peak;
        }
        stats = rest;
    }
    anyhow::ensure!(total.resident > 0, "process {pid} is gone");
    Ok(total)
}

struct Stat {
    pid: i32,
    parent: i32,
    ticks: u64,
}

fn all() -> Result<Vec<Stat>> {
    let mut stats = Vec::new();
    for entry in fs::read_dir("/proc").context("no /proc")? {
        let name = entry?.file_name();
        stats.extend(name.to_str().and_then(|name| name.parse().ok()).and_then(stat));
    }
    Ok(stats)
}

/// `None` for a process that has ended meanwhile.
fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; what follows the last one is plain.
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace().skip(1);
    let parent = fields.next()?.parse().ok()?;
    let mut times = fields.skip(9); // field 14 is utime, 15 stime; the parent is 4
    let user: u64 = times.next()?.parse().ok()?;
    let system: u64 = times.next()?.parse().ok()?;
    Some(Stat {
        pid,
        parent,
        ticks: user + system,
    })
}

/// Resident and peak memory; zero for a process that has ended meanwhile.
fn memory(pid: i32) -> (u64, u64) {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    (of("VmRSS:").unwrap_or(0) * 1024, of("VmHWM:").unwrap_or(0) * 1024)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_busy_child_counts() -> Result<()> {
        let pid = std::process::id() as i32;
        let before = sample(pid)?;
        let mut child = Command::new("sh")
            .args([
                "-c",
                "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done; read wait",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let output = child.stdout.take().context("no output")?;
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line)?;
        let after = sample(pid)?;
        drop(child.stdin.take());
        child.wait()?;
        assert!(after.cpu > before.cpu, "{after:?} after {before:?}");
        assert!(after.resident > 0 && after.peak >= after.resident);
        Ok(())
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        assert!(sample(i32::MAX).is_err());
    }
}
