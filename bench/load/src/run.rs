//! One run: connect, fill the cache, warm up, measure, report.

use std::collections::BTreeMap;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, anyhow};
use hdrhistogram::Histogram;

use crate::args::RunArgs;
use crate::check::Faults;
use crate::events::Events;
use crate::figures::{Figures, Interval, Plan};
use crate::keys;
use crate::procs::{self, Sample};
use crate::report::{Latency, Prefill, Report, Series, Usage};
use crate::targets::Targets;
use crate::worker::Worker;

/// Does what the command line says.
pub fn run(args: &RunArgs) -> Result<Report> {
    args.check()?;
    let targets = Targets::new(args)?;
    let order = keys::order(args, targets.known(), targets.len());
    let connections = if args.no_gets && !args.prefill {
        0
    } else {
        args.connections
    };
    let run = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)?
        .subsec_nanos()
        ^ std::process::id();
    let mut workers = (0..connections)
        .map(|number| Worker::new(args, &targets, &order, run, number))
        .collect::<Result<Vec<_>>>()?;
    let mut events = Events::new(args, &targets)?;
    let prefill = if args.prefill {
        Some(ask_each(&mut workers).context("filling the cache")?)
    } else {
        None
    };
    if let Some(events) = &mut events {
        events.prepare()?;
    }

    let start = Instant::now() + args.warmup;
    let interval = Duration::from_millis(args.series_ms);
    let plan = Plan {
        start,
        end: start + args.duration,
        interval,
    };
    let asking = if args.no_gets { &mut [] } else { &mut workers[..] };
    let (figures, events, samples) = measure(args, asking, events.as_mut(), &plan)?;
    if args.no_gets && targets.changes().is_some() {
        ask_each(&mut workers).context("after the events")?; // whose changes must be there
    }
    report(args, &workers, &figures, events, &samples, prefill, &plan)
}

fn ask_each(workers: &mut [Worker<'_>]) -> Result<Prefill> {
    let begin = Instant::now();
    let gets = thread::scope(|scope| {
        let running: Vec<_> = workers
            .iter_mut()
            .map(|worker| scope.spawn(|| worker.ask_each()))
            .collect();
        running.into_iter().map(join).sum::<Result<u64>>()
    })?;
    Ok(Prefill {
        gets,
        seconds: begin.elapsed().as_secs_f64(),
    })
}

/// Names of processes with their samples at both ends of the measured time; the generator has an empty name.
type Samples = Vec<(String, Sample, Sample)>;

fn measure(
    args: &RunArgs,
    workers: &mut [Worker<'_>],
    events: Option<&mut Events<'_>>,
    plan: &Plan,
) -> Result<(Vec<Figures>, u64, Samples)> {
    let own = (String::new(), std::process::id() as i32);
    let watched: Vec<_> = args.watch.iter().cloned().chain([own]).collect();
    let sample = |moment: Instant| {
        thread::sleep(moment.saturating_duration_since(Instant::now()));
        watched
            .iter()
            .map(|(_, pid)| procs::sample(*pid))
            .collect::<Result<Vec<_>>>()
    };
    thread::scope(|scope| {
        let running: Vec<_> = workers
            .iter_mut()
            .map(|worker| scope.spawn(|| worker.measure(plan)))
            .collect();
        let publishing = events.map(|events| scope.spawn(|| events.run(plan)));
        let (before, after) = (sample(plan.start), sample(plan.end));
        let figures = running.into_iter().map(join).collect::<Result<Vec<_>>>()?;
        let events = publishing.map_or(Ok(0), join)?;
        let both = before?.into_iter().zip(after?);
        let samples = watched
            .iter()
            .zip(both)
            .map(|((name, _), (from, to))| (name.clone(), from, to));
        Ok((figures, events, samples.collect()))
    })
}

fn join<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread
        .join()
        .map_err(|_| anyhow!("a thread of the generator panicked"))?
}

fn report(
    args: &RunArgs,
    workers: &[Worker<'_>],
    figures: &[Figures],
    events: u64,
    samples: &Samples,
    prefill: Option<Prefill>,
    plan: &Plan,
) -> Result<Report> {
    let seconds = args.duration.as_secs_f64();
    let gets: u64 = figures.iter().map(|part| part.right).sum();
    let mut faults = Faults::default();
    let mut statuses = BTreeMap::new();
    for worker in workers {
        faults += worker.judge.faults;
        for (status, count) in &worker.judge.statuses {
            *statuses.entry(*status).or_default() += count;
        }
    }
    let usage = |(_, from, to): &(String, Sample, Sample)| Usage::new(*from, *to, gets);
    let named = samples.iter().filter(|(name, ..)| !name.is_empty());
    let own = samples.iter().find(|(name, ..)| name.is_empty());
    Ok(Report {
        ok: faults.none(),
        seconds,
        gets,
        gets_per_second: gets as f64 / seconds,
        latency_us: latency(figures)?,
        statuses,
        faults,
        events,
        prefill,
        watched: named.map(|one| (one.0.clone(), usage(one))).collect(),
        load: own.map_or_else(|| Usage::new(Sample::default(), Sample::default(), 0), usage),
        series: (args.series_ms > 0)
            .then(|| series(args.series_ms, figures, plan))
            .transpose()?,
    })
}

fn latency(figures: &[Figures]) -> Result<Latency> {
    let mut all = Histogram::new(3)?;
    for part in figures {
        all.add(&part.latency)?;
    }
    Ok(Latency::new(&all))
}

fn series(interval_ms: u64, figures: &[Figures], plan: &Plan) -> Result<Series> {
    let began = (SystemTime::now() - plan.start.elapsed()).duration_since(SystemTime::UNIX_EPOCH)?;
    let length = figures.iter().map(|part| part.series.len()).max().unwrap_or(0);
    let mut sums = vec![Interval::default(); length];
    for part in figures {
        for (sum, interval) in sums.iter_mut().zip(&part.series) {
            sum.right += interval.right;
            sum.unavailable += interval.unavailable;
        }
    }
    Ok(Series {
        interval_ms,
        began_ms: began.as_millis() as u64,
        right: sums.iter().map(|sum| sum.right).collect(),
        unavailable: sums.iter().map(|sum| sum.unavailable).collect(),
    })
}
