//! `If-Match` and `If-None-Match` (RFC 9110, 13.1). The eTag of an endpoint is its version in quotes; bare tags are
//! taken too, since 19/EPMMP does not say that quotes belong to one.

/// Optional white space as HTTP has it (RFC 9110, 5.6.3).
const BLANKS: [char; 2] = [' ', '\t'];

/// Whether both hold for a resource whose endpoint has `version`, if it is known.
pub(super) fn hold(
    if_match: Option<&str>,
    if_none_match: Option<&str>,
    version: Option<i64>,
    known: bool,
) -> bool {
    if if_match.is_none() && if_none_match.is_none() {
        return true;
    }
    let etag = version.map(|version| version.to_string());
    let etag = etag.as_deref();
    // A weak tag matches nothing where the match has to be strong.
    let strong = |header: &str| matches(header, etag, |weak| !weak);
    let weak = |header: &str| matches(header, etag, |_| true);
    if_match.is_none_or(|header| known && strong(header))
        && if_none_match.is_none_or(|header| !known || !weak(header))
}

/// Our tags hold no commas, so none is torn apart that could match.
fn matches(header: &str, etag: Option<&str>, fits: impl Fn(bool) -> bool) -> bool {
    if header.trim_matches(BLANKS) == "*" {
        return true;
    }
    let Some(etag) = etag else { return false };
    header.split(',').any(|part| {
        let text = part.trim_matches(BLANKS);
        let (weak, tag) = text.strip_prefix("W/").map_or((false, text), |tag| (true, tag));
        let tag = match tag.strip_prefix('"') {
            Some(quoted) => quoted.strip_suffix('"'),
            None => Some(tag),
        };
        fits(weak) && tag == Some(etag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match() {
        for (header, version, holds) in [
            ("*", Some(7), true),
            ("*", None, true),
            (" \"7\" ", Some(7), true),
            ("7", Some(7), true),
            ("\"6\", \"7\"", Some(7), true),
            ("6,7", Some(7), true),
            ("W/\"7\"", Some(7), false),
            ("\"77\"", Some(7), false),
            ("\"7", Some(7), false),
            ("\"7\"", None, false),
            ("", Some(7), false),
        ] {
            assert_eq!(hold(Some(header), None, version, true), holds, "{header}");
            assert!(!hold(Some(header), None, version, false), "{header}");
        }
    }

    #[test]
    fn if_none_match() {
        for (header, matches) in [
            ("*", true),
            ("W/\"7\"", true),
            ("\"6\",7", true),
            ("\"6\"", false),
        ] {
            assert_eq!(hold(None, Some(header), Some(7), true), !matches, "{header}");
            assert!(hold(None, Some(header), Some(7), false), "{header}");
        }
    }
}
