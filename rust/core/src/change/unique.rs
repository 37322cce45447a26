//! Names of which each shall be there once, as in a Python dict: the last value, at the place of the first.

/// Up to so many names are compared with those before them that have the same tag; more are sorted.
const TAGGED: usize = 64;

/// One of 128 bits, which equal names have in common and most unequal ones have not.
fn tag(name: &[u8]) -> u128 {
    let first = name.first().copied().unwrap_or(0);
    let last = name.last().copied().unwrap_or(0);
    1 << (((name.len() as u8).wrapping_mul(37) ^ first.wrapping_mul(5) ^ last) & 0x7F)
}

/// Leaves each name once in `items`.
pub(super) fn keep_last_at_first<T>(items: &mut Vec<T>, name: impl Fn(&T) -> &[u8]) {
    if !has_twice(items, &name) {
        return;
    }
    let mut by_name: Vec<usize> = (0..items.len()).collect();
    by_name.sort_by(|&one, &other| name(&items[one]).cmp(name(&items[other]))); // stable: equal ones stay in order
    let mut last_at_first = vec![None; items.len()];
    for same in by_name.chunk_by(|&one, &other| name(&items[one]) == name(&items[other])) {
        if let (Some(&first), Some(&last)) = (same.first(), same.last()) {
            last_at_first[first] = Some(last);
        }
    }
    let mut taken: Vec<Option<T>> = std::mem::take(items).into_iter().map(Some).collect();
    *items = last_at_first
        .into_iter()
        .flatten()
        .filter_map(|at| taken.get_mut(at)?.take())
        .collect();
}

fn has_twice<T>(items: &[T], name: impl Fn(&T) -> &[u8]) -> bool {
    if items.len() <= TAGGED {
        let mut tags = 0_u128;
        return items.iter().enumerate().any(|(at, one)| {
            let seen = tags;
            tags |= tag(name(one));
            seen == tags && items[..at].iter().any(|other| name(other) == name(one))
        });
    }
    let mut names: Vec<&[u8]> = items.iter().map(name).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(names: &[&str]) -> Vec<(String, usize)> {
        let mut items: Vec<(String, usize)> = names
            .iter()
            .enumerate()
            .map(|(at, name)| ((*name).to_owned(), at))
            .collect();
        keep_last_at_first(&mut items, |item| item.0.as_bytes());
        items
    }

    #[test]
    fn the_last_value_stands_at_the_first_place() {
        let expected = [("a", 5), ("b", 4), ("c", 3)].map(|(name, at)| (name.to_owned(), at));
        assert_eq!(kept(&["a", "b", "a", "c", "b", "a"]), expected);
        assert_eq!(kept(&[]), []);
    }

    #[test]
    fn many_names_are_found_as_few_are() {
        for count in [1, TAGGED - 1, TAGGED, TAGGED + 1, 1000] {
            let names: Vec<String> = (0..count).map(|number| number.to_string()).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            assert_eq!(kept(&names).len(), count);
            let twice = [&names[..], &names[count / 2..=count / 2]].concat();
            let kept = kept(&twice);
            assert_eq!(kept.len(), count);
            assert_eq!(kept[count / 2], (names[count / 2].to_owned(), count));
        }
    }
}
