//! What changes for all entries at once: connections, ears, the store's state, flushes and time.

use super::Now;
use super::answer::Outcome;
use super::core::{Core, Link};
use super::failure::Failure;
use crate::bugs::Bug;
use crate::stats::FlushCause;

impl Core {
    pub(super) fn link_up(&mut self, max_payload: usize, headers: bool, cluster: bool, now: Now) {
        self.link = Link { max_payload, headers };
        self.coherence.connected(cluster, now.mono_ms);
        self.stats.flushed(FlushCause::Connection);
        self.cut_all();
        self.output.link_up(now.wall_ms, now.mono_ms, |len| {
            len.total() <= max_payload && (headers || len.headers == 0)
        });
        self.count_dropped();
    }

    pub(super) fn ears(&mut self, hearing: bool, now_ms: u64) {
        if self.coherence.ears(hearing, now_ms) {
            self.cut_all();
            if !hearing {
                self.stats.flushed(FlushCause::EarsLost);
            }
        }
    }

    pub(super) fn link_down(&mut self) {
        self.coherence.disconnected();
        self.cut_all();
        self.output.link_down();
    }

    pub(super) fn store_up(&mut self, up: bool, now: Now) {
        self.store_up = up;
        if !up {
            let waiters = self.park.fail_queued();
            self.answer_all(waiters, Outcome::Failed(Failure::STORE), now);
        }
    }

    pub(super) fn tick(&mut self, now: Now) {
        self.ticked_ms = now.mono_ms;
        self.notice_silence(now);
        if let Some(oldest) = now.mono_ms.checked_sub(self.config.store_timeout_ms) {
            let waiters = self.park.fail_overdue(oldest);
            self.answer_all(waiters, Outcome::Failed(Failure::STORE), now);
        }
        self.output.tick(now.wall_ms, now.mono_ms);
        self.count_dropped();
    }

    /// Rule 5: before anything is served, writers that fell silent are found so.
    #[inline]
    pub(super) fn notice_silence(&mut self, now: Now) {
        if self.coherence.due(now.mono_ms)
            && let Some(cause) = self.coherence.pass(now.mono_ms).flush
        {
            self.flush(cause);
        }
    }

    pub(super) fn flush(&mut self, cause: FlushCause) {
        if matches!(cause, FlushCause::Operator | FlushCause::CollectionEnded) {
            self.coherence.forget_floors();
        }
        self.coherence.new_epoch();
        self.cut_all();
        self.stats.flushed(cause);
    }

    fn cut_all(&mut self) {
        if !self.broken.has(Bug::GapsKeepLoads) {
            self.park.cut_all();
        }
    }

    fn count_dropped(&mut self) {
        self.stats.count.held_dropped += self.output.take_dropped();
    }
}
