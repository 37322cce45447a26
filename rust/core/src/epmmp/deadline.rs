//! How long a request is in time: the same for all messages of 19/EPMMP.

/// The last millisecond (Unix) of a request made at `timestamp` that waits `timeout` milliseconds; `None` if it
/// never expires.
#[inline]
pub(super) const fn deadline(timestamp: i64, timeout: i64) -> Option<i64> {
    if timeout > 0 {
        Some(timestamp.saturating_add(timeout))
    } else {
        None
    }
}
