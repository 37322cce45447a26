//! Every row of the README's table of answers, in its order, and what an answer repeats.

use kaa_epr_core::bugs::Bug;
use kaa_epr_core::epmmp::{Revision, Shape};
use kaa_epr_core::frame::{Kind, Message};
use kaa_epr_core::pipeline::Responder;

use crate::support::*;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn without_reply_nothing_is_answered_not_even_garbage() {
    let mut responder = started(config());
    ask(&mut responder, "", &get("c", "a"), 0);
    ask(&mut responder, "", b"\xff", 0);
    assert!(responder.output().is_empty() && !responder.wants_load());
    let count = responder.stats().count;
    assert_eq!((count.requests, count.requests_no_reply), (2, 2));
}

#[test]
fn garbage_is_400_even_when_it_has_expired_and_the_store_is_down() {
    let mut responder = started(config());
    responder.store_up(false, at(0));
    let mut payload = get_with("c-1", "a", 1, &[], Shape::Plain);
    payload.push(7);
    ask(&mut responder, "r", &payload, 5_000);
    let [answer] = answers(&mut responder).try_into().unwrap();
    let decoded = answer.decode(Revision::One);
    assert_eq!(
        (decoded.status, decoded.correlation_id, decoded.endpoint_id),
        (400, "c-1", "a")
    );
    assert_eq!(
        decoded.reason,
        Some("Malformed request: unexpected trailing bytes")
    );
}

#[test]
fn what_has_expired_is_not_answered_on_arrival_nor_when_its_load_ends() {
    let mut responder = started(config());
    let payload = get_with("c", "a", 100, &[], Shape::Plain);
    ask(&mut responder, "r", &payload, 101);
    assert!(!responder.wants_load());
    ask(&mut responder, "r", &payload, 100);
    let load = begin(&mut responder, &["a"], 100);
    end(&mut responder, load, &[stored("a", 1, "x")], 101);
    assert!(answers(&mut responder).is_empty());
    assert_eq!(responder.stats().count.requests_expired, 2);
    let forever = get_with(
        "c",
        "a",
        -1,
        &[],
        Shape::WithFlag {
            include_metadata: true,
        },
    );
    ask(&mut responder, "r", &forever, 90_000);
    assert_eq!(only(&mut responder), (200, Some(1)), "a negative timeout is none");
}

#[test]
fn a_cached_endpoint_is_answered_while_the_store_is_down_and_all_places_are_taken() {
    let mut settings = config();
    settings.park.max_waiters = 0;
    let mut responder = started(config());
    fill(&mut responder, "a", 1, 0);
    responder.store_up(false, at(0));
    ask(&mut responder, "r", &get("c", "a"), 0);
    assert_eq!(only(&mut responder), (200, Some(1)));
    ask(&mut responder, "r", &get("c", "b"), 0);
    assert_eq!(only(&mut responder), (503, None));

    let mut full = started(settings);
    full.store_up(false, at(0));
    ask(&mut full, "r", &get("c", "b"), 0);
    let [answer] = answers(&mut full).try_into().unwrap();
    assert_eq!(
        answer.decode(Revision::Three).reason,
        Some("Too many requests are waiting")
    );
}

#[test]
fn found_unknown_deleted_and_unusable() {
    let mut responder = started(config());
    for id in ["a", "b", "c", "d"] {
        ask(&mut responder, id, &get(id, id), 0);
    }
    let load = begin(&mut responder, &["a", "b", "c", "d"], 0);
    let batches = [stored("a", 1, "x"), tombstone("c", 9), unusable("d")].concat();
    assert_eq!(
        responder.end_load(load, &[&batches], at(0)),
        Some(vec!["d".to_owned()])
    );
    let mut outcome = outcome(&mut responder);
    outcome.sort();
    let statuses: Vec<_> = outcome
        .iter()
        .map(|(id, status, _)| (id.as_str(), *status))
        .collect();
    assert_eq!(statuses, [("a", 200), ("b", 404), ("c", 404), ("d", 500)]);
    ask(&mut responder, "r", &get("c", "b"), 0);
    assert_eq!(only(&mut responder), (404, None));
    assert_eq!(responder.stats().count.unknown_hits, 1);
    ask(&mut responder, "r", &get("c", "d"), 0);
    assert!(responder.wants_load(), "what is unusable is not cached");
}

#[test]
fn each_get_is_answered_in_its_own_revision_from_one_entry() {
    let mut settings = config();
    settings.plain_revision = Revision::Two;
    let mut responder = started(settings);
    fill(&mut responder, "a", 3, 0);
    for (shape, revision, payload) in [
        (Shape::Plain, Revision::Two, true),
        (
            Shape::WithFlag {
                include_metadata: true,
            },
            Revision::Three,
            true,
        ),
        (
            Shape::WithFlag {
                include_metadata: false,
            },
            Revision::Three,
            false,
        ),
    ] {
        ask(
            &mut responder,
            "r",
            &get_with("c", "a", 0, &["v", "none"], shape),
            5,
        );
        let [answer] = answers(&mut responder).try_into().unwrap();
        let decoded = answer.decode(revision);
        assert_eq!(
            (decoded.status, decoded.etag, decoded.reason),
            (200, Some("\"3\""), None)
        );
        assert_eq!(decoded.timestamp, WALL + 5);
        let expected = payload.then(|| br#"{"v":"filled"}"#.to_vec());
        assert_eq!(decoded.payload.map(|payload| payload.to_vec()), expected);
    }
}

#[test]
fn what_the_server_would_refuse_is_413_or_bare() {
    let mut responder = Responder::new(config());
    responder.link_up(200, true, false, at(0));
    responder.ears(true, 0);
    ask(&mut responder, "r", &get("c", "a"), 0);
    let load = begin(&mut responder, &["a"], 0);
    end(&mut responder, load, &[stored("a", 1, &"x".repeat(300))], 0);
    assert_eq!(only(&mut responder), (413, None));
    ask(&mut responder, "r", &get(&"c".repeat(190), "a"), 0);
    let [answer] = answers(&mut responder).try_into().unwrap();
    let decoded = answer.decode(Revision::Three);
    assert_eq!(
        (decoded.status, decoded.correlation_id, decoded.endpoint_id),
        (413, "", "")
    );
}

#[test]
fn traceparent_is_repeated_on_hits_and_landed_gets_where_headers_exist() {
    let mut responder = started(config());
    let headers = header_block(&[("Other", "1"), ("TraceParent", TRACE)]);
    let expected = format!("NATS/1.0\r\ntraceparent: {TRACE}\r\n\r\n");
    let payload = get("c", "a");
    let message = Message {
        kind: Kind::Get,
        reply: b"r",
        headers: &headers,
        payload: &payload,
    };
    responder.message(&message, false, at(0));
    let load = begin(&mut responder, &["a"], 0);
    end(&mut responder, load, &[stored("a", 1, "x")], 0);
    responder.message(&message, false, at(0));
    let both = answers(&mut responder);
    assert_eq!(both.len(), 2);
    assert!(both.iter().all(|answer| answer.headers == expected.as_bytes()));
    responder.link_up(1 << 20, false, false, at(0));
    responder.ears(true, 0);
    fill(&mut responder, "a", 1, 0);
    responder.message(&message, false, at(0));
    assert!(answers(&mut responder)[0].headers.is_empty());
}

#[test]
fn a_bug_costs_its_get_a_500_and_its_event_a_flush() {
    let mut responder = started(config());
    fill(&mut responder, "a", 1, 0);
    responder.break_rule(Bug::GetsPanic);
    ask(&mut responder, "r", &get("c-9", "a"), 0);
    let [answer] = answers(&mut responder).try_into().unwrap();
    let decoded = answer.decode(Revision::Three);
    assert_eq!((decoded.status, decoded.correlation_id), (500, "c-9"));
    assert_eq!(decoded.reason, Some("Internal server error"));
    assert_eq!(responder.take_bugs(), ["c-9"]);
    assert!(responder.take_bugs().is_empty());
    responder.break_rule(Bug::EventsPanic);
    updated(&mut responder, "b", 1, 0);
    assert_eq!(responder.stats().count.flushes_undecodable_event, 1);
    ask(&mut responder, "r", &get("c", "a"), 0);
    assert!(responder.wants_load(), "the flush took the entry with it");
}

/// Two gets of one endpoint and one of another wait for the same load.
fn with_three_waiting() -> (Responder, u64) {
    let mut responder = started(config());
    ask(&mut responder, "a1", &get("c-1", "a"), 0);
    ask(&mut responder, "a2", &get("c-2", "a"), 0);
    ask(&mut responder, "b", &get("c-3", "b"), 0);
    let load = begin(&mut responder, &["a", "b"], 0);
    (responder, load)
}

#[test]
fn a_bug_in_a_landing_costs_its_gets_a_500() {
    let (mut responder, load) = with_three_waiting();
    responder.break_rule(Bug::LandingsPanic);
    let unusable = responder.end_load(load, &[&stored("a", 1, "x")], at(0));
    assert_eq!(unusable, Some(vec!["a".to_owned()]));
    let told: Vec<_> = outcome(&mut responder)
        .into_iter()
        .map(|(reply, status, _)| (reply, status))
        .collect();
    let expected = ["a1", "a2", "b"].map(|reply| (reply.to_owned(), 500));
    assert_eq!(told, expected);
    assert_eq!(responder.take_bugs(), ["c-1", "c-2", "c-3"]);
    assert_eq!((responder.pending(), responder.wants_load()), (0, false));
    ask(&mut responder, "r", &get("c", "a"), 0);
    assert!(responder.wants_load(), "nothing of it was cached");
}

#[test]
fn a_bug_in_a_late_answer_costs_only_its_get_a_500() {
    let (mut responder, load) = with_three_waiting();
    responder.break_rule(Bug::GetsPanic);
    end(
        &mut responder,
        load,
        &[stored("a", 1, "x"), stored("b", 1, "x")],
        0,
    );
    let statuses: Vec<_> = outcome(&mut responder)
        .into_iter()
        .map(|(_, status, _)| status)
        .collect();
    assert_eq!(statuses, [500, 500, 500]);
    assert_eq!(responder.take_bugs(), ["c-1", "c-2", "c-3"]);
    assert_eq!(responder.pending(), 0);
}
