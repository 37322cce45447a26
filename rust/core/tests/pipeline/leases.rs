//! Rules 1 to 4 and 7 to 9: wire order, leases, gaps, ears, settling, marks, age.

use kaa_epr_core::frame::Kind;
use kaa_epr_core::pipeline::Responder;
use kaa_epr_core::stats::FlushCause;

use crate::support::*;

const VERSIONED: &[(&str, &str)] = &[("Kaa-Epr-Version", "2")];

fn bound() -> Responder {
    let mut responder = started(config());
    assert!(responder.bind(1, Kind::MetadataUpdated) && responder.bind(2, Kind::Get));
    responder
}

#[test]
fn an_event_between_two_gets_of_one_chunk_parts_them() {
    let mut responder = bound();
    fill(&mut responder, "a", 1, 0);
    let event = event_payload(Kind::MetadataUpdated, "a");
    let chunk = [
        wire(2, "before", &[], &get("c", "a")),
        b"PING\r\n".to_vec(),
        wire(1, "", VERSIONED, &event),
        wire(2, "after", &[], &get("c", "a")),
    ]
    .concat();
    let fed = responder.feed(&chunk, at(0));
    assert_eq!(
        (fed.answers, fed.rest.as_slice(), fed.more),
        (1, b"PING\r\n".as_slice(), false)
    );
    assert_eq!(outcome(&mut responder), [("before".to_owned(), 200, Some(1))]);
    let load = begin(&mut responder, &["a"], 0);
    end(&mut responder, load, &[stored("a", 2, "x")], 0);
    assert_eq!(outcome(&mut responder), [("after".to_owned(), 200, Some(2))]);
}

#[test]
fn gets_share_a_flight_until_an_event_cuts_it() {
    let mut responder = started(config());
    for reply in ["1", "2"] {
        ask(&mut responder, reply, &get("c", "a"), 0);
    }
    let first = begin(&mut responder, &["a"], 0);
    ask(&mut responder, "3", &get("c", "a"), 0);
    updated(&mut responder, "a", 1, 0);
    assert!(!responder.wants_load());
    ask(&mut responder, "4", &get("c", "a"), 0);
    let second = begin(&mut responder, &["a"], 0);
    ask(&mut responder, "5", &get("c", "a"), 0);
    end(&mut responder, first, &[stored("a", 1, "x")], 0);
    let replies = |responder: &mut Responder| -> Vec<String> {
        outcome(responder).into_iter().map(|(reply, ..)| reply).collect()
    };
    assert_eq!(replies(&mut responder), ["1", "2", "3"]);
    ask(&mut responder, "6", &get("c", "a"), 0);
    assert!(answers(&mut responder).is_empty(), "the void fill was not cached");
    end(&mut responder, second, &[stored("a", 2, "x")], 0);
    assert_eq!(replies(&mut responder), ["4", "5", "6"]);
    ask(&mut responder, "7", &get("c", "a"), 0);
    assert_eq!(only(&mut responder), (200, Some(2)));
    let count = responder.stats().count;
    assert_eq!(
        (count.loads, count.joined, count.void_fills, count.hits),
        (2, 4, 1, 1)
    );
}

#[test]
fn a_younger_landing_answers_older_flights_and_an_older_failure_only_its_own() {
    let mut responder = started(config());
    let mut loads = Vec::new();
    for reply in ["1", "2", "3"] {
        ask(&mut responder, reply, &get("c", "a"), 0);
        loads.push(begin(&mut responder, &["a"], 0));
        updated(&mut responder, "a", 1, 0);
    }
    assert!(responder.fail_load(loads[0], at(0)));
    assert_eq!(outcome(&mut responder), [("1".to_owned(), 503, None)]);
    end(&mut responder, loads[2], &[stored("a", 5, "x")], 0);
    let both = [("2".to_owned(), 200, Some(5)), ("3".to_owned(), 200, Some(5))];
    assert_eq!(outcome(&mut responder), both);
    end(&mut responder, loads[1], &[stored("a", 4, "x")], 0);
    assert!(answers(&mut responder).is_empty());
    assert_eq!(responder.pending(), 0);
    assert_eq!(responder.end_load(loads[1], &[], at(0)), None, "it ended before");
}

#[test]
fn nothing_survives_a_new_connection_and_nothing_is_cached_before_ears() {
    let mut responder = started(config());
    fill(&mut responder, "a", 1, 0);
    ask(&mut responder, "old", &get("c", "b"), 0);
    let old = begin(&mut responder, &["b"], 0);
    responder.link_down();
    responder.ears(true, 0);
    responder.link_up(1 << 20, true, false, at(0));
    ask(&mut responder, "deaf", &get("c", "b"), 0);
    let deaf = begin(&mut responder, &["b"], 0);
    responder.ears(true, 0);
    ask(&mut responder, "new", &get("c", "b"), 0);
    let new = begin(&mut responder, &["b"], 0);
    end(&mut responder, old, &[stored("b", 1, "x")], 0);
    end(&mut responder, deaf, &[stored("b", 2, "x")], 0);
    assert_eq!(responder.stats().count.void_fills, 2);
    end(&mut responder, new, &[stored("b", 3, "x")], 0);
    let versions: Vec<_> = outcome(&mut responder)
        .into_iter()
        .map(|(_, _, version)| version)
        .collect();
    assert_eq!(versions, [Some(1), Some(2), Some(3)]);
    ask(&mut responder, "r", &get("c", "b"), 0);
    assert_eq!(only(&mut responder), (200, Some(3)));
    ask(&mut responder, "r", &get("c", "a"), 0);
    assert!(responder.wants_load(), "a went with the old connection");
}

#[test]
fn without_ears_every_get_is_loaded_for_by_itself() {
    let mut responder = started(config());
    fill(&mut responder, "a", 1, 0);
    responder.ears(false, 0);
    for reply in ["1", "2"] {
        ask(&mut responder, reply, &get("c", "a"), 0);
        let load = begin(&mut responder, &["a"], 0);
        end(&mut responder, load, &[stored("a", 2, "x")], 0);
        assert_eq!(only(&mut responder), (200, Some(2)));
    }
    let count = responder.stats().count;
    assert_eq!((count.flushes_ears_lost, count.hits, count.void_fills), (1, 0, 2));
}

#[test]
fn in_a_cluster_nothing_is_cached_until_it_settled_or_known_writers_were_heard() {
    let mut responder = started(config());
    heartbeat(&mut responder, "w", 0, 0);
    for (later, known) in [(0, false), (10_000, true)] {
        let mut other = Responder::new(config());
        let responder = if known { &mut responder } else { &mut other };
        responder.link_up(1 << 20, true, true, at(later));
        responder.ears(true, later);
        fill(responder, "a", 1, later + SETTLE - 1);
        assert_eq!(responder.stats().count.void_fills, 1);
        if known {
            heartbeat(responder, "w", 0, later + SETTLE - 1);
            fill(responder, "a", 1, later + SETTLE - 1);
        } else {
            fill(responder, "a", 1, later + SETTLE);
        }
        ask(responder, "r", &get("c", "a"), later + SETTLE);
        assert_eq!(only(responder), (200, Some(1)));
    }
}

#[test]
fn every_flush_empties_the_cache_and_voids_what_runs() {
    for cause in [
        FlushCause::UndecodableEvent,
        FlushCause::EventOverflow,
        FlushCause::StorePrimaryChanged,
        FlushCause::Operator,
        FlushCause::WitnessLost,
        FlushCause::CollectionEnded,
    ] {
        let mut responder = started(config());
        fill(&mut responder, "a", 1, 0);
        ask(&mut responder, "r", &get("c", "b"), 0);
        let load = begin(&mut responder, &["b"], 0);
        if cause == FlushCause::UndecodableEvent {
            tell(&mut responder, Kind::Registered, &[], b"\xff", 0);
        } else {
            responder.flush(cause);
        }
        end(&mut responder, load, &[stored("b", 1, "x")], 0);
        responder.clear_output();
        for id in ["a", "b"] {
            ask(&mut responder, "r", &get("c", id), 0);
        }
        begin(&mut responder, &["a", "b"], 0);
        let name = format!("flushes_{cause:?}").to_lowercase();
        let counts: Vec<_> = responder.stats().count.list().collect();
        let flushed = |(counter, _): &&(&str, u64)| counter.replace('_', "") == name.replace('_', "");
        assert_eq!(counts.iter().find(flushed).unwrap().1, 1, "{name}");
    }
}

#[test]
fn foreign_events_settle_and_ours_do_not() {
    let mut responder = started(config());
    let payload = event_payload(Kind::AppVersionUpdated, "a");
    tell(&mut responder, Kind::AppVersionUpdated, &[], &payload, 100);
    fill(&mut responder, "a", 1, 100 + FOREIGN_SETTLE - 1);
    assert_eq!(responder.stats().count.void_fills, 1);
    fill(&mut responder, "a", 1, 100 + FOREIGN_SETTLE);
    tell(
        &mut responder,
        Kind::AppVersionUpdated,
        VERSIONED,
        &payload,
        2_000,
    );
    fill(&mut responder, "a", 2, 2_000);
    let count = responder.stats().count;
    assert_eq!((count.void_fills, count.events_foreign), (1, 1));
    assert_eq!(count.invalidations_appversion_updated, 2);
}

#[test]
fn a_registered_event_removes_the_mark_of_an_unknown_endpoint() {
    let mut responder = started(config());
    ask(&mut responder, "r", &get("c", "a"), 0);
    let load = begin(&mut responder, &["a"], 0);
    end(&mut responder, load, &[], 0);
    let payload = event_payload(Kind::Registered, "a");
    tell(
        &mut responder,
        Kind::Registered,
        &[("Kaa-Epr-Version", "1")],
        &payload,
        0,
    );
    responder.clear_output();
    ask(&mut responder, "r", &get("c", "a"), 0);
    let load = begin(&mut responder, &["a"], 0);
    end(&mut responder, load, &[stored("a", 1, "x")], 0);
    assert_eq!(only(&mut responder), (200, Some(1)));
}

#[test]
fn no_entry_is_served_beyond_its_age() {
    let mut responder = started(config());
    fill(&mut responder, "a", 1, 0);
    ask(&mut responder, "r", &get("c", "a"), MAX_AGE - MAX_AGE / 10 - 1);
    assert_eq!(only(&mut responder), (200, Some(1)));
    ask(&mut responder, "r", &get("c", "a"), MAX_AGE);
    assert!(responder.wants_load());
    assert_eq!(responder.stats().count.expirations, 1);
}

#[test]
fn a_get_that_may_have_been_overtaken_by_events_uses_neither_cache_nor_running_flight() {
    let mut responder = started(config());
    fill(&mut responder, "a", 1, 0);
    let payload = get("c", "a");
    let message = kaa_epr_core::frame::Message {
        kind: Kind::Get,
        reply: b"r",
        headers: &[],
        payload: &payload,
    };
    for _ in 0..2 {
        responder.message(&message, true, at(0));
        begin(&mut responder, &["a"], 0);
    }
    assert_eq!(responder.stats().count.hits, 0);
}

#[test]
fn an_event_that_is_passed_on_for_its_size_empties_the_cache_at_its_place() {
    let size = (1 << 20) + 1;
    for (kind, dropped) in [(Kind::MetadataUpdated, true), (Kind::Get, false)] {
        // In one piece, and cut inside the control line.
        for cut in [0, 7] {
            let mut responder = started(config());
            assert!(responder.bind(3, kind));
            fill(&mut responder, "a", 1, 0);
            let line = format!("MSG s 3 {size}\r\n").into_bytes();
            responder.feed(&line[..cut], at(0));
            responder.feed(&line[cut..], at(0));
            let flushes = responder.stats().count.flushes_undecodable_event;
            assert_eq!(flushes, u64::from(dropped));
            ask(&mut responder, "r", &get("c", "a"), 0);
            assert_eq!(responder.wants_load(), dropped, "{kind:?}, cut at {cut}");
        }
    }
}
