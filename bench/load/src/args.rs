//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Load generator for endpoint metadata gets (19/EPMMP) over NATS.
#[derive(Parser)]
#[command(version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The two jobs of the program.
#[derive(Subcommand)]
pub enum Command {
    /// Ask a responder and check its answers; exit code 2 when any answer was wrong, lost or repeated.
    Run(Box<RunArgs>),
    /// Print the endpoints that `run` expects, one Mongo document a line.
    Generate(DatasetArgs),
}

/// Which endpoints exist. The same arguments and seed give the same endpoints in every run.
#[derive(Args, Clone, Debug)]
pub struct DatasetArgs {
    /// How many endpoints.
    #[arg(long, default_value_t = 10_000)]
    pub endpoints: u32,
    /// Metadata fields of an endpoint.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub fields: u32,
    /// Size of an endpoint's metadata as compact JSON, in bytes; at least what its keys and numbers need.
    #[arg(long, default_value_t = 300)]
    pub bytes: u32,
    /// Seed of ids, metadata and key order.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// In which order endpoints are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Distribution {
    /// Each equally likely.
    Uniform,
    /// Endpoint of rank k with probability proportional to k^-theta.
    Zipf,
    /// Round and round: with a cache smaller than the set every get misses.
    Cycle,
}

/// What an answer has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Expect {
    /// A get response with the endpoint's metadata.
    Metadata,
    /// The request itself (echo peers).
    Echo,
}

/// Which endpoints the events are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EventsOn {
    /// Endpoints nobody asks for.
    Other,
    /// The endpoints being read.
    Same,
}

/// Whose events they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EventsOf {
    /// A service's that knows nothing of this project: without headers.
    Stock,
    /// A register's: numbered, each with what changed since the version before, as if the store held it.
    Register,
}

/// `kaa-epr-load run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// NATS server, `nats://host:port`.
    #[arg(long, default_value = "nats://127.0.0.1:4222")]
    pub nats: String,
    /// Service instance name of the responder.
    #[arg(long, default_value = "epr")]
    pub instance: String,
    /// Endpoints to ask for.
    #[command(flatten)]
    pub dataset: DatasetArgs,
    /// Read the endpoints from this file instead (lines as `generate` prints them).
    #[arg(long)]
    pub endpoints_file: Option<PathBuf>,
    /// Order of the gets.
    #[arg(long, value_enum, default_value_t = Distribution::Uniform)]
    pub keys: Distribution,
    /// Exponent of the zipf distribution.
    #[arg(long, default_value_t = 0.99)]
    pub theta: f64,
    /// Ask for this many fields of each endpoint (0: all, with an empty `include`).
    #[arg(long, default_value_t = 0)]
    pub include: u32,
    /// Share of gets for endpoints that do not exist, which must be answered 404.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    pub unknown_share: f64,
    /// How many different unknown endpoints those gets name.
    #[arg(long, default_value_t = 1000)]
    pub unknown_endpoints: u32,
    /// Revision of the get request, 1 or 3.
    #[arg(long, default_value_t = 3, value_parser = revision)]
    pub revision: u8,
    /// Closed loop: gets under way at any time, over all connections.
    #[arg(long, default_value_t = 1024)]
    pub window: u32,
    /// Open loop: gets a second, over all connections, whatever the answers do; replaces the closed loop.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Open loop: gets under way at most; beyond that they wait, and their latency counts the wait.
    #[arg(long, default_value_t = 65_536)]
    pub max_inflight: u32,
    /// Connections, one thread each.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub connections: u32,
    /// Ask for every endpoint once before the warm-up, until each was answered as expected.
    #[arg(long)]
    pub prefill: bool,
    /// Only events, no gets; but those that fill the cache, and if a register's events changed it, those that ask
    /// for what became of it.
    #[arg(long)]
    pub no_gets: bool,
    /// Measured seconds.
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub duration: Duration,
    /// Seconds of load before measuring.
    #[arg(long, default_value = "2", value_parser = seconds)]
    pub warmup: Duration,
    /// Seconds after which a get counts as lost; the message carries it as its `timeout`.
    #[arg(long, default_value = "5", value_parser = seconds)]
    pub timeout: Duration,
    /// What answers must be.
    #[arg(long, value_enum, default_value_t = Expect::Metadata)]
    pub expect: Expect,
    /// 15/EME metadata updated events a second, from a connection of their own.
    #[arg(long, default_value_t = 0.0)]
    pub events_per_second: f64,
    /// What the events are about.
    #[arg(long, value_enum, default_value_t = EventsOn::Other)]
    pub events_on: EventsOn,
    /// Whose events they are; a register's are about the endpoints being read.
    #[arg(long, value_enum, default_value_t = EventsOf::Stock)]
    pub events_of: EventsOf,
    /// A program, one word an option, that changes the field "note" of endpoints in the store and prints ENDPOINT,
    /// VERSION, OLD and NEW (as JSON), apart by tabs, of each acknowledged change: they are published as a
    /// register's events. Replaces the events of a rate.
    #[arg(long, allow_hyphen_values = true)]
    pub writer: Vec<String>,
    /// Seconds into the measured time at which an undecodable event makes the responder drop its cache.
    #[arg(long, value_parser = seconds)]
    pub flush_at: Option<Duration>,
    /// Processes whose CPU and memory are taken with the measured time, children included: NAME=PID.
    #[arg(long, value_parser = watched)]
    pub watch: Vec<(String, i32)>,
    /// Length of the intervals of the report's series, in milliseconds (0: no series).
    #[arg(long, default_value_t = 0)]
    pub series_ms: u64,
    /// The report as one line of JSON instead of indented.
    #[arg(long)]
    pub json: bool,
}

impl RunArgs {
    /// Whether endpoints change, and if so, whether that is told by this program's events alone.
    pub fn changes(&self) -> Option<bool> {
        let told = self.events_of == EventsOf::Register;
        (told || !self.writer.is_empty()).then_some(told)
    }

    /// Rejects combinations that mean nothing.
    pub fn check(&self) -> Result<()> {
        if self.rate.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
            bail!("--rate must be above 0");
        }
        if !self.events_per_second.is_finite() || self.events_per_second < 0.0 {
            bail!("--events-per-second must not be negative");
        }
        if self.window < self.connections || self.max_inflight < self.connections {
            bail!("--window and --max-inflight must be at least --connections");
        }
        if !self.writer.is_empty() && self.events_per_second > 0.0 {
            bail!("--writer and --events-per-second exclude each other");
        }
        let told = self.events_of == EventsOf::Register;
        if told && (self.events_on == EventsOn::Other || !self.prefill || self.events_per_second == 0.0) {
            bail!("--events-of=register needs --events-per-second, --events-on=same and --prefill");
        }
        if self.changes().is_some() && (self.endpoints_file.is_some() || self.revision != 3) {
            bail!("answers beside changes are judged of revision 3 and of no --endpoints-file");
        }
        if self.duration.is_zero() {
            bail!("--duration must be above 0");
        }
        Ok(())
    }
}

fn seconds(text: &str) -> Result<Duration> {
    let value: f64 = text.parse().context("seconds expected")?;
    Ok(Duration::try_from_secs_f64(value)?)
}

fn share(text: &str) -> Result<f64> {
    let value: f64 = text.parse().context("a number from 0 to 1 expected")?;
    if !(0.0..=1.0).contains(&value) {
        bail!("a number from 0 to 1 expected");
    }
    Ok(value)
}

fn revision(text: &str) -> Result<u8> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => bail!("1 or 3 expected"),
    }
}

fn watched(text: &str) -> Result<(String, i32)> {
    let (name, pid) = text.split_once('=').context("NAME=PID expected")?;
    Ok((name.to_owned(), pid.parse().context("NAME=PID expected")?))
}
