//! Rule 6: what the store returns is at least what events told of.

use kaa_epr_core::frame::Kind;
use kaa_epr_core::limits::MAX_RELOADS;
use kaa_epr_core::stats::FlushCause;

use crate::support::*;

#[test]
fn less_than_the_floor_is_loaded_again_and_503_in_the_end() {
    let mut responder = started(config());
    updated(&mut responder, "a", 5, 0);
    ask(&mut responder, "r", &get("c", "a"), 0);
    for _ in 0..=MAX_RELOADS {
        assert!(answers(&mut responder).is_empty());
        let load = begin(&mut responder, &["a"], 0);
        end(&mut responder, load, &[stored("a", 4, "old")], 0);
    }
    assert_eq!(only(&mut responder), (503, None));
    assert_eq!(responder.pending(), 0);
    assert!(!responder.wants_load());
    assert_eq!(responder.stats().count.stale_loads, u64::from(MAX_RELOADS) + 1);
    ask(&mut responder, "r", &get("c", "a"), 0);
    let load = begin(&mut responder, &["a"], 0);
    end(&mut responder, load, &[stored("a", 4, "old")], 0);
    let load = begin(&mut responder, &["a"], 0);
    ask(&mut responder, "joined", &get("c", "a"), 0);
    end(&mut responder, load, &[stored("a", 5, "new")], 0);
    let both = [
        ("r".to_owned(), 200, Some(5)),
        ("joined".to_owned(), 200, Some(5)),
    ];
    assert_eq!(outcome(&mut responder), both);
    ask(&mut responder, "r", &get("c", "a"), 0);
    assert_eq!(only(&mut responder), (200, Some(5)));
}

#[test]
fn a_reload_takes_the_gets_that_wait_with_it() {
    let mut responder = started(config());
    ask(&mut responder, "1", &get("c", "a"), 0);
    let old = begin(&mut responder, &["a"], 0);
    updated(&mut responder, "a", 2, 0);
    ask(&mut responder, "2", &get("c", "a"), 0);
    end(&mut responder, old, &[stored("a", 1, "old")], 0);
    assert_eq!(responder.pending(), 2);
    let new = begin(&mut responder, &["a"], 0);
    end(&mut responder, new, &[stored("a", 2, "new")], 0);
    let both = [("1".to_owned(), 200, Some(2)), ("2".to_owned(), 200, Some(2))];
    assert_eq!(outcome(&mut responder), both);
    assert_eq!(responder.pending(), 0);
}

#[test]
fn there_is_no_reload_beyond_the_stores_time_or_while_it_is_down() {
    for down in [false, true] {
        let mut responder = started(config());
        updated(&mut responder, "a", 5, 0);
        ask(&mut responder, "r", &get("c", "a"), 0);
        let load = begin(&mut responder, &["a"], 0);
        let ms = if down { 0 } else { STORE_TIMEOUT };
        responder.store_up(!down, at(0));
        end(&mut responder, load, &[stored("a", 4, "old")], ms);
        assert_eq!(only(&mut responder), (503, None));
    }
}

#[test]
fn absence_is_less_unless_the_endpoint_was_unregistered() {
    let mut responder = started(config());
    for (kind, version, status) in [
        (Kind::Registered, "1", None),
        (Kind::Unregistered, "2", Some(404)),
        (Kind::Registered, "3", None),
    ] {
        let payload = event_payload(kind, "a");
        tell(&mut responder, kind, &[("Kaa-Epr-Version", version)], &payload, 0);
        ask(&mut responder, "r", &get("c", "a"), 0);
        let load = begin(&mut responder, &["a"], 0);
        end(&mut responder, load, &[], 0);
        assert_eq!(answers(&mut responder).first().map(Answer::status), status);
        if status.is_none() {
            let load = begin(&mut responder, &["a"], 0);
            end(&mut responder, load, &[tombstone("a", 3)], 0);
            assert_eq!(
                only(&mut responder),
                (404, None),
                "a tombstone that is new enough will do"
            );
        }
    }
}

#[test]
fn a_floor_ends_with_its_age_a_foreign_event_or_the_operators_flush() {
    for end_of_floor in 0..4 {
        let mut responder = started(config());
        updated(&mut responder, "a", 5, 0);
        let mut ms = 0;
        match end_of_floor {
            0 => ms = MAX_AGE,
            1 => {
                let payload = event_payload(Kind::MetadataUpdated, "a");
                tell(&mut responder, Kind::MetadataUpdated, &[], &payload, 0);
            }
            2 => responder.flush(FlushCause::Operator),
            _ => responder.flush(FlushCause::StorePrimaryChanged),
        }
        ask(&mut responder, "r", &get("c", "a"), ms);
        let load = begin(&mut responder, &["a"], ms);
        end(&mut responder, load, &[stored("a", 4, "x")], ms);
        assert_eq!(
            answers(&mut responder).is_empty(),
            end_of_floor == 3,
            "{end_of_floor}"
        );
    }
}
