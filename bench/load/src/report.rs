//! What a run came to, as JSON.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::check::Faults;
use crate::procs::Sample;

/// The report of one run.
#[derive(Serialize)]
pub struct Report {
    /// Whether every get was answered once, in time and rightly.
    pub ok: bool,
    /// Length of the measured time in seconds.
    pub seconds: f64,
    /// Right answers that arrived in it.
    pub gets: u64,
    /// The same a second.
    pub gets_per_second: f64,
    /// Latency of the gets due in the measured time.
    pub latency_us: Latency,
    /// All answers of the run by status, warm-up included.
    pub statuses: BTreeMap<u16, u64>,
    /// What went wrong in the run, warm-up included.
    pub faults: Faults,
    /// Events published in the measured time.
    pub events: u64,
    /// How the cache was filled, if it was.
    pub prefill: Option<Prefill>,
    /// CPU and memory of the watched processes.
    pub watched: BTreeMap<String, Usage>,
    /// CPU of the generator itself.
    pub load: Usage,
    /// Right answers and 503s over time.
    pub series: Option<Series>,
}

/// Latencies in microseconds.
#[derive(Serialize)]
pub struct Latency {
    count: u64,
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl Latency {
    /// From a histogram in nanoseconds.
    pub fn new(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            count: histogram.len(),
            mean: histogram.mean() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max() as f64 / 1e3,
        }
    }
}

/// The filling of the cache.
#[derive(Serialize)]
pub struct Prefill {
    /// Gets it took; more than there are endpoints if some were answered with an error first.
    pub gets: u64,
    /// Seconds it took.
    pub seconds: f64,
}

/// What a process and its children used in the measured time.
#[derive(Serialize)]
pub struct Usage {
    cpu_seconds: f64,
    /// Per right answer; `None` without answers.
    cpu_us_per_get: Option<f64>,
    /// At the end of the measured time.
    rss_bytes: u64,
    peak_rss_bytes: u64,
}

impl Usage {
    /// From the samples at both ends of the measured time.
    pub fn new(before: Sample, after: Sample, gets: u64) -> Self {
        let cpu_seconds = after.cpu - before.cpu;
        let cpu_us_per_get = (gets > 0).then(|| cpu_seconds * 1e6 / gets as f64);
        Self {
            cpu_seconds,
            cpu_us_per_get,
            rss_bytes: after.resident,
            peak_rss_bytes: after.peak,
        }
    }
}

/// Answers per interval, from the start of the measured time on.
#[derive(Serialize)]
pub struct Series {
    /// Length of an interval in milliseconds.
    pub interval_ms: u64,
    /// When the first began, in milliseconds of Unix time.
    pub began_ms: u64,
    /// Right answers.
    pub right: Vec<u64>,
    /// Answers 503.
    pub unavailable: Vec<u64>,
}
