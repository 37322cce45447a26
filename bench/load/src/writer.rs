//! Writes that another program makes and reports, as numbered events (`schemas/coherence/`): the program changes
//! endpoints in the store and prints a line "ENDPOINT VERSION" for each, once it is acknowledged.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Reported writes that wait to be published; beyond that the program waits with its pipe.
const AHEAD: usize = 1024;
/// The first report comes within this time.
const START: Duration = Duration::from_secs(30);
/// `schemas/coherence/`: a writer is heard at least so often.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// Where heartbeats go.
pub const HEARTBEAT_SUBJECT: &str = "kaa.v1.coherence.bench.heartbeat";

/// An acknowledged write.
pub struct Write {
    /// Endpoint id.
    pub endpoint: String,
    /// Its version now.
    pub version: i64,
}

/// The program, and the numbers of what it wrote.
pub struct Writer {
    program: Child,
    /// The first report, which `start` has waited for.
    first: Option<Write>,
    reported: Receiver<Write>,
    id: String,
    seq: u64,
    heartbeat: Instant,
}

impl Writer {
    /// Starts the program and waits for its first report. `id`: unique, of this run.
    pub fn start(command: &[String], id: String) -> Result<Self> {
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
            id,
            seq: 0,
            heartbeat: Instant::now(),
        };
        let first = writer.reported.recv_timeout(START);
        writer.first = Some(first.context("the writer printed no \"ENDPOINT VERSION\"")?);
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
            Err(TryRecvError::Disconnected) => bail!("the writer ended, or printed no \"ENDPOINT VERSION\""),
        }
    }

    /// The headers of the next event.
    pub fn headers(&mut self, version: i64) -> String {
        self.seq += 1;
        let (id, seq) = (&self.id, self.seq);
        format!(
            "NATS/1.0\r\nKaa-Epr-Writer: {id}\r\nKaa-Epr-Seq: {seq}\r\nKaa-Epr-Version: {version}\r\n\r\n"
        )
    }

    /// The headers of a heartbeat, when one is due.
    pub fn heartbeat(&mut self, now: Instant) -> Option<String> {
        (now >= self.heartbeat).then(|| {
            self.heartbeat = now + HEARTBEAT;
            let (id, seq) = (&self.id, self.seq);
            format!("NATS/1.0\r\nKaa-Epr-Writer: {id}\r\nKaa-Epr-Seq: {seq}\r\n\r\n")
        })
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
    let (endpoint, version) = line.split_once(' ')?;
    Some(Write {
        endpoint: endpoint.to_owned(),
        version: version.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(script: &str) -> Result<Writer> {
        Writer::start(&["sh", "-c", script].map(str::to_owned), "w".to_owned())
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
    fn reported_writes_are_numbered() -> Result<()> {
        let mut writer = writer("echo a 7; echo b 8; exec sleep 60")?;
        for (endpoint, version, seq) in [("a", 7, 1), ("b", 8, 2)] {
            let write = next(&mut writer)?;
            assert_eq!((write.endpoint.as_str(), write.version), (endpoint, version));
            let headers = writer.headers(write.version);
            assert!(headers.contains(&format!("Seq: {seq}\r\nKaa-Epr-Version: {version}\r\n\r\n")));
        }
        let now = Instant::now();
        assert!(
            writer
                .heartbeat(now)
                .is_some_and(|text| text.ends_with("Seq: 2\r\n\r\n"))
        );
        assert!(writer.heartbeat(now).is_none() && writer.heartbeat(now + HEARTBEAT).is_some());
        Ok(())
    }

    #[test]
    fn a_writer_that_ends_or_babbles_is_an_error() -> Result<()> {
        for script in ["true", "echo no-version; exec sleep 60"] {
            assert!(writer(script).is_err(), "{script}");
        }
        let mut ending = writer("echo a 7")?;
        assert!(next(&mut ending).is_ok() && next(&mut ending).is_err());
        Ok(())
    }
}
