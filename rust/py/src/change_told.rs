//! What a plan comes to, as plain tuples of Python.

use kaa_epr_core::change::{Outcome, Outgoing, Planned, Refusal, Status, kind_text};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

/// Status, outcomes, condition, update, events, version before, document, work.
pub(crate) fn told<'py>(
    py: Python<'py>,
    work: &Bound<'py, PyAny>,
    planned: Planned,
) -> PyResult<Bound<'py, PyTuple>> {
    let status: u8 = match planned.status {
        Status::Planned => 0,
        Status::Pending => 1,
        Status::Unusable => 2,
    };
    let outcomes = PyList::empty(py);
    for outcome in &planned.outcomes {
        outcomes.append(match outcome {
            Ok(outcome) => carried_out(py, outcome)?,
            Err(refusal) => refused(py, refusal)?,
        })?;
    }
    let events: PyResult<Vec<_>> = planned.events.iter().map(|event| outgoing(py, event)).collect();
    let (condition, update, document) = match &planned.write {
        None => (PyBytes::new(py, b""), PyBytes::new(py, b""), work.get_item(1)?),
        Some(write) => (
            PyBytes::new(py, &write.condition),
            PyBytes::new(py, &write.update),
            PyBytes::new(py, &write.document).into_any(),
        ),
    };
    (
        status,
        outcomes,
        condition,
        update,
        events?,
        planned.before,
        document,
        planned.work,
    )
        .into_pyobject(py)
}

/// Changed, version, created, text.
fn carried_out<'py>(py: Python<'py>, outcome: &Outcome) -> PyResult<Bound<'py, PyTuple>> {
    let text = outcome
        .text
        .as_ref()
        .map(|text| PyBytes::new(py, text.as_bytes()));
    (outcome.changed, outcome.version, outcome.created, text).into_pyobject(py)
}

/// Kind, version, payload, base.
fn outgoing<'py>(py: Python<'py>, event: &Outgoing) -> PyResult<Bound<'py, PyTuple>> {
    let payload = PyBytes::new(py, &event.payload);
    (kind_text(event.kind), event.version, payload, event.base).into_pyobject(py)
}

/// The kind of refusal and what it is made of.
pub(crate) fn refused<'py>(py: Python<'py>, refusal: &Refusal) -> PyResult<Bound<'py, PyTuple>> {
    match refusal {
        Refusal::Invalid { field, reason } => ("invalid", &**field, &**reason).into_pyobject(py),
        Refusal::TooLarge { field, reason } => ("too_large", &**field, &**reason).into_pyobject(py),
        Refusal::Taken { field, reason } => ("taken", *field, *reason).into_pyobject(py),
        Refusal::Restricted(key) => ("restricted", key).into_pyobject(py),
        Refusal::KeyUnknown(key) => ("key_unknown", key).into_pyobject(py),
        Refusal::PatchConflict { index, reason } => ("patch_conflict", *index, &**reason).into_pyobject(py),
        Refusal::EndpointUnknown => ("endpoint_unknown",).into_pyobject(py),
        Refusal::PreconditionFailed => ("precondition_failed",).into_pyobject(py),
        Refusal::Unusable => ("unusable",).into_pyobject(py),
        Refusal::Superseded => ("superseded",).into_pyobject(py),
        Refusal::Bug => ("bug",).into_pyobject(py),
    }
}
