//! Plans of changes: one command's bug is nobody else's, and work is bounded.
#![allow(clippy::expect_used, clippy::panic, missing_docs)]

use kaa_epr_core::bson::{Document, Value, write};
use kaa_epr_core::change::{
    Claim, Command, Planned, Planner, RawValue, Refusal, Request, Rules, Show, Status, Values, View, Work,
};

fn rules() -> Rules {
    Rules {
        max_keys: 1024,
        max_key_length: 256,
        max_depth: 32,
        max_metadata_bytes: 8 << 20,
        key_pattern: None,
        restricted: Vec::new(),
        plain_tokens: true,
    }
}

fn request(command: &Command) -> Request<'_> {
    Request {
        command,
        correlation_id: "c",
        if_match: None,
        if_none_match: None,
        key: None,
        show: Show::Metadata,
        only_at: None,
    }
}

fn plan(document: Option<&[u8]>, commands: &[Command]) -> Planned {
    plan_by(&rules(), document, commands)
}

/// Judging the key `bug` is one, where keys must match a pattern.
fn plan_by(rules: &Rules, document: Option<&[u8]>, commands: &[Command]) -> Planned {
    let planner = Planner {
        rules,
        matches: &|key| {
            assert_ne!(key, "bug", "on purpose");
            true
        },
        seed: 7,
        replica_id: "r",
        now_ms: 1_777_852_800_000,
        claim: Some(Claim { owner: "r", id: "1" }),
        max_event_bytes: 1 << 20,
        max_outbox: 64,
    };
    planner.plan(&Work {
        endpoint_id: "e",
        document,
        requests: commands.iter().map(request).collect(),
    })
}

fn put(key: &str, value: RawValue) -> Command {
    Command::PutKeys(Values::new(vec![(key.to_owned(), value)]))
}

fn stored(metadata: &[(&str, RawValue)]) -> Vec<u8> {
    let mut out = Vec::new();
    let document = write::open(&mut out);
    write::put_string(&mut out, "_id", "e");
    write::put_int64(&mut out, "version", 7);
    write::put_name(&mut out, write::kind::DOCUMENT, "metadata");
    let inner = write::open(&mut out);
    for (key, value) in metadata {
        value.append_to(key, &mut out);
    }
    write::close(&mut out, inner);
    write::close(&mut out, document);
    out
}

#[test]
fn a_command_that_meets_a_bug_fails_alone() {
    let commands = ["a", "bug", "b"].map(|key| put(key, RawValue::string("1")));
    let rules = Rules {
        key_pattern: Some("asked for each key".into()),
        ..rules()
    };
    let planned = plan_by(&rules, Some(&stored(&[])), &commands);
    let [first, bug, last] = &planned.outcomes[..] else {
        panic!("three outcomes");
    };
    assert_eq!(first.as_ref().map(|outcome| outcome.version), Ok(Some(8)));
    assert_eq!(bug, &Err(Refusal::Bug));
    let text = last.as_ref().expect("is carried out").text.as_deref();
    assert_eq!(text, Some(r#"{"a":"1","b":"1"}"#));
    assert_eq!(planned.events.len(), 2);
}

#[test]
fn a_plan_is_whole_or_nothing_is_written() {
    let planned = plan(Some(&[5, 0, 0, 0, 0, 0]), &[Command::Unregister]);
    assert_eq!((planned.status, planned.write), (Status::Unusable, None));
    let planned = plan(None, &[Command::Unregister]);
    assert_eq!(planned.outcomes, [Err(Refusal::EndpointUnknown)]);
    assert_eq!(planned.write, None);
}

#[test]
fn the_new_document_is_read_as_what_was_planned() {
    let document = stored(&[("a", RawValue::string("x")), ("b", RawValue::null())]);
    let planned = plan(Some(&document), &[put("a", RawValue::string("y"))]);
    let write = planned.write.expect("something changes");
    let view = View::new(&write.document).expect("is well-formed");
    assert_eq!(view.version(), Some(8));
    assert_eq!(
        view.metadata_text(|_| true).as_deref(),
        Some(r#"{"a":"y","b":null}"#)
    );
    let update = Document::new(&write.update).expect("is well-formed");
    let names: Vec<_> = update
        .elements()
        .map(|element| element.map(|(name, _)| name))
        .collect();
    assert_eq!(names, [Ok("$set"), Ok("$currentDate"), Ok("$setOnInsert")]);
    assert!(matches!(
        Document::new(&write.condition)
            .expect("is well-formed")
            .elements()
            .nth(1),
        Some(Ok(("version", Value::Int64(7))))
    ));
}

/// The worst that is stored is read, compared and written in time that grows with its size alone.
#[test]
fn many_keys_cost_no_more_than_their_number() {
    let keys: Vec<String> = (0..10_000).map(|number| format!("key{number}")).collect();
    let metadata: Vec<_> = keys.iter().map(|key| (key.as_str(), RawValue::null())).collect();
    let document = stored(&metadata);
    let mut reversed: Vec<_> = keys
        .iter()
        .map(|key| (key.clone(), RawValue::string(key)))
        .collect();
    reversed.reverse();
    let rules = Rules {
        max_keys: 10_000,
        ..rules()
    };
    let planner = Planner {
        rules: &rules,
        matches: &|_| true,
        seed: 7,
        replica_id: "r",
        now_ms: 1,
        claim: None,
        max_event_bytes: 8 << 20,
        max_outbox: 64,
    };
    let command = Command::ReplaceMetadata(Values::new(reversed));
    let planned = planner.plan(&Work {
        endpoint_id: "e",
        document: Some(&document),
        requests: vec![request(&command)],
    });
    let outcome = planned.outcomes[0].as_ref().expect("is carried out");
    assert!(
        outcome
            .text
            .as_ref()
            .is_some_and(|text| text.starts_with(r#"{"key0":"key0","#))
    );
}
