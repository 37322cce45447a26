//! What is not accepted, and how it is said.

use super::*;

fn refusal(json: &str, limits: &Limits) -> String {
    let refused = Filter::new(&bson(json), limits);
    refused.expect_err("must be refused").to_string()
}

#[test]
fn refusals_name_operator_and_place() {
    for (query, refusal_text) in [
        (
            r#"{"endpoint_token": "t"}"#,
            "endpoint_token: filters ask about metadata, application_version and _id only",
        ),
        (
            r#"{"outbox.0": 1}"#,
            "outbox.0: filters ask about metadata, application_version and _id only",
        ),
        (r#"{"$where": "1"}"#, "$where: filters do not have this operator"),
        (r#"{"$expr": {}}"#, "$expr: filters do not have this operator"),
        (
            r#"{"_id": {"$foo": 1}}"#,
            "_id.$foo: filters do not have this operator",
        ),
        (
            r#"{"$and": [{"metadata": {"$elemMatch": {"value": {"$foo": 1}}}}]}"#,
            "$and.0.metadata.$elemMatch.value.$foo: filters do not have this operator",
        ),
        (
            r#"{"metadata": {"$gt": 1, "a": 2}}"#,
            "metadata.a: operators cannot stand here",
        ),
        (
            r#"{"metadata": {"$in": [1, {"$gt": 1}]}}"#,
            "metadata.$in.1: operators cannot stand here",
        ),
        (
            r#"{"metadata..a": 1}"#,
            "metadata..a: a name in the path is empty",
        ),
        (r#"{"$or": []}"#, "$or: must be a list that is not empty"),
        (r#"{"$or": [1]}"#, "$or.0: must be a list of queries"),
        (
            r#"{"metadata": {"$size": -1}}"#,
            "metadata.$size: must be a whole number from 0 to 2147483647",
        ),
        (
            r#"{"metadata": {"$options": "i"}}"#,
            "metadata.$options: needs $regex beside it",
        ),
        (
            r#"{"metadata": {"$regex": "ab(?=c)"}}"#,
            "metadata.$regex: regular expression, at byte 4: look-around is not supported",
        ),
        (
            r#"{"metadata": {"$regex": "a", "$options": "g"}}"#,
            "metadata.$regex: regular expression, at byte 0: options are letters of imsx",
        ),
        (
            r#"{"metadata": {"$all": [{"$elemMatch": {}}, 1]}}"#,
            "metadata.$all: must have $elemMatch, and nothing else, in each element or in none",
        ),
    ] {
        assert_eq!(refusal(query, &Limits::default()), refusal_text, "{query}");
    }
}

#[test]
fn every_limit_refuses_what_is_beyond_it_and_nothing_else() {
    let limits = Limits {
        bytes: 200,
        depth: 4,
        conditions: 3,
        list: 4,
        path: 3,
        numbers: 2,
        pattern: 10,
        pattern_size: 10_000,
    };
    let accepted = [
        r#"{"metadata": {"$elemMatch": {"a": {"$gt": 1}}}}"#,
        r#"{"_id": "a", "metadata": "b", "application_version": "c"}"#,
        r#"{"_id": {"$in": [1, 2, 3, 4]}}"#,
        r#"{"metadata.a.b": 1}"#,
        r#"{"metadata.0": {"$elemMatch": {"1": 1}}}"#,
        r#"{"_id": {"$regex": "abcdefghij"}}"#,
    ];
    for query in accepted {
        assert!(Filter::new(&bson(query), &limits).is_ok(), "{query}");
    }
    let long = format!(r#"{{"_id": "{}"}}"#, "a".repeat(200));
    for (query, text) in [
        (&*long, "query: is longer than 200 bytes"),
        (r#"{"_id": [[[[1]]]]}"#, "query: is nested deeper than 4 levels"),
        (
            r#"{"_id": {"$gt": 1, "$lt": 2, "$gte": 3, "$lte": 4}}"#,
            "_id.$lte: makes more than 3 conditions",
        ),
        (
            r#"{"_id": {"$in": [1, 2, 3, 4, 5]}}"#,
            "_id.$in: is a list of more than 4 elements",
        ),
        (
            r#"{"metadata.a.b.c": 1}"#,
            "metadata.a.b.c: is a path of more than 3 names",
        ),
        (
            r#"{"metadata.0": {"$elemMatch": {"1": {"$elemMatch": {"2": 1}}}}}"#,
            "query: is nested deeper than 4 levels",
        ),
        (
            r#"{"metadata.0.1": {"$elemMatch": {"2": 1}}}"#,
            "metadata.0.1.$elemMatch.2: goes by number through more than 2 arrays",
        ),
        (
            r#"{"_id": {"$regex": "abcdefghijk"}}"#,
            "_id.$regex: is a regular expression of more than 10 bytes",
        ),
        (
            r#"{"_id": {"$regex": "\\w{99}"}}"#,
            "_id.$regex: regular expression, at byte 0: takes too much memory when compiled",
        ),
    ] {
        assert_eq!(refusal(query, &limits), text, "{query}");
    }
}

#[test]
fn limits_can_only_be_lowered() {
    let limits = Limits {
        depth: usize::MAX,
        ..Limits::default()
    };
    let deep = format!(
        "{}1{}",
        r#"{"_id": "#.to_owned() + &"[".repeat(60),
        "]".repeat(60) + "}"
    );
    assert_eq!(refusal(&deep, &limits), "query: is nested deeper than 50 levels");
}

#[test]
fn what_is_not_bson_is_refused_and_not_judged() {
    let query = bson(r#"{"_id": "a"}"#);
    for end in 0..query.len() {
        assert!(Filter::new(&query[..end], &Limits::default()).is_err());
        assert!(filter(r#"{"_id": "a"}"#).matches(&query[..end]).is_err());
    }
    let mut unknown_type = query;
    unknown_type[4] = 0x20;
    let refused = Filter::new(&unknown_type, &Limits::default()).expect_err("must be refused");
    assert_eq!(refused.reason, Reason::Document(DocumentError::Malformed));
}
