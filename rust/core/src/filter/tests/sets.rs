//! Which filters a change concerns.

use std::sync::Arc;

use super::*;

#[test]
fn filters_depend_on_what_they_name() {
    let depends = |query: &str| {
        let filter = filter(query);
        let found = filter.dependencies();
        let keys: Vec<&str> = found.keys.iter().map(AsRef::as_ref).collect();
        (keys.join(" "), found.application_version, found.everything)
    };
    let only = |keys: &str| (keys.to_owned(), false, false);
    assert_eq!(
        depends(r#"{"metadata": {"$elemMatch": {"key": "a", "value": 1}}}"#),
        only("a")
    );
    assert_eq!(
        depends(r#"{"$nor": [{"metadata": {"$elemMatch": {"value": "x", "key": {"$in": ["a", "b"]}}}}]}"#),
        only("a b")
    );
    assert_eq!(
        depends(r#"{"metadata": {"$elemMatch": {"$or": [{"key": "a"}, {"key": "b"}]}}}"#),
        only("a b")
    );
    assert_eq!(
        depends(r#"{"metadata": {"$all": [{"$elemMatch": {"key": "a"}}, {"$elemMatch": {"key": "b"}}]}}"#),
        only("a b")
    );
    assert_eq!(depends(r#"{"_id": "e"}"#), only(""));
    assert_eq!(depends("{}"), only(""));
    assert_eq!(
        depends(r#"{"application_version": {"$ne": "v"}}"#),
        (String::new(), true, false)
    );
    for everything in [
        r#"{"metadata.key": "a"}"#,
        r#"{"metadata": {"$elemMatch": {"value": 1}}}"#,
        r#"{"metadata": {"$elemMatch": {"$or": [{"key": "a"}, {"value": 1}]}}}"#,
        r#"{"metadata": {"$elemMatch": {"key": {"$ne": "a"}}}}"#,
        r#"{"metadata": {"$size": 1}}"#,
    ] {
        assert_eq!(depends(everything), (String::new(), false, true), "{everything}");
    }
}

fn set(queries: &[&str]) -> FilterSet {
    FilterSet::new(queries.iter().map(|query| Arc::new(filter(query))).collect())
}

#[test]
fn sets_evaluate_what_a_change_concerns() {
    let set = set(&[
        r#"{"metadata": {"$elemMatch": {"key": "city", "value": "Kyiv"}}}"#,
        r#"{"metadata": {"$elemMatch": {"key": "t", "value": {"$gt": 20}}}}"#,
        r#"{"application_version": "v2"}"#,
        r#"{"metadata": {"$size": 2}}"#,
        r#"{"metadata": {"$not": {"$elemMatch": {"key": "t"}}}}"#,
        r#"{"_id": "e1"}"#,
    ]);
    let change = |keys| Change {
        keys,
        application_version: false,
    };
    assert_eq!(set.affected(&change(&["city"])), [0, 3]);
    assert_eq!(set.affected(&change(&["t", "other"])), [1, 3, 4]);
    let version = Change {
        keys: &[],
        application_version: true,
    };
    assert_eq!(set.affected(&version), [2]);

    let cold = endpoint("v1", &[("city", r#""Kyiv""#), ("t", "19")]);
    let warm = endpoint("v1", &[("city", r#""Kyiv""#), ("t", "21.5")]);
    let moved = endpoint("v1", &[("city", r#""Lviv""#)]);
    assert_eq!(set.matching(&cold), Ok(vec![0, 3, 5]));
    assert_eq!(set.verdicts(&cold), Ok(vec![0b10_1001]));
    assert_eq!(
        set.changes(Some(&cold), Some(&warm), &change(&["t"])),
        Ok((vec![1], vec![]))
    );
    assert_eq!(
        set.changes(Some(&warm), Some(&moved), &change(&["city", "t"])),
        Ok((vec![4], vec![0, 1, 3]))
    );
    assert_eq!(
        set.changes(None, Some(&moved), &change(&[])),
        Ok((vec![4, 5], vec![]))
    );
    assert_eq!(
        set.changes(Some(&moved), None, &change(&[])),
        Ok((vec![], vec![4, 5]))
    );
    assert_eq!(set.changes(None, None, &change(&[])), Ok((vec![], vec![])));
}

#[test]
fn foreign_documents_are_evaluated_by_all_filters() {
    let set = set(&[
        r#"{"metadata": {"$elemMatch": {"key": "a"}}}"#,
        r#"{"metadata": {"$elemMatch": {"key": "a", "value": 1.0}}}"#,
        r#"{"application_version": "v1"}"#,
    ]);
    for document in [
        r#"{"application_version": ["v1"], "metadata": [{"key": "a", "value": 1}]}"#,
        r#"{"application_version": "v1", "metadata": [{"key": ["b", "a"], "value": [0, 1]}]}"#,
        r#"{"application_version": "v1", "metadata": [{"A": 5, "key": "a", "value": 1}]}"#,
    ] {
        let document = bson(document);
        assert_eq!(set.matching(&document), Ok(vec![0, 1, 2]));
        let empty = bson("{}");
        let changed = set.changes(Some(&empty), Some(&document), &Change::default());
        assert_eq!(changed, Ok((vec![0, 1, 2], vec![])));
    }
}
