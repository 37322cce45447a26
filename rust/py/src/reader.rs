//! What a connection reads, from the event loop's callback straight into the engine.
//!
//! The event loop calls [`Reader::feed`] as it would call a protocol's `data_received`. A chunk of events comes to
//! nothing that Python must know, so no line of Python runs for it. On a machine that does other things between
//! two chunks, the interpreter's code has left the processor's caches by the time of the next, and is what costs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Instant, SystemTime};

use kaa_epr_core::pipeline::Now;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::engine::Engine;

/// The clocks of `kaa_epr/clock.py`, read without Python.
struct Clock {
    start: Instant,
    start_ns: u64,
}

impl Clock {
    /// `mono_ns`: what Python's monotonic clock says now. Both count the same time from here on.
    fn new(mono_ns: u64) -> Self {
        Self {
            start: Instant::now(),
            start_ns: mono_ns,
        }
    }

    fn now(&self, instant: Instant) -> Now {
        let mono_ns = u128::from(self.start_ns) + instant.duration_since(self.start).as_nanos();
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Now {
            // A clock before 1970 is at its beginning.
            wall_ms: wall.map_or(0, |since| since.as_millis() as i64),
            mono_ms: (mono_ns / 1_000_000) as u64,
        }
    }
}

/// Takes the chunks of one connection; its methods are those of `Reader` in `kaa_epr/engine/api.py`.
#[pyclass(module = "kaa_epr._core", frozen)]
pub struct Reader {
    engine: Py<Engine>,
    took: Py<PyAny>,
    clock: Clock,
    bytes_read: AtomicU64,
    closed: AtomicBool,
}

impl Reader {
    pub(crate) fn new(engine: Py<Engine>, took: Py<PyAny>, mono_ns: u64) -> Self {
        Self {
            engine,
            took,
            clock: Clock::new(mono_ns),
            bytes_read: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        }
    }
}

#[pymethods]
impl Reader {
    fn feed(&self, py: Python<'_>, data: &[u8]) -> PyResult<()> {
        if self.closed.load(Relaxed) {
            return Ok(());
        }
        self.bytes_read.fetch_add(data.len() as u64, Relaxed);
        let begun = Instant::now();
        let now = self.clock.now(begun);
        // The engine is free again when Python is called, which asks it for loads.
        let Some(result) = self.engine.try_borrow_mut(py)?.feed(py, data, now) else {
            return Ok(());
        };
        self.took.call1(py, (result, begun.elapsed().as_secs_f64()))?;
        Ok(())
    }

    #[getter]
    fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Relaxed)
    }

    fn close(&self) {
        self.closed.store(true, Relaxed);
    }

    // A connection and its reader know each other; Python's collector ends that by clearing the connection.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.engine)?;
        visit.call(&self.took)
    }
}
