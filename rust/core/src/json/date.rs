//! BSON datetimes.

use super::text::put_integer;
use std::fmt::Write as _;

/// The last millisecond that a Python `datetime` holds: 9999-12-31T23:59:59.999Z.
const MAX_MS: i64 = 253_402_300_799_999;

/// The first one: 0001-01-01T00:00:00Z.
const MIN_MS: i64 = -62_135_596_800_000;

const MS_PER_DAY: i64 = 86_400_000;

/// Appends a datetime: ISO 8601 from 1970 to 9999, else the number of milliseconds.
pub(super) fn put_datetime(out: &mut String, unix_ms: i64) {
    if !(0..=MAX_MS).contains(&unix_ms) {
        out.push_str(r#"{"$date":{"$numberLong":""#);
        put_integer(out, unix_ms);
        out.push_str("\"}}");
        return;
    }
    out.push_str(r#"{"$date":""#);
    let ms = put_seconds(out, unix_ms);
    if ms != 0 {
        // Writing to a String does not fail.
        let _ = write!(out, ".{ms:03}");
    }
    out.push_str("Z\"}");
}

/// Appends a datetime of the years 1 to 9999 in ISO 8601 with milliseconds; else nothing, and gives false.
pub fn put_iso(out: &mut String, unix_ms: i64) -> bool {
    if !(MIN_MS..=MAX_MS).contains(&unix_ms) {
        return false;
    }
    let ms = put_seconds(out, unix_ms);
    // Writing to a String does not fail.
    let _ = write!(out, ".{ms:03}Z");
    true
}

/// Appends date and time to the second; gives back the milliseconds.
fn put_seconds(out: &mut String, unix_ms: i64) -> i64 {
    let (year, month, day) = civil(unix_ms.div_euclid(MS_PER_DAY));
    let ms = unix_ms.rem_euclid(MS_PER_DAY);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    // Writing to a String does not fail.
    let _ = write!(
        out,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
    );
    ms % 1000
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar; from the year 0 on.
const fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_PER_ERA: i64 = 146_097; // 400 years
    // Counted from 0000-03-01, so that the leap day is the last of its year.
    let days = days + 719_468;
    let era = days / DAYS_PER_ERA;
    let day_of_era = days % DAYS_PER_ERA;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / (DAYS_PER_ERA - 1)) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March have 153 days in every five.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = 400 * era + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(unix_ms: i64) -> String {
        let mut out = String::new();
        put_datetime(&mut out, unix_ms);
        out
    }

    #[test]
    fn dates_in_range_are_iso() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1, "1970-01-01T00:00:00.001Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_735_689_599_999, "2024-12-31T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
            (MAX_MS, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(printed(unix_ms), format!(r#"{{"$date":"{text}"}}"#));
        }
    }

    #[test]
    fn dates_out_of_range_are_numbers() {
        for unix_ms in [-1, MAX_MS + 1, i64::MIN, i64::MAX] {
            assert_eq!(
                printed(unix_ms),
                format!(r#"{{"$date":{{"$numberLong":"{unix_ms}"}}}}"#)
            );
        }
    }

    #[test]
    fn iso_dates_begin_with_the_year_1() {
        for (unix_ms, text) in [
            (MIN_MS, "0001-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (0, "1970-01-01T00:00:00.000Z"),
            (MAX_MS, "9999-12-31T23:59:59.999Z"),
        ] {
            let mut out = String::new();
            assert!(put_iso(&mut out, unix_ms));
            assert_eq!(out, text);
        }
        assert!(!put_iso(&mut String::new(), MIN_MS - 1));
        assert!(!put_iso(&mut String::new(), MAX_MS + 1));
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..=MAX_MS / MS_PER_DAY {
            assert_eq!(civil(days), (year, month, day));
            let last = match month {
                2 => 28 + i64::from(is_leap(year)),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > last {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
        assert_eq!(year, 10_000);
    }
}
