//! A NATS connection reduced to what a load generator needs: PUB out, MSG in, one non-blocking socket.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use memchr::memchr;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Room for one read at least; bigger reads leave the second-level cache.
const READ_SIZE: usize = 256 * 1024;
/// Starts with room for the largest message a server takes by default (1 MiB), and a read.
const BUFFER_SIZE: usize = 2 * 1024 * 1024;
/// A frame that has not ended by now is none of ours.
const MAX_FRAME: usize = 128 * 1024 * 1024;

/// One connection. Bytes to send gather until `exchange`.
pub struct Connection {
    socket: TcpStream,
    input: Vec<u8>,
    unread: Range<usize>,
    output: Vec<u8>,
    written: usize,
}

impl Connection {
    /// Connects to `nats://host:port` and subscribes to `subjects`, confirmed by the server.
    pub fn open(url: &str, subjects: &[&str]) -> Result<Self> {
        let address = url.strip_prefix("nats://").unwrap_or(url).trim_end_matches('/');
        let socket = TcpStream::connect(address).with_context(|| format!("cannot connect to {url}"))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(HANDSHAKE_TIMEOUT))?;
        let mut reader = BufReader::new(&socket);
        let info = line(&mut reader)?;
        if !info.starts_with("INFO ") {
            bail!("{url} is no NATS server");
        }
        let mut hello = String::from(
            "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":false,\"name\":\"kaa-epr-load\",\
             \"lang\":\"rust\",\"version\":\"0\",\"protocol\":1,\"headers\":true}\r\n",
        );
        for (number, subject) in subjects.iter().enumerate() {
            hello += &format!("SUB {subject} {}\r\n", number + 1);
        }
        hello += "PING\r\n";
        (&socket).write_all(hello.as_bytes())?;
        loop {
            match line(&mut reader)?.as_str() {
                "PONG" => break,
                "PING" => (&socket).write_all(b"PONG\r\n")?,
                refused if refused.starts_with("-ERR") => bail!("{url}: {refused}"),
                _ => {}
            }
        }
        // nats-server 2.15 sends a second INFO behind the PONG.
        let early = reader.buffer().to_vec();
        socket.set_nonblocking(true)?;
        let mut input = vec![0; BUFFER_SIZE];
        input[..early.len()].copy_from_slice(&early);
        Ok(Self {
            socket,
            input,
            unread: 0..early.len(),
            output: Vec::with_capacity(READ_SIZE),
            written: 0,
        })
    }

    /// The bytes to send next are appended here.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Bytes not yet taken by the kernel.
    pub fn backlog(&self) -> usize {
        self.output.len() - self.written
    }

    /// Writes what is there, waits at most `timeout` for something to read, and reads once.
    pub fn exchange(&mut self, timeout: Duration) -> Result<()> {
        self.write()?;
        let mut wanted = PollFlags::IN;
        if self.backlog() > 0 {
            wanted |= PollFlags::OUT;
        }
        let mut sockets = [PollFd::new(&self.socket, wanted)];
        let wait = Timespec::try_from(timeout)?;
        match poll(&mut sockets, Some(&wait)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let ready = sockets[0].revents();
        if ready.contains(PollFlags::OUT) {
            self.write()?;
        }
        if ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            self.read()?;
        }
        Ok(())
    }

    /// The payload of the next message that is whole; PINGs are answered on the way.
    pub fn next(&mut self) -> Result<Option<Range<usize>>> {
        loop {
            let bytes = &self.input[self.unread.clone()];
            let Some(end) = memchr(b'\n', bytes) else {
                return Ok(None);
            };
            let head = bytes[..end].trim_ascii_end();
            let body = self.unread.start + end + 1;
            if head.starts_with(b"MSG ") || head.starts_with(b"HMSG ") {
                let (skip, size) = sizes(head)?;
                if body + size + 2 > self.unread.end {
                    self.reserve(end + 1 + size + 2)?;
                    return Ok(None);
                }
                self.unread.start = body + size + 2;
                return Ok(Some(body + skip..body + size));
            }
            if head == b"PING" {
                self.output.extend_from_slice(b"PONG\r\n");
            } else if head.starts_with(b"-ERR") {
                bail!("the NATS server says {}", String::from_utf8_lossy(head));
            }
            self.unread.start = body;
        }
    }

    /// The bytes of a range that `next` gave; valid until the next `exchange`.
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.input[range]
    }

    fn write(&mut self) -> Result<()> {
        while self.written < self.output.len() {
            match self.socket.write(&self.output[self.written..]) {
                Ok(0) => bail!("the NATS server closed the connection"),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("writing to the NATS server"),
            }
        }
        self.output.clear();
        self.written = 0;
        Ok(())
    }

    fn read(&mut self) -> Result<()> {
        if self.unread.is_empty() {
            self.unread = 0..0;
        } else if self.input.len() - self.unread.end < READ_SIZE {
            self.reserve(self.unread.len() + READ_SIZE)?;
        }
        let end = self.unread.end;
        let room = (self.input.len() - end).min(READ_SIZE);
        match self.socket.read(&mut self.input[end..end + room]) {
            Ok(0) => bail!("the NATS server closed the connection"),
            Ok(count) => self.unread.end += count,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(error).context("reading from the NATS server"),
        }
        Ok(())
    }

    /// Makes room for `size` bytes from the start of the unread ones on.
    fn reserve(&mut self, size: usize) -> Result<()> {
        if size > MAX_FRAME {
            bail!("a NATS frame of {size} bytes");
        }
        if self.unread.start + size > self.input.len() {
            self.input.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
            if size > self.input.len() {
                self.input.resize(size, 0);
            }
        }
        Ok(())
    }
}

/// One line of the handshake, without its end.
fn line(reader: &mut impl io::BufRead) -> Result<String> {
    let mut text = String::new();
    reader
        .take(64 * 1024)
        .read_line(&mut text)
        .context("no answer from the NATS server")?;
    if text.is_empty() {
        bail!("the NATS server closed the connection");
    }
    Ok(text.trim_end().to_owned())
}

/// Header bytes to skip and total bytes, from the end of a MSG or HMSG line.
fn sizes(head: &[u8]) -> Result<(usize, usize)> {
    let mut words = head.rsplit(|&byte| byte == b' ');
    let mut number = || {
        let digits = words.next().unwrap_or_default();
        let value = digits.iter().try_fold(0usize, |sum, &digit| {
            let digit = digit.is_ascii_digit().then(|| usize::from(digit - b'0'))?;
            sum.checked_mul(10)?.checked_add(digit)
        });
        value
            .filter(|_| !digits.is_empty())
            .context("a MSG line without a size")
    };
    let total = number()?;
    let skip = if head[0] == b'H' { number()? } else { 0 };
    if skip > total || total > MAX_FRAME {
        bail!("a MSG line with impossible sizes");
    }
    Ok((skip, total))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn sizes_of_both_kinds() -> Result<()> {
        assert_eq!(sizes(b"MSG a.b 1 345")?, (0, 345));
        assert_eq!(sizes(b"HMSG a.b 1 reply 12 345")?, (12, 345));
        assert!(sizes(b"MSG a.b 1 x").is_err());
        assert!(sizes(b"HMSG a.b 1 400 345").is_err());
        Ok(())
    }

    /// A server that sends two messages, a PING between them, one byte at a time; its socket stays open.
    fn serve(listener: &TcpListener) -> Result<TcpStream> {
        let (socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        let mut reader = BufReader::new(&socket);
        (&socket).write_all(b"INFO {}\r\n")?;
        while line(&mut reader)? != "PING" {}
        (&socket).write_all(b"PONG\r\n")?;
        while line(&mut reader)? != "go" {}
        for byte in b"MSG r 1 3\r\nabc\r\nPING\r\nHMSG r 1 2 4\r\nhhde\r\n" {
            (&socket).write_all(&[*byte])?;
        }
        assert_eq!(line(&mut reader)?, "PONG");
        Ok(socket)
    }

    #[test]
    fn messages_come_whole_from_split_reads() -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("nats://{}", listener.local_addr()?);
        let server = thread::spawn(move || serve(&listener));
        let mut connection = Connection::open(&url, &["r"])?;
        connection.output().extend_from_slice(b"go\r\n");
        let mut got: Vec<Vec<u8>> = Vec::new();
        while got.len() < 2 {
            connection.exchange(Duration::from_secs(5))?;
            while let Some(range) = connection.next()? {
                got.push(connection.bytes(range).to_vec());
            }
        }
        connection.exchange(Duration::ZERO)?;
        assert_eq!(got, [&b"abc"[..], &b"de"[..]]);
        assert!(server.join().is_ok_and(|outcome| outcome.is_ok()));
        Ok(())
    }
}
