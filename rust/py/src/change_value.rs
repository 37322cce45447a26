//! Values that clients sent, as a Python class; its methods are those of `Value` in
//! `kaa_epr/register/intake/api.py`.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use kaa_epr_core::bson::{self, Document, Raw, write};
use kaa_epr_core::change::parse::{JsonLimits, parse};
use kaa_epr_core::change::{Fault as CoreFault, RawValue};
use kaa_epr_core::error::DocumentError;
use kaa_epr_core::json::Printer;
use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

create_exception!(
    kaa_epr._core,
    Fault,
    PyException,
    "What is wrong with something that a client sent: its args are kind, field and reason."
);

/// Bytes of a text from which on other threads may run while it is read; giving way costs about as much as 1 KiB.
const LONG_TEXT: usize = 64 * 1024;

/// Levels of a value that is made into Python objects, envelope included; what was parsed has fewer.
const MAX_LEVELS: u32 = 200;

/// A JSON value as it will be stored. Immutable.
#[pyclass(module = "kaa_epr._core", frozen)]
pub struct Value {
    pub(crate) raw: RawValue,
}

/// Makes a hash that nobody outside can predict.
pub(crate) fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| RandomState::new().hash_one(0_u64))
}

/// The fault as a Python exception. `field` is the text's name, `prefix` that of the outermost value.
fn fault(fault: &CoreFault, field: &str, prefix: &str) -> PyErr {
    let kind = if fault.reason.is_too_large() {
        "too_large"
    } else {
        "invalid"
    };
    let place = fault.path.as_deref().map_or_else(String::new, |path| {
        let path = if prefix.is_empty() {
            path.strip_prefix('.').unwrap_or(path)
        } else {
            path
        };
        format!("{prefix}{path}")
    });
    let place = if place.is_empty() { field.to_owned() } else { place };
    Fault::new_err((kind, place, fault.reason.to_string()))
}

/// See `_core.pyi`.
#[pyfunction]
#[pyo3(signature = (text, field, *, prefix=None, max_depth, max_values, envelope=0))]
#[allow(clippy::too_many_arguments)] // the contract of `Intake.parse_json`
pub fn parse_json(
    py: Python<'_>,
    text: &[u8],
    field: &str,
    prefix: Option<&str>,
    max_depth: u32,
    max_values: u32,
    envelope: u32,
) -> PyResult<Value> {
    let limits = JsonLimits {
        max_depth,
        envelope,
        max_values,
        seed: seed(),
    };
    let parsed = if text.len() < LONG_TEXT {
        parse(text, &limits)
    } else {
        py.detach(|| parse(text, &limits))
    };
    parsed
        .map(|raw| Value { raw })
        .map_err(|found| fault(&found, field, prefix.unwrap_or(field)))
}

/// See `_core.pyi`.
#[pyfunction]
pub fn value_of(document: &[u8]) -> PyResult<Value> {
    let document = Document::new(document).map_err(unreadable)?;
    let first = document.raw_elements().next();
    let (_, raw) = first
        .ok_or_else(|| PyValueError::new_err("the document is empty"))?
        .map_err(unreadable)?;
    bson::check(&raw.value().map_err(unreadable)?, 0).map_err(unreadable)?;
    Ok(Value { raw: raw.into() })
}

fn unreadable(error: DocumentError) -> PyErr {
    PyValueError::new_err(error.reason())
}

fn not_a(kind: &str) -> PyErr {
    PyValueError::new_err(format!("the value is not an {kind}"))
}

#[pymethods]
impl Value {
    #[getter]
    fn kind(&self) -> &'static str {
        match self.raw.value() {
            Ok(bson::Value::Null) => "null",
            Ok(bson::Value::Boolean(_)) => "boolean",
            Ok(bson::Value::Int32(_) | bson::Value::Int64(_) | bson::Value::Double(_)) => "number",
            Ok(bson::Value::String(_)) => "string",
            Ok(bson::Value::Array(_)) => "array",
            Ok(bson::Value::Document(_)) => "object",
            _ => "other",
        }
    }

    #[getter]
    fn bson<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let mut out = Vec::with_capacity(self.raw.bytes().len() + 7);
        let document = write::open(&mut out);
        self.raw.append_to("", &mut out);
        write::close(&mut out, document);
        PyBytes::new(py, &out)
    }

    #[getter]
    fn size(&self) -> usize {
        self.raw.bytes().len()
    }

    #[getter]
    fn count(&self) -> usize {
        match self.raw.value() {
            Ok(bson::Value::Array(array)) => array.raw_values().count(),
            Ok(bson::Value::Document(document)) => document.raw_elements().count(),
            _ => 0,
        }
    }

    fn python(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(to_python(py, self.raw.as_raw(), MAX_LEVELS)?.unbind())
    }

    fn text(&self) -> PyResult<String> {
        let mut printer = Printer::with_capacity(self.raw.bytes().len());
        let value = self.raw.value().map_err(unreadable)?;
        if printer.value(&value, 0).map_err(unreadable)? {
            Ok(printer.out)
        } else {
            Err(unreadable(DocumentError::Unprintable))
        }
    }

    fn items(&self) -> PyResult<Vec<(&str, Self)>> {
        let Ok(bson::Value::Document(document)) = self.raw.value() else {
            return Err(not_a("object"));
        };
        let item = |element: Result<(_, Raw<'_>), _>| {
            let (name, raw) = element.map_err(unreadable)?;
            Ok((name, Self { raw: raw.into() }))
        };
        document.raw_elements().map(item).collect()
    }

    fn get(&self, name: &str) -> PyResult<Option<Self>> {
        let Ok(bson::Value::Document(document)) = self.raw.value() else {
            return Err(not_a("object"));
        };
        for element in document.raw_elements() {
            let (found, raw) = element.map_err(unreadable)?;
            if found == name {
                return Ok(Some(Self { raw: raw.into() }));
            }
        }
        Ok(None)
    }

    fn elements(&self) -> PyResult<Vec<Self>> {
        let Ok(bson::Value::Array(array)) = self.raw.value() else {
            return Err(not_a("array"));
        };
        let element = |raw: Result<Raw<'_>, _>| {
            let raw = raw.map_err(unreadable)?;
            Ok(Self { raw: raw.into() })
        };
        array.raw_values().map(element).collect()
    }
}

/// Plain objects, as `json.loads` gives them; at most `levels` deep.
fn to_python<'py>(py: Python<'py>, raw: Raw<'_>, levels: u32) -> PyResult<Bound<'py, PyAny>> {
    let below = || {
        levels
            .checked_sub(1)
            .ok_or_else(|| unreadable(DocumentError::TooDeep))
    };
    Ok(match raw.value().map_err(unreadable)? {
        bson::Value::Null => py.None().into_bound(py),
        bson::Value::Boolean(value) => value.into_pyobject(py)?.to_owned().into_any(),
        bson::Value::Int32(value) => value.into_pyobject(py)?.into_any(),
        bson::Value::Int64(value) => value.into_pyobject(py)?.into_any(),
        bson::Value::Double(value) => value.into_pyobject(py)?.into_any(),
        bson::Value::String(value) => PyString::new(py, value).into_any(),
        bson::Value::Array(array) => {
            let (list, levels) = (PyList::empty(py), below()?);
            for raw in array.raw_values() {
                list.append(to_python(py, raw.map_err(unreadable)?, levels)?)?;
            }
            list.into_any()
        }
        bson::Value::Document(document) => {
            let (dict, levels) = (PyDict::new(py), below()?);
            for element in document.raw_elements() {
                let (name, raw) = element.map_err(unreadable)?;
                dict.set_item(name, to_python(py, raw, levels)?)?;
            }
            dict.into_any()
        }
        _ => return Err(PyValueError::new_err("the value is of a type that JSON lacks")),
    })
}
