//! Rule 5: numbers, heartbeats, silence, goodbyes.

use kaa_epr_core::frame::Kind;
use kaa_epr_core::limits::MAX_WRITERS;
use kaa_epr_core::pipeline::Responder;

use crate::support::*;

/// A responder that knows writer `w`, whose last event was number 5, with `a` cached at version 1.
fn known() -> Responder {
    let mut responder = started(config());
    heartbeat(&mut responder, "w", 5, 0);
    fill(&mut responder, "a", 1, 0);
    assert!(coherent(&responder) && cached(&mut responder, "a", 0));
    responder
}

fn coherent(responder: &Responder) -> bool {
    gauge(responder, "coherent") == 1
}

fn gauge(responder: &Responder, name: &str) -> u64 {
    let found = responder.gauges().into_iter().find(|(gauge, _)| *gauge == name);
    found.unwrap().1
}

/// Whether a get is answered at once; if not, its load is ended with version 9.
fn cached(responder: &mut Responder, id: &str, ms: u64) -> bool {
    ask(responder, "r", &get("c", id), ms);
    let hit = !answers(responder).is_empty();
    if !hit {
        let load = begin(responder, &[id], ms);
        end(responder, load, &[stored(id, 9, "x")], ms);
        responder.clear_output();
    }
    hit
}

#[test]
fn what_is_in_sequence_changes_nothing() {
    let mut responder = known();
    numbered(&mut responder, "w", 6, "b", 2, 100);
    heartbeat(&mut responder, "w", 6, 200);
    numbered(&mut responder, "w", 7, "b", 3, 300);
    assert!(cached(&mut responder, "a", 1_700));
    let count = responder.stats().count;
    assert_eq!(
        (count.events_lost, count.events_late, count.heartbeats),
        (0, 0, 2)
    );
    assert_eq!(
        count.flushes_hole, 1,
        "5 events were not heard before the writer was known"
    );
}

#[test]
fn a_stock_event_is_no_gap() {
    let mut responder = known();
    let payload = event_payload(Kind::MetadataUpdated, "b");
    for headers in [
        &[][..],
        &[("Kaa-Epr-Version", "3")],
        &[("Kaa-Epr-Writer", "w"), ("Kaa-Epr-Seq", "x9")],
        &[("Kaa-Epr-Writer", "w w"), ("Kaa-Epr-Seq", "9")],
        &[("Kaa-Epr-Writer", "w"), ("Kaa-Epr-Seq", "0")],
        &[("Kaa-Epr-Writer", "w"), ("Kaa-Epr-Seq", "1234567890123456789")],
    ] {
        tell(&mut responder, Kind::MetadataUpdated, headers, &payload, 0);
    }
    assert!(coherent(&responder) && cached(&mut responder, "a", 0));
    assert_eq!(gauge(&responder, "writers"), 1);
}

#[test]
fn a_hole_flushes_once_and_nothing_is_cached_until_the_writer_is_heard_in_sequence() {
    type Act = fn(&mut Responder);
    let holes: [Act; 2] = [
        |responder| numbered(responder, "w", 8, "b", 2, 100),
        |responder| heartbeat(responder, "w", 8, 100),
    ];
    let cures: [Act; 2] = [
        |responder| numbered(responder, "w", 9, "b", 3, 200),
        |responder| heartbeat(responder, "w", 8, 200),
    ];
    for hole in holes {
        for cure in cures {
            let mut responder = known();
            let flushes = responder.stats().count.flushes_hole;
            hole(&mut responder);
            assert!(!coherent(&responder) && gauge(&responder, "writers_with_holes") == 1);
            assert!(!cached(&mut responder, "a", 100) && !cached(&mut responder, "a", 100));
            heartbeat(&mut responder, "w", 5, 150);
            assert!(!coherent(&responder), "an old heartbeat cures nothing");
            cure(&mut responder);
            assert!(coherent(&responder) && !cached(&mut responder, "a", 200));
            assert!(cached(&mut responder, "a", 200));
            let count = responder.stats().count;
            assert_eq!(count.flushes_hole, flushes + 1);
            assert!((2..=3).contains(&count.events_lost), "{}", count.events_lost);
        }
    }
}

#[test]
fn late_and_repeated_events_are_applied() {
    let mut responder = known();
    numbered(&mut responder, "w", 6, "b", 2, 0);
    for seq in [6, 3] {
        numbered(&mut responder, "w", seq, "a", 1, 0);
        assert!(!cached(&mut responder, "a", 0));
    }
    assert!(coherent(&responder));
    assert_eq!(responder.stats().count.events_late, 2);
    assert!(cached(&mut responder, "a", SILENCE - 1));
    heartbeat(&mut responder, "w", 2, SILENCE - 1);
    assert!(
        !cached(&mut responder, "a", SILENCE),
        "what is late is no sign of life"
    );
}

#[test]
fn silence_flushes_once_before_anything_is_served() {
    let mut responder = known();
    assert!(cached(&mut responder, "a", SILENCE - 1));
    assert!(!cached(&mut responder, "a", SILENCE));
    assert!(!cached(&mut responder, "a", SILENCE) && !coherent(&responder));
    for ms in [SILENCE, 2 * SILENCE, 3 * SILENCE] {
        responder.tick(at(ms));
    }
    assert_eq!(responder.stats().count.flushes_heartbeat, 1);
    assert_eq!(gauge(&responder, "writers_silent"), 1);
    assert_eq!(gauge(&responder, "heartbeat_age_silent_ms"), 3 * SILENCE);
    assert_eq!(gauge(&responder, "heartbeat_age_sound_ms"), 0);
    heartbeat(&mut responder, "w", 5, 4 * SILENCE);
    assert!(coherent(&responder) && !cached(&mut responder, "a", 4 * SILENCE));
    assert!(cached(&mut responder, "a", 4 * SILENCE));
}

#[test]
fn one_silent_writer_among_many_is_enough() {
    let mut responder = known();
    heartbeat(&mut responder, "v", 0, 1_000);
    responder.tick(at(SILENCE));
    assert!(!coherent(&responder));
    heartbeat(&mut responder, "w", 5, SILENCE);
    assert!(coherent(&responder));
}

#[test]
fn the_silent_are_forgotten_in_the_end() {
    let mut responder = known();
    responder.tick(at(SILENCE));
    responder.tick(at(SILENCE + FORGET - 1));
    assert!(!coherent(&responder));
    responder.tick(at(SILENCE + FORGET));
    assert!(coherent(&responder) && gauge(&responder, "writers") == 0);
}

#[test]
fn who_leaves_is_not_missed_and_what_it_said_before_is_no_new_writer() {
    let mut responder = known();
    goodbye(&mut responder, "w", 5, 0);
    numbered(&mut responder, "w", 5, "b", 2, 0);
    heartbeat(&mut responder, "w", 5, 0);
    goodbye(&mut responder, "w", 5, 0);
    assert!(cached(&mut responder, "a", 10 * SILENCE));
    assert_eq!(gauge(&responder, "writers"), 0);
    let mut responder = known();
    goodbye(&mut responder, "w", 6, 0);
    assert!(
        coherent(&responder) && !cached(&mut responder, "a", 0),
        "its last event is missing"
    );
}

#[test]
fn a_restarted_writer_is_another_one() {
    let mut responder = known();
    heartbeat(&mut responder, "w2", 0, 100);
    numbered(&mut responder, "w2", 1, "b", 2, 200);
    assert!(
        cached(&mut responder, "a", 200),
        "nothing is missing of a writer heard from its first event on"
    );
    responder.tick(at(SILENCE));
    assert!(!coherent(&responder), "the old one was killed");
}

#[test]
fn a_new_connection_waits_for_known_writers_and_flushes_for_what_it_may_have_missed() {
    let mut responder = known();
    responder.link_down();
    responder.tick(at(20_000));
    assert_eq!(
        responder.stats().count.flushes_heartbeat,
        0,
        "no connection, no silence"
    );
    connect(&mut responder, 20_000);
    let flushes = responder.stats().count.flushes_hole;
    fill(&mut responder, "a", 2, 20_000);
    heartbeat(&mut responder, "w", 7, 20_100);
    assert!(coherent(&responder) && !cached(&mut responder, "a", 20_100));
    assert_eq!(responder.stats().count.flushes_hole, flushes + 1);
    connect(&mut responder, 30_000);
    fill(&mut responder, "a", 2, 30_000);
    heartbeat(&mut responder, "w", 7, 30_100);
    assert!(cached(&mut responder, "a", 30_100), "nothing was missed");
    connect(&mut responder, 40_000);
    assert!(!cached(&mut responder, "a", 40_000 + SILENCE) && !coherent(&responder));
}

#[test]
fn heartbeats_that_say_nothing_are_counted() {
    let mut responder = known();
    for headers in [&[][..], &[("Kaa-Epr-Writer", "w")], &[("Kaa-Epr-Seq", "5")]] {
        tell(&mut responder, Kind::Heartbeat, headers, &[], 1_000);
    }
    let count = responder.stats().count;
    assert_eq!((count.heartbeats, count.heartbeats_malformed), (4, 3));
    assert!(!cached(&mut responder, "a", SILENCE));
}

#[test]
fn with_more_writers_than_can_be_known_nothing_is_cached() {
    let mut responder = started(config());
    for number in 0..MAX_WRITERS {
        heartbeat(&mut responder, &format!("w-{number}"), 0, 0);
    }
    assert!(coherent(&responder));
    goodbye(&mut responder, "w-3", 0, 0);
    heartbeat(&mut responder, "new", 0, 0);
    assert!(coherent(&responder), "one that left makes room");
    heartbeat(&mut responder, "one more", 0, 1);
    assert!(coherent(&responder), "that is no name");
    heartbeat(&mut responder, "one-more", 0, 1);
    heartbeat(&mut responder, "two-more", 0, 1);
    assert!(!coherent(&responder));
    assert_eq!(responder.stats().count.flushes_hole, 1);
    for number in 0..MAX_WRITERS {
        goodbye(&mut responder, &format!("w-{number}"), 0, 2);
    }
    goodbye(&mut responder, "new", 0, 2);
    responder.tick(at(FORGET));
    assert!(!coherent(&responder));
    responder.tick(at(FORGET + 1));
    assert!(coherent(&responder));
}
