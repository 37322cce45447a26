//! Rule 12: exact events are applied to what is cached.

use kaa_epr_core::epmmp::Revision;
use kaa_epr_core::frame::Kind;
use kaa_epr_core::pipeline::Responder;
use kaa_epr_core::stats::FlushCause;

use crate::support::exact::*;
use crate::support::*;

/// `{"v": "filled"}` becomes `{"v": <value>}`.
fn to(value: &str) -> Change {
    from("\"filled\"", value)
}

fn from(old: &str, value: &str) -> Change {
    Change {
        updated: vec![("v".into(), Some(value.into()), Some(old.into()))],
        ..Change::default()
    }
}

/// A responder with version 3 of "a" in its cache.
fn filled() -> Responder {
    let mut responder = started(config());
    fill(&mut responder, "a", 3, 0);
    responder
}

/// What a get is answered with out of the cache; None: it waits for a load.
fn cached(responder: &mut Responder, id: &str, ms: u64) -> Option<(i64, String)> {
    ask(responder, "r", &get("c", id), ms);
    let answers = answers(responder);
    let answer = answers.first()?;
    let json = answer
        .decode(Revision::Three)
        .payload
        .map(|payload| payload.to_vec());
    Some((
        answer.version().expect("a version"),
        String::from_utf8(json.expect("metadata")).expect("JSON is UTF-8"),
    ))
}

#[test]
fn an_exact_event_is_applied_without_a_load() {
    let mut responder = filled();
    change(&mut responder, "a", 3, 4, &to("1"), 0);
    assert_eq!(cached(&mut responder, "a", 0), Some((4, r#"{"v":1}"#.into())));
    change(&mut responder, "a", 4, 9, &from("1", "[2]"), 0);
    assert_eq!(cached(&mut responder, "a", 0), Some((9, r#"{"v":[2]}"#.into())));
    let count = responder.stats().count;
    assert_eq!(
        (count.events_applied, count.invalidations_metadata_updated),
        (2, 2)
    );
    assert_eq!((count.loads, count.hits), (1, 2));
}

#[test]
fn an_event_that_does_not_fit_drops_the_entry_as_one_without_a_base() {
    let changed = to("1").encode("a");
    let cut = &changed[..changed.len() - 1];
    let misfit = from("\"other\"", "1").encode("a");
    let valid = [
        ("Kaa-Epr-Writer", "w"),
        ("Kaa-Epr-Seq", "1"),
        ("Kaa-Epr-Version", "4"),
        ("Kaa-Epr-Base", "3"),
    ];
    let with = |name: &str, value| valid.map(|(known, own)| (known, if known == name { value } else { own }));
    for (what, headers, payload) in [
        ("another base", with("Kaa-Epr-Base", "2"), &changed[..]),
        ("a base that is no number", with("Kaa-Epr-Base", "3x"), &changed),
        (
            "a base beyond 64 bits",
            with("Kaa-Epr-Base", "9223372036854775808"),
            &changed,
        ),
        ("no step", with("Kaa-Epr-Version", "3"), &changed),
        ("a step back", with("Kaa-Epr-Version", "2"), &changed),
        (
            "a version that is no number",
            with("Kaa-Epr-Version", "four"),
            &changed,
        ),
        ("no writer", with("Kaa-Epr-Writer", "not a name"), &changed),
        ("no number", with("Kaa-Epr-Seq", "one"), &changed),
        ("a tail that is cut off", valid, cut),
        ("an old value that does not fit", valid, &misfit),
    ] {
        let mut responder = filled();
        tell(&mut responder, Kind::MetadataUpdated, &headers, payload, 0);
        assert_eq!(cached(&mut responder, "a", 0), None, "{what}");
        let count = responder.stats().count;
        assert_eq!(
            (count.events_applied, count.invalidations_metadata_updated),
            (0, 1),
            "{what}"
        );
        assert_eq!(count.flushes_undecodable_event, 0, "{what}");
    }
    let mut responder = filled();
    tell(&mut responder, Kind::MetadataUpdated, &valid, &changed, 0);
    assert!(cached(&mut responder, "a", 0).is_some(), "but for these it fits");
}

#[test]
fn only_metadata_events_are_applied() {
    let headers = [
        ("Kaa-Epr-Writer", "w"),
        ("Kaa-Epr-Seq", "1"),
        ("Kaa-Epr-Version", "4"),
        ("Kaa-Epr-Base", "3"),
    ];
    for kind in [Kind::Registered, Kind::Unregistered, Kind::AppVersionUpdated] {
        let mut responder = filled();
        tell(&mut responder, kind, &headers, &event_payload(kind, "a"), 0);
        assert_eq!(cached(&mut responder, "a", 0), None, "{kind:?}");
    }
}

#[test]
fn nothing_is_applied_where_it_was_switched_off() {
    let mut settings = config();
    settings.apply_events = false;
    let mut responder = started(settings);
    fill(&mut responder, "a", 3, 0);
    change(&mut responder, "a", 3, 4, &to("1"), 0);
    assert_eq!(cached(&mut responder, "a", 0), None);
}

#[test]
fn a_repeated_event_and_one_that_was_overtaken_drop_the_entry() {
    let mut responder = filled();
    change(&mut responder, "a", 3, 4, &to("1"), 0);
    change(&mut responder, "a", 3, 4, &to("1"), 0);
    assert_eq!(cached(&mut responder, "a", 0), None, "it came twice");
    let mut responder = filled();
    change(&mut responder, "a", 4, 5, &from("1", "2"), 0);
    assert_eq!(
        cached(&mut responder, "a", 0),
        None,
        "one between was not heard yet"
    );
}

#[test]
fn nothing_of_before_a_flush_or_a_hole_comes_back() {
    let mut responder = filled();
    responder.flush(FlushCause::Operator);
    change(&mut responder, "a", 3, 4, &to("1"), 0);
    assert_eq!(cached(&mut responder, "a", 0), None);
    let mut responder = filled();
    responder.ears(false, 0);
    change(&mut responder, "a", 3, 4, &to("1"), 0);
    assert_eq!(cached(&mut responder, "a", 0), None, "deaf");
    let mut responder = filled();
    heartbeat(&mut responder, "writer-4", 0, 0);
    heartbeat(&mut responder, "writer-4", 7, 0);
    change(&mut responder, "a", 3, 4, &to("1"), 0);
    assert_eq!(cached(&mut responder, "a", 0), None, "behind a hole");
}

#[test]
fn an_applied_entry_is_as_old_as_its_load() {
    let mut responder = filled();
    let late = MAX_AGE - MAX_AGE / 10 - 1;
    // Writers say goodbye, so that their silence is none.
    change(&mut responder, "a", 3, 4, &to("1"), late);
    goodbye(&mut responder, "writer-4", 1, late);
    assert!(cached(&mut responder, "a", late).is_some());
    assert_eq!(cached(&mut responder, "a", MAX_AGE), None);
    assert_eq!(responder.stats().count.expirations, 1);
}

#[test]
fn what_is_beyond_its_age_is_not_changed() {
    let mut responder = filled();
    change(&mut responder, "a", 3, 4, &to("1"), MAX_AGE);
    assert_eq!(cached(&mut responder, "a", MAX_AGE), None);
    assert_eq!(responder.stats().count.events_applied, 0);
}

#[test]
fn loads_that_run_are_void_all_the_same() {
    let mut responder = filled();
    responder.flush(FlushCause::Operator);
    ask(&mut responder, "first", &get("c", "a"), 0);
    let slow = begin(&mut responder, &["a"], 0);
    updated(&mut responder, "a", 3, 0);
    fill(&mut responder, "a", 3, 0);
    change(&mut responder, "a", 3, 4, &to("1"), 0);
    assert_eq!(cached(&mut responder, "a", 0), Some((4, r#"{"v":1}"#.into())));
    end(&mut responder, slow, &[stored("a", 3, "old")], 0);
    assert_eq!(cached(&mut responder, "a", 0), Some((4, r#"{"v":1}"#.into())));
}

#[test]
fn what_grows_makes_others_give_way() {
    let mut settings = config();
    settings.cache.max_bytes = 450;
    let mut responder = started(settings);
    fill(&mut responder, "b", 3, 0);
    fill(&mut responder, "a", 3, 0);
    change(
        &mut responder,
        "a",
        3,
        4,
        &to(&format!("\"{}\"", "x".repeat(300))),
        0,
    );
    assert_eq!(responder.stats().count.evictions, 1);
    assert!(cached(&mut responder, "a", 0).is_some());
    assert_eq!(cached(&mut responder, "b", 0), None);
    let mut responder = filled();
    fill(&mut responder, "b", 3, 0);
    let huge = to(&format!("\"{}\"", "x".repeat(1 << 20)));
    change(&mut responder, "a", 3, 4, &huge, 0);
    assert_eq!(
        responder.stats().count.evictions,
        1,
        "itself, which is used least"
    );
    assert!(cached(&mut responder, "b", 0).is_some());
}
