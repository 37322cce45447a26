//! `kaa-epr-load`: asks a responder for endpoint metadata as fast as it can, or at a fixed rate, and checks
//! every answer. See `bench/README.md`.
//!
//! One thread a connection: `poll`, one read, all answers of it checked and replaced by new gets, one write.
//! That keeps the generator's own CPU per get well below that of what it measures.
#![forbid(unsafe_code)]

mod args;
mod book;
mod changes;
mod check;
mod dataset;
mod events;
mod figures;
mod keys;
mod nats;
mod numbers;
mod procs;
mod report;
mod run;
mod targets;
mod wire;
mod worker;
mod writer;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;

use crate::args::{Cli, Command};

fn main() -> Result<ExitCode> {
    match Cli::parse().command {
        Command::Generate(args) => {
            let mut out = std::io::BufWriter::new(std::io::stdout().lock());
            dataset::write_lines(&args, &mut out)?;
            out.flush()?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Run(args) => {
            let report = run::run(&args)?;
            let text = if args.json {
                serde_json::to_string(&report)?
            } else {
                serde_json::to_string_pretty(&report)?
            };
            writeln!(std::io::stdout(), "{text}")?;
            Ok(if report.ok {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(2)
            })
        }
    }
}
