//! What decided.

use super::*;

/// Place, whether it held, path, of each decision.
fn decisions(query: &str, document: &[u8]) -> (bool, Vec<String>) {
    let explanation = filter(query).explain(document).expect("is well-formed");
    let decisions = explanation.decisions.iter().map(|decision| {
        let path = decision.path.as_deref().unwrap_or("-");
        format!("{} {} {path}", decision.place, decision.holds)
    });
    (explanation.matches, decisions.collect())
}

#[test]
fn explanations_name_what_decided() {
    let document = endpoint("v1", &[("city", r#""Kyiv""#), ("t", "19")]);
    let explained = |query: &str| decisions(query, &document);
    let warm = r#"{"metadata": {"$elemMatch": {"key": "t", "value": {"$gt": 20}}}}"#;
    assert_eq!(
        explained(warm),
        (
            false,
            vec!["metadata.$elemMatch.value.$gt false metadata.1.value".to_owned()]
        )
    );
    assert_eq!(
        explained(r#"{"metadata": {"$elemMatch": {"key": "t", "value": {"$lt": 20}}}}"#),
        (
            true,
            vec![
                "metadata.$elemMatch.key true metadata.1.key".to_owned(),
                "metadata.$elemMatch.value.$lt true metadata.1.value".to_owned(),
            ]
        )
    );
    assert_eq!(
        explained(r#"{"metadata": {"$elemMatch": {"key": "none"}}}"#),
        (false, vec!["metadata.$elemMatch false metadata".to_owned()])
    );
    assert_eq!(
        explained(r#"{"$nor": [{"application_version": "v2"}, {"metadata.key": "city"}], "_id": "e1"}"#),
        (false, vec!["$nor.1.metadata.key true metadata.0.key".to_owned()])
    );
    assert_eq!(
        explained(r#"{"$or": [{"application_version": "v2"}, {"_id": "x"}]}"#),
        (
            false,
            vec![
                "$or.0.application_version false application_version".to_owned(),
                "$or.1._id false _id".to_owned(),
            ]
        )
    );
    assert_eq!(
        explained(r#"{"metadata.9": 1}"#),
        (false, vec!["metadata.9 false -".to_owned()])
    );
    let seen = filter(warm).explain(&document).expect("is well-formed");
    assert_eq!(
        seen.decisions[0].value.as_ref().map(|value| value.bytes()),
        Some(&[19, 0, 0, 0][..])
    );
}
