//! Writes that another program makes and reports: it changes endpoints in the store and prints a line of ENDPOINT,
//! VERSION, OLD and NEW, apart by tabs, for each, once it is acknowledged.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// Reported writes that wait to be published; beyond that the program waits with its pipe.
const AHEAD: usize = 1024;
/// The first report comes within this time.
const START: Duration = Duration::from_secs(30);

/// An acknowledged write.
#[derive(Debug, PartialEq, Eq)]
pub struct Write {
    /// Endpoint id.
    pub endpoint: String,
    /// Its version now.
    pub version: i64,
    /// JSON text of the changed field before.
    pub old: String,
    /// JSON text of the changed field now.
    pub new: String,
}

/// The program that writes.
pub struct Writer {
    program: Child,
    /// The first report, which `start` has waited for.
    first: Option<Write>,
    reported: Receiver<Write>,
}

impl Writer {
    /// Starts the program and waits for its first report.
    pub fn start(command: &[String]) -> Result<Self> {
        let (name, arguments) = command.split_first().context("--writer names no program")?;
        let mut program = Command::new(name)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let pipe = program.stdout.take().context("the writer has no output")?;
        let (report, reported) = sync_channel(AHEAD);
        thread::spawn(move || {
            // Ends with the program, with the run, or with a line that is none; the run notices all three.
            for line in BufReader::new(pipe).lines() {
                let Some(write) = line.ok().as_deref().and_then(parse) else {
                    return;
                };
                if report.send(write).is_err() {
                    return;
                }
            }
        });
        let mut writer = Self {
            program,
            first: None,
            reported,
        };
        let first = writer.reported.recv_timeout(START);
        writer.first = Some(first.context("the writer printed no write")?);
        Ok(writer)
    }

    /// The next reported write, if there is one; an error when there will be no more.
    pub fn next(&mut self) -> Result<Option<Write>> {
        if let Some(write) = self.first.take() {
            return Ok(Some(write));
        }
        match self.reported.try_recv() {
            Ok(write) => Ok(Some(write)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => bail!("the writer ended, or printed a line that is no write"),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone when this returns.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

fn parse(line: &str) -> Option<Write> {
    let mut words = line.split('\t');
    let mut next = || words.next().filter(|word| !word.is_empty());
    let write = Write {
        endpoint: next()?.to_owned(),
        version: next()?.parse().ok()?,
        old: next()?.to_owned(),
        new: next()?.to_owned(),
    };
    words.next().is_none().then_some(write)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(script: &str) -> Result<Writer> {
        Writer::start(&["sh", "-c", script].map(str::to_owned))
    }

    fn next(writer: &mut Writer) -> Result<Write> {
        loop {
            if let Some(write) = writer.next()? {
                return Ok(write);
            }
            thread::yield_now();
        }
    }

    #[test]
    fn reported_writes_come_in_order() -> Result<()> {
        let mut writer = writer(r#"printf 'a\t7\t"x y"\t"z"\nb\t8\t1\t2\n'; exec sleep 60"#)?;
        for (endpoint, version, old, new) in [("a", 7, r#""x y""#, r#""z""#), ("b", 8, "1", "2")] {
            let expected = Write {
                endpoint: endpoint.to_owned(),
                version,
                old: old.to_owned(),
                new: new.to_owned(),
            };
            assert_eq!(next(&mut writer)?, expected);
        }
        Ok(())
    }

    #[test]
    fn a_writer_that_ends_or_babbles_is_an_error() -> Result<()> {
        for said in [r"a\t7\t1\n", r"a\tx\t1\t2\n", r"a\t7\t1\t2\t3\n"] {
            assert!(
                writer(&format!("printf '{said}'; exec sleep 60")).is_err(),
                "{said}"
            );
        }
        assert!(writer("true").is_err());
        let mut ending = writer(r"printf 'a\t7\t1\t2\n'")?;
        assert!(next(&mut ending).is_ok() && next(&mut ending).is_err());
        Ok(())
    }
}
