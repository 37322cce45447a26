//! The responder as a Python class; its methods are those of `FastEngine` in `kaa_epr/engine/api.py`.

use kaa_epr_core::frame::{Kind, Message};
use kaa_epr_core::pipeline::{Evidence, Fed, Now, Responder};
use kaa_epr_core::stats::FlushCause;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::config::config;
use crate::reader::Reader;

/// What one read chunk came to: answers, bytes for nats-py, number of answers, whether flights are queued,
/// whether to resume.
pub(crate) type FeedResult<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>, u64, bool, bool);

/// One responder's state. Not thread-safe.
#[pyclass(module = "kaa_epr._core")]
pub struct Engine {
    responder: Responder,
}

fn message_kind(number: u8) -> PyResult<Kind> {
    Kind::from_number(number).ok_or_else(|| PyValueError::new_err(format!("no message kind {number}")))
}

fn no_such_load(load: u64) -> PyErr {
    PyValueError::new_err(format!("no load {load} is running"))
}

#[pymethods]
impl Engine {
    #[new]
    fn new(settings: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self {
            responder: Responder::new(config(settings)?),
        })
    }

    #[getter]
    fn name(&self) -> &'static str {
        "rust"
    }

    fn bind(&mut self, sid: u64, kind: u8) -> PyResult<()> {
        let bound = self.responder.bind(sid, message_kind(kind)?);
        bound
            .then_some(())
            .ok_or_else(|| PyValueError::new_err("too many subscriptions are bound"))
    }

    fn unbind(&mut self, sid: u64) {
        self.responder.unbind(sid);
    }

    fn reset_scanner(&mut self) {
        self.responder.reset_scanner();
    }

    fn reader(slf: Py<Self>, took: Py<PyAny>, mono_ns: u64) -> Reader {
        Reader::new(slf, took, mono_ns)
    }

    fn resume<'py>(&mut self, py: Python<'py>, wall_ms: i64, mono_ms: u64) -> FeedResult<'py> {
        let fed = self.responder.resume(Now { wall_ms, mono_ms });
        self.fed(py, &fed)
    }

    #[pyo3(signature = (*, max_payload, headers, cluster, wall_ms, mono_ms))]
    fn link_up<'py>(
        &mut self,
        py: Python<'py>,
        max_payload: usize,
        headers: bool,
        cluster: bool,
        wall_ms: i64,
        mono_ms: u64,
    ) -> Bound<'py, PyBytes> {
        self.responder
            .link_up(max_payload, headers, cluster, Now { wall_ms, mono_ms });
        self.take_output(py)
    }

    fn ears(&mut self, hearing: bool, mono_ms: u64) {
        let _ = mono_ms;
        self.responder.ears(hearing, mono_ms);
    }

    fn link_down(&mut self) {
        self.responder.link_down();
    }

    #[pyo3(signature = (reply, headers, payload, *, kind=0, fresh, wall_ms, mono_ms))]
    #[allow(clippy::too_many_arguments)] // the contract of `Engine.get`
    fn get(
        &mut self,
        reply: &str,
        headers: &[u8],
        payload: &[u8],
        kind: u8,
        fresh: bool,
        wall_ms: i64,
        mono_ms: u64,
    ) -> PyResult<bool> {
        let message = Message {
            kind: message_kind(kind)?,
            reply: reply.as_bytes(),
            headers,
            payload,
        };
        if !message.kind.is_request() {
            return Err(PyValueError::new_err("an event is not a request"));
        }
        self.responder.message(&message, fresh, Now { wall_ms, mono_ms });
        Ok(self.responder.wants_load())
    }

    fn event(&mut self, kind: u8, headers: &[u8], payload: &[u8], mono_ms: u64) -> PyResult<()> {
        let message = Message {
            kind: message_kind(kind)?,
            reply: b"",
            headers,
            payload,
        };
        if message.kind.is_request() {
            return Err(PyValueError::new_err("a request is not an event"));
        }
        self.responder
            .message(&message, false, Now { wall_ms: 0, mono_ms });
        Ok(())
    }

    fn take_output<'py>(&mut self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let out = PyBytes::new(py, self.responder.output());
        self.responder.clear_output();
        out
    }

    fn begin_load(&mut self, max_ids: usize, mono_ms: u64) -> Option<(u64, Vec<String>)> {
        self.responder.begin_load(max_ids, Now { wall_ms: 0, mono_ms })
    }

    #[pyo3(signature = (load, batches, *, wall_ms, mono_ms))]
    fn end_load(
        &mut self,
        load: u64,
        batches: Vec<Bound<'_, PyBytes>>,
        wall_ms: i64,
        mono_ms: u64,
    ) -> PyResult<Vec<String>> {
        let batches: Vec<&[u8]> = batches.iter().map(|batch| batch.as_bytes()).collect();
        let ended = self.responder.end_load(load, &batches, Now { wall_ms, mono_ms });
        ended.ok_or_else(|| no_such_load(load))
    }

    #[pyo3(signature = (load, *, wall_ms, mono_ms))]
    fn fail_load(&mut self, load: u64, wall_ms: i64, mono_ms: u64) -> PyResult<()> {
        let failed = self.responder.fail_load(load, Now { wall_ms, mono_ms });
        failed.then_some(()).ok_or_else(|| no_such_load(load))
    }

    #[pyo3(signature = (up, *, wall_ms, mono_ms))]
    fn store_up(&mut self, up: bool, wall_ms: i64, mono_ms: u64) {
        self.responder.store_up(up, Now { wall_ms, mono_ms });
    }

    #[pyo3(signature = (*, wall_ms, mono_ms))]
    fn tick(&mut self, wall_ms: i64, mono_ms: u64) {
        self.responder.tick(Now { wall_ms, mono_ms });
    }

    fn flush(&mut self, cause: u8) -> PyResult<()> {
        let cause = FlushCause::from_number(cause)
            .ok_or_else(|| PyValueError::new_err(format!("no flush cause {cause}")))?;
        self.responder.flush(cause);
        Ok(())
    }

    #[pyo3(signature = (endpoint_id, version, evidence, *, mono_ms))]
    fn invalidate(
        &mut self,
        endpoint_id: &str,
        version: Option<i64>,
        evidence: u8,
        mono_ms: u64,
    ) -> PyResult<bool> {
        let evidence = Evidence::from_number(evidence)
            .ok_or_else(|| PyValueError::new_err(format!("no kind of evidence {evidence}")))?;
        let now = Now { wall_ms: 0, mono_ms };
        Ok(self.responder.invalidate(endpoint_id, version, evidence, now))
    }

    fn sample(&self, count: usize, at: u64) -> Vec<(String, Option<i64>)> {
        self.responder.sample(count, at)
    }

    fn cached(&self, ids: Vec<String>) -> Vec<(String, Option<i64>)> {
        self.responder.cached(ids)
    }

    fn fingerprints(&self, ids: Vec<String>) -> Vec<(String, u64)> {
        self.responder.fingerprints(ids)
    }

    fn fingerprints_of(&self, batches: Vec<Bound<'_, PyBytes>>) -> Vec<(String, Option<i64>, u64)> {
        let batches: Vec<&[u8]> = batches.iter().map(|batch| batch.as_bytes()).collect();
        self.responder.fingerprints_of(&batches)
    }

    fn pending(&self) -> usize {
        self.responder.pending()
    }

    fn queued(&self) -> usize {
        self.responder.queued()
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = self.responder.stats();
        let dict = PyDict::new(py);
        for (name, value) in stats.count.list().chain(self.responder.gauges()) {
            dict.set_item(name, value)?;
        }
        dict.set_item("batch_sizes", PyList::new(py, stats.batch_sizes.counts())?)?;
        dict.set_item("wait_ms", PyList::new(py, stats.wait_ms.counts())?)?;
        Ok(dict)
    }

    fn take_bugs(&mut self) -> Vec<String> {
        self.responder.take_bugs()
    }
}

impl Engine {
    /// One read chunk; None when nothing came of it that the connection has to do.
    pub(crate) fn feed<'py>(&mut self, py: Python<'py>, chunk: &[u8], now: Now) -> Option<FeedResult<'py>> {
        let queued = self.responder.queued();
        let fed = self.responder.feed(chunk, now);
        // Of flights that were queued before, whoever begins loads was told then.
        let idle = fed.rest.is_empty()
            && fed.answers == 0
            && !fed.more
            && self.responder.queued() <= queued
            && self.responder.output().is_empty();
        (!idle).then(|| self.fed(py, &fed))
    }

    fn fed<'py>(&mut self, py: Python<'py>, fed: &Fed) -> FeedResult<'py> {
        let out = self.take_output(py);
        (
            out,
            PyBytes::new(py, &fed.rest),
            fed.answers,
            self.responder.wants_load(),
            fed.more,
        )
    }
}
