//! The order of the gets, drawn before the run so that every distribution costs the same while it runs.

use crate::args::{Distribution, RunArgs};
use crate::dataset::mix;

/// Draws at least this many gets before the order repeats.
const LEAST: usize = 1 << 20;
const MOST: usize = 1 << 22;

/// The targets in the order in which they are asked for; it is repeated from the start at its end.
pub fn order(args: &RunArgs, known: u32, all: u32) -> Vec<u32> {
    let seed = args.dataset.seed ^ 0x6b65_7973;
    let count = match args.keys {
        Distribution::Cycle => known as usize,
        Distribution::Uniform | Distribution::Zipf => (known as usize * 4).clamp(LEAST, MOST),
    };
    let ranks = (args.keys == Distribution::Zipf).then(|| cumulated(known, args.theta));
    let pick = |number: usize| {
        let random = mix(seed, 2 * number as u64);
        if all > known && unit(mix(seed, 2 * number as u64 + 1)) < args.unknown_share {
            return known + below(random, all - known);
        }
        match &ranks {
            Some(sums) => sums
                .partition_point(|&sum| sum < unit(random))
                .min(known as usize - 1) as u32,
            None if args.keys == Distribution::Cycle => number as u32,
            None => below(random, known),
        }
    };
    (0..count).map(pick).collect()
}

/// A number below `limit` from 64 random bits (multiply-shift).
fn below(random: u64, limit: u32) -> u32 {
    (((random >> 32) * u64::from(limit)) >> 32) as u32
}

/// A number in [0, 1) from 64 random bits.
fn unit(random: u64) -> f64 {
    (random >> 11) as f64 / (1u64 << 53) as f64
}

/// Cumulated probabilities of the ranks 1..=n under a zipf law with exponent `theta`.
fn cumulated(n: u32, theta: f64) -> Vec<f64> {
    let weights = (1..=n).map(|rank| f64::from(rank).powf(-theta));
    let mut sums: Vec<f64> = weights
        .scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        })
        .collect();
    let total = sums.last().copied().unwrap_or(1.0);
    sums.iter_mut().for_each(|sum| *sum /= total);
    sums
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    fn args(line: &[&str]) -> RunArgs {
        let Command::Run(args) = Cli::parse_from([&["load", "run"], line].concat()).command else {
            unreachable!("the command is run")
        };
        *args
    }

    #[test]
    fn a_cycle_asks_each_once() {
        let order = order(&args(&["--keys", "cycle"]), 1000, 1000);
        assert!(order.iter().copied().eq(0..1000));
    }

    #[test]
    fn zipf_prefers_the_first() {
        let order = order(&args(&["--keys", "zipf"]), 1000, 1000);
        let first = order.iter().filter(|&&key| key == 0).count() as f64 / order.len() as f64;
        assert!((0.12..0.14).contains(&first), "share of rank 1: {first}"); // 1 / sum of k^-0.99
        assert!(order.iter().all(|&key| key < 1000));
    }

    #[test]
    fn unknown_endpoints_have_their_share() {
        let order = order(&args(&["--unknown-share", "0.25"]), 1000, 1100);
        let unknown = order.iter().filter(|&&key| key >= 1000).count() as f64 / order.len() as f64;
        assert!((0.24..0.26).contains(&unknown), "share of unknown: {unknown}");
    }
}
