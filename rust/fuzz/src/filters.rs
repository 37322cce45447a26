//! Filters: what is accepted is evaluated, explained and indexed to the same verdict, whatever the documents are.

use std::sync::Arc;

use kaa_epr_core::bson::documents;
use kaa_epr_core::filter::{Change, Filter, FilterSet, Limits};

/// The first document is a query, the others are held against it.
pub fn filter(data: &[u8]) {
    let mut documents = documents(data).map_while(Result::ok);
    let Some(query) = documents.next() else { return };
    let filter = match Filter::new(query, &Limits::default()) {
        Ok(filter) => Arc::new(filter),
        Err(error) => {
            assert!(error.place.len() <= query.len());
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    // Beside itself there is one that everything matches, and so does nothing that is malformed.
    let everything = Arc::new(Filter::new(&[5, 0, 0, 0, 0], &Limits::default()).expect("is accepted"));
    let set = FilterSet::new(vec![Arc::clone(&filter), everything]);
    for document in documents {
        let Ok(matches) = filter.matches(document) else {
            assert!(filter.explain(document).is_err());
            assert!(set.verdicts(document).is_err());
            continue;
        };
        let explained = filter.explain(document).map(|explanation| explanation.matches);
        assert!(explained.is_err() || explained == Ok(matches));
        let expected = if matches { vec![0, 1] } else { vec![1] };
        // Sets read all of the metadata, of which the verdict may need a part.
        if let Ok(verdicts) = set.verdicts(document) {
            assert_eq!(verdicts, [u64::from(matches) | 2]);
        }
        if let Ok(found) = set.matching(document) {
            assert_eq!(found, expected);
            let registered = set.changes(None, Some(document), &Change::default());
            assert_eq!(registered, Ok((expected, Vec::new())));
        }
    }
}
