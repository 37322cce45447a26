//! Scanning: a transcript split at every offset gives the same messages and the same bytes for nats-py.
#![allow(clippy::unwrap_used)]

use kaa_epr_core::frame::{HeaderName, Kind, PublishLen, Routes, Scanner, Step, header, publish};
use kaa_epr_core::limits::{MAX_CONTROL_LINE, MAX_HEADER_VALUE, MAX_PAYLOAD};
use proptest::prelude::*;

type Taken = (Kind, Vec<u8>, Vec<u8>, Vec<u8>);

fn routes() -> Routes {
    let mut routes = Routes::default();
    assert!(routes.bind(1, Kind::MetadataUpdated));
    assert!(routes.bind(5, Kind::Get));
    routes
}

/// Feeds the chunks; returns our messages, nats-py's bytes and the most that was held back.
fn scan(chunks: &[&[u8]], max_payload: usize) -> (Vec<Taken>, Vec<u8>, usize) {
    let (routes, mut scanner) = (routes(), Scanner::new(max_payload));
    let (mut messages, mut rest, mut held) = (Vec::new(), Vec::new(), 0);
    for chunk in chunks {
        let mut pos = 0;
        loop {
            match scanner.step(&routes, chunk, &mut pos) {
                Step::Message(m) => {
                    messages.push((m.kind, m.reply.to_vec(), m.headers.to_vec(), m.payload.to_vec()));
                }
                Step::Pass(bytes) => rest.extend_from_slice(bytes),
                Step::Need => break,
            }
        }
        held = held.max(scanner.held());
    }
    (messages, rest, held)
}

const TRANSCRIPT: &[u8] = b"INFO {\"max_payload\":1048576}\r\nPONG\r\n\
MSG kaa.get 5 _INBOX.a 5\r\nhello\r\n\
MSG other.subject 9 _INBOX.b 11\r\nMSG a 5 1\r\n\r\n\
PING\r\n\
HMSG kaa.get 5 _INBOX.c 28 32\r\nNATS/1.0\r\ntraceparent: x\r\n\r\nbody\r\n\
MSG kaa.v1.events.epr.endpoint.metadata.updated 1 3\r\n\r\n\r\r\n\
MSG kaa.get 5 0\r\n\r\n\
HMSG other 9 12 12\r\nNATS/1.0\r\n\r\n\r\n\
-ERR 'permissions violation'\r\n+OK\r\n\
MSG kaa.get 5 _INBOX.d 2\r\nxy\r\n";

fn expected() -> (Vec<Taken>, Vec<u8>) {
    let get = |reply: &[u8], headers: &[u8], payload: &[u8]| {
        (Kind::Get, reply.to_vec(), headers.to_vec(), payload.to_vec())
    };
    let messages = vec![
        get(b"_INBOX.a", b"", b"hello"),
        get(b"_INBOX.c", b"NATS/1.0\r\ntraceparent: x\r\n\r\n", b"body"),
        (Kind::MetadataUpdated, vec![], vec![], b"\r\n\r".to_vec()),
        get(b"", b"", b""),
        get(b"_INBOX.d", b"", b"xy"),
    ];
    let rest = b"INFO {\"max_payload\":1048576}\r\nPONG\r\n\
MSG other.subject 9 _INBOX.b 11\r\nMSG a 5 1\r\n\r\n\
PING\r\nHMSG other 9 12 12\r\nNATS/1.0\r\n\r\n\r\n\
-ERR 'permissions violation'\r\n+OK\r\n";
    (messages, rest.to_vec())
}

#[test]
fn whole() {
    let (messages, rest, held) = scan(&[TRANSCRIPT], 1000);
    assert_eq!((messages, rest), expected());
    assert_eq!(held, 0, "nothing whole is copied");
}

#[test]
fn split_in_two_at_every_offset() {
    for at in 0..=TRANSCRIPT.len() {
        let (messages, rest, _) = scan(&[&TRANSCRIPT[..at], &TRANSCRIPT[at..]], 1000);
        assert_eq!((messages, rest), expected(), "split at {at}");
    }
}

#[test]
fn byte_by_byte() {
    let chunks: Vec<&[u8]> = TRANSCRIPT.chunks(1).collect();
    let (messages, rest, _) = scan(&chunks, 1000);
    assert_eq!((messages, rest), expected());
}

proptest! {
    #[test]
    fn split_anywhere(mut cuts in prop::collection::vec(0..TRANSCRIPT.len(), 0..12)) {
        cuts.sort_unstable();
        let mut chunks = Vec::new();
        let mut from = 0;
        for cut in cuts.into_iter().chain([TRANSCRIPT.len()]) {
            chunks.push(&TRANSCRIPT[from..cut]);
            from = cut;
        }
        let (messages, rest, _) = scan(&chunks, 1000);
        prop_assert_eq!((messages, rest), expected());
    }

    /// Whatever arrives, every byte is either in a message of ours or passed on, and little is held.
    #[test]
    fn arbitrary_bytes_lose_nothing(
        parts in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                Just(b"MSG a 5 ".to_vec()),
                Just(b"HMSG a 5 b 4 ".to_vec()),
                Just(b"3\r\n".to_vec()),
                Just(b"\r\n".to_vec()),
                Just(b"MSG kaa.get 5 r 2\r\nxy\r\n".to_vec()),
            ],
            0..20,
        ),
    ) {
        let all: Vec<u8> = parts.concat();
        let chunks: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let split = scan(&chunks, 1000);
        let whole = scan(&[&all], 1000);
        prop_assert_eq!(&split.0, &whole.0);
        prop_assert!(split.1.len() <= all.len());
        prop_assert!(split.2 <= MAX_CONTROL_LINE + 1000 + 2);
        if split.0.is_empty() && split.2 == 0 {
            prop_assert_eq!(split.1, all);
        }
    }
}

#[test]
fn a_line_that_never_ends_is_passed_on() {
    let chunk = [b"MSG ".as_slice(), &[b'x'; 5000]].concat();
    let more = vec![b'x'; 5000];
    let chunks: Vec<&[u8]> = std::iter::once(chunk.as_slice())
        .chain(std::iter::repeat_n(more.as_slice(), 50))
        .collect();
    let (messages, rest, held) = scan(&chunks, 1000);
    assert!(messages.is_empty());
    assert!(held <= MAX_CONTROL_LINE);
    assert_eq!(rest.len(), 5004 + 50 * 5000);
}

#[test]
fn a_message_over_the_limit_is_passed_on_without_being_held() {
    let line = b"MSG kaa.get 5 r 5000\r\n";
    let body = vec![b'y'; 5002];
    let (messages, rest, held) = scan(&[line, &body[..2500], &body[2500..], b"PING\r\n"], 1000);
    assert!(messages.is_empty());
    assert_eq!(held, 0);
    assert_eq!(rest, [line.as_slice(), &body, b"PING\r\n"].concat());
}

#[test]
fn odd_lines_are_left_to_nats_py_with_all_that_follows() {
    for odd in [
        "MSG kaa.get 5 r\r\n",
        "MSG kaa.get  5 r 2\r\n",
        "MSG kaa.get 5 r -2\r\n",
        "MSG kaa.get 5 r 2 3\r\n",
        "MSG kaa.get five r 2\r\n",
        "MSG kaa.get 5 r 99999999999999999999\r\n",
        "HMSG kaa.get 5 r 3 2\r\n",
        "MSG kaa.get 5 2\n",
        "MSG kaa.get 5 r 1\r\nxyz\r\n",
    ] {
        let all = [odd.as_bytes(), b"MSG kaa.get 5 r 2\r\nxy\r\n"].concat();
        let (messages, rest, _) = scan(&[&all], 1000);
        assert!(messages.is_empty(), "{odd:?}");
        assert_eq!(rest, all, "{odd:?}");
    }
}

#[test]
fn unbound_subscriptions_go_to_nats_py() {
    let mut routes = routes();
    routes.unbind(5);
    let mut scanner = Scanner::new(MAX_PAYLOAD);
    let frame = b"MSG kaa.get 5 r 2\r\nxy\r\n";
    let mut pos = 0;
    assert_eq!(
        scanner.step(&routes, frame, &mut pos),
        Step::Pass(b"MSG kaa.get 5 r 2\r\n")
    );
}

#[test]
fn headers_are_found_in_any_case_and_never_carry_line_breaks() {
    let find = |block: &[u8]| header(block, HeaderName::TRACEPARENT).map(<[u8]>::to_vec);
    assert_eq!(
        find(b"NATS/1.0\r\nTraceParent:  00-ab \r\n\r\n"),
        Some(b"00-ab".to_vec())
    );
    assert_eq!(
        find(b"NATS/1.0 503\r\na: b\r\ntraceparent: 1\r\ntraceparent: 2\r\n\r\n"),
        Some(b"1".to_vec())
    );
    assert_eq!(find(b"NATS/1.0\r\ntracestate: x\r\n\r\n"), None);
    assert_eq!(find(b"NATS/1.0\r\ntraceparent: a\x01b\r\n\r\n"), None);
    assert_eq!(find(b"NATS/1.0\r\ntraceparent:\r\n\r\n"), None);
    let long = [
        b"NATS/1.0\r\ntraceparent: ".as_slice(),
        &[b'a'; MAX_HEADER_VALUE + 1],
        b"\r\n\r\n",
    ]
    .concat();
    assert_eq!(find(&long), None);
    assert_eq!(find(b""), None);
}

#[test]
fn published_frames_are_as_the_protocol_has_them() {
    let write = |traceparent: Option<&[u8]>| {
        let mut out = Vec::new();
        let len = PublishLen::new(traceparent, 5);
        publish(&mut out, b"_INBOX.x", traceparent, len, |out| {
            out.extend_from_slice(b"hello")
        });
        (out, len.total())
    };
    assert_eq!(write(None), (b"PUB _INBOX.x 5\r\nhello\r\n".to_vec(), 5));
    let (frame, total) = write(Some(b"00-ab"));
    assert_eq!(
        frame,
        b"HPUB _INBOX.x 32 37\r\nNATS/1.0\r\ntraceparent: 00-ab\r\n\r\nhello\r\n"
    );
    assert_eq!(total, 37);
}
