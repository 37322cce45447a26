//! What is measured of one connection, and when.

use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::check::Settled;

/// Largest latency told apart, in nanoseconds: an hour. A histogram that resizes itself cannot saturate.
const MAX_LATENCY_NS: u64 = 3_600_000_000_000;

/// When what is measured: load runs from now to `end`, and counts from `start`.
#[derive(Clone, Copy)]
pub struct Plan {
    /// End of the warm-up.
    pub start: Instant,
    /// End of the measured time.
    pub end: Instant,
    /// Length of the series' intervals; zero: no series.
    pub interval: Duration,
}

/// Answers in one interval of the series.
#[derive(Clone, Copy, Default)]
pub struct Interval {
    /// Right answers.
    pub right: u64,
    /// Answers 503.
    pub unavailable: u64,
}

/// What a connection measured.
pub struct Figures {
    /// Right answers that arrived in the measured time.
    pub right: u64,
    /// Latency in nanoseconds of gets due in the measured time, from the moment each was due.
    pub latency: Histogram<u64>,
    /// Right answers and 503s over time.
    pub series: Vec<Interval>,
}

impl Figures {
    /// Nothing as yet.
    pub fn new(plan: &Plan) -> Result<Self> {
        let intervals = match plan.interval.as_nanos() {
            0 => 0,
            length => (plan.end - plan.start).as_nanos().div_ceil(length) as usize,
        };
        let latency = Histogram::new_with_max(MAX_LATENCY_NS, 3)?;
        Ok(Self {
            right: 0,
            latency,
            series: vec![Interval::default(); intervals],
        })
    }

    /// Counts a get given up at `now`: leaving it out would flatter whoever loses the slowest.
    pub fn add_lost(&mut self, plan: &Plan, origin: Instant, now: Instant) {
        self.add_latency(plan, origin, now);
    }

    fn add_latency(&mut self, plan: &Plan, origin: Instant, now: Instant) {
        if (plan.start..plan.end).contains(&origin) {
            self.latency.saturating_record((now - origin).as_nanos() as u64);
        }
    }

    /// Counts an answer that came at `arrival`.
    pub fn add(&mut self, plan: &Plan, settled: &Settled, arrival: Instant) {
        self.add_latency(plan, settled.get.origin, arrival);
        if !(plan.start..plan.end).contains(&arrival) {
            return;
        }
        self.right += u64::from(settled.right);
        if !self.series.is_empty() {
            let number = (arrival - plan.start).as_nanos() / plan.interval.as_nanos();
            let interval = &mut self.series[number as usize];
            interval.right += u64::from(settled.right);
            interval.unavailable += u64::from(settled.status == 503);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::Get;
    use crate::targets::Expected;

    fn settled(origin: Instant, status: u16) -> Settled {
        Settled {
            get: Get {
                target: 0,
                expected: Expected::default(),
                origin,
            },
            status,
            right: status == 200,
        }
    }

    #[test]
    fn figures_are_of_the_measured_time_alone() -> Result<()> {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let plan = Plan {
            start: at(100),
            end: at(200),
            interval: Duration::from_millis(50),
        };
        let mut figures = Figures::new(&plan)?;
        figures.add(&plan, &settled(at(90), 200), at(95));
        figures.add(&plan, &settled(at(95), 200), at(110));
        figures.add(&plan, &settled(at(120), 503), at(160));
        figures.add(&plan, &settled(at(150), 200), at(230));
        assert_eq!(figures.right, 1);
        let series: Vec<_> = figures
            .series
            .iter()
            .map(|one| (one.right, one.unavailable))
            .collect();
        assert_eq!(series, [(1, 0), (0, 1)]);
        assert_eq!(figures.latency.len(), 2);
        assert!(
            figures.latency.max().abs_diff(80_000_000) < 80_000,
            "80 ms within 3 digits"
        );
        Ok(())
    }
}
