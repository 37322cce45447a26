//! Commands as a Python class, and the limits they are judged by.

use kaa_epr_core::bson::Document;
use kaa_epr_core::change::{Command as Inner, NewNames, RawValue, Rules, Values};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::change_value::Value;

/// What is asked of one endpoint. Immutable.
#[pyclass(module = "kaa_epr._core", frozen)]
pub struct Command {
    pub(crate) inner: Inner,
}

#[pymethods]
impl Command {
    #[getter]
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    #[getter]
    fn weight(&self) -> usize {
        self.inner.weight()
    }
}

impl Command {
    pub(crate) const fn new(inner: Inner) -> Self {
        Self { inner }
    }
}

/// Keys and values of any implementation: what they are stored as is taken over.
pub(crate) fn values(items: &Bound<'_, PyAny>) -> PyResult<Values> {
    let mut values = Vec::with_capacity(items.len().unwrap_or(0));
    for item in items.try_iter()? {
        let (key, value) = item?.extract::<(String, Bound<'_, PyAny>)>()?;
        values.push((key, raw(&value)?));
    }
    Ok(Values::new(values))
}

/// A value, whichever intake made it.
pub(crate) fn raw(value: &Bound<'_, PyAny>) -> PyResult<RawValue> {
    if let Ok(value) = value.cast::<Value>() {
        return Ok(value.get().raw.clone());
    }
    let wrapped = value.getattr("bson")?;
    let first = Document::new(wrapped.cast::<PyBytes>()?.as_bytes())
        .ok()
        .and_then(|document| document.raw_elements().next());
    match first {
        Some(Ok((_, raw))) => Ok(raw.into()),
        _ => Err(PyValueError::new_err("not a value")),
    }
}

pub(crate) fn names(
    application: Option<String>,
    app_version: Option<String>,
    token: Option<String>,
) -> NewNames {
    NewNames {
        application,
        app_version,
        token,
    }
}

/// The rules of `kaa_epr/register/decide/rules.py`, and what matches keys, if there is a pattern.
pub(crate) fn rules(from: &Bound<'_, PyAny>) -> PyResult<(Rules, Option<Py<PyAny>>)> {
    let pattern = from.getattr("key_pattern")?;
    let (key_pattern, matches) = if pattern.is_none() {
        (None, None)
    } else {
        let text = pattern.getattr("pattern")?.extract()?;
        (Some(text), Some(pattern.getattr("fullmatch")?.unbind()))
    };
    let mut restricted = Vec::new();
    for section in from.getattr("restricted")?.call_method0("items")?.try_iter()? {
        let (name, keys) = section?.extract::<(String, Bound<'_, PyAny>)>()?;
        let keys: PyResult<Vec<String>> = keys.try_iter()?.map(|key| key?.extract()).collect();
        restricted.push((name, keys?));
    }
    let rules = Rules {
        max_keys: from.getattr("max_keys")?.extract()?,
        max_key_length: from.getattr("max_key_length")?.extract()?,
        max_depth: from.getattr("max_depth")?.extract()?,
        max_metadata_bytes: from.getattr("max_metadata_bytes")?.extract()?,
        key_pattern,
        restricted,
        plain_tokens: from.getattr("plain_tokens")?.extract()?,
    };
    Ok((rules, matches))
}
