//! Records of plain fields, in Avro, as Python dictionaries.

use kaa_epr_core::avro::{Reader, put_bytes, put_long, put_string};
use kaa_epr_core::error::DecodeError;
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

/// What a field holds.
#[derive(Clone, Copy)]
enum Kind {
    Bytes,
    Int,
    Long,
    OptionalString,
    String,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "bytes" => Self::Bytes,
            "int" => Self::Int,
            "long" => Self::Long,
            "null|string" => Self::OptionalString,
            "string" => Self::String,
            _ => return None,
        })
    }

    fn read<'py>(self, reader: &mut Reader<'_>, py: Python<'py>) -> Result<Bound<'py, PyAny>, NoRecord> {
        Ok(match self {
            Self::Bytes => PyBytes::new(py, reader.bytes()?).into_any(),
            Self::Int => i64::from(reader.int()?).into_pyobject(py)?.into_any(),
            Self::Long => reader.long()?.into_pyobject(py)?.into_any(),
            Self::String => PyString::new(py, reader.string()?).into_any(),
            Self::OptionalString => match reader.long()? {
                0 => py.None().into_bound(py),
                1 => PyString::new(py, reader.string()?).into_any(),
                _ => return Err(NoRecord),
            },
        })
    }

    fn write(self, out: &mut Vec<u8>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        match self {
            Self::Bytes => put_bytes(out, value.cast::<PyBytes>()?.as_bytes()),
            Self::Int => put_long(out, i64::from(value.extract::<i32>()?)),
            Self::Long => put_long(out, value.extract()?),
            Self::String => put_string(out, value.cast::<PyString>()?.to_str()?),
            Self::OptionalString if value.is_none() => put_long(out, 0),
            Self::OptionalString => {
                put_long(out, 1);
                put_string(out, value.cast::<PyString>()?.to_str()?);
            }
        }
        Ok(())
    }
}

/// The bytes are no such record; the pure reader says why.
struct NoRecord;

impl From<DecodeError> for NoRecord {
    fn from(_: DecodeError) -> Self {
        Self
    }
}

impl From<std::convert::Infallible> for NoRecord {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

/// One record type.
#[pyclass(module = "kaa_epr._core", frozen)]
pub struct FlatRecord {
    fields: Vec<(Py<PyString>, Kind)>,
}

#[pymethods]
impl FlatRecord {
    #[new]
    fn new(py: Python<'_>, fields: Vec<(String, String)>) -> PyResult<Self> {
        let field = |(name, kind): (String, String)| match Kind::of(&kind) {
            Some(kind) => Ok((PyString::intern(py, &name).unbind(), kind)),
            None => Err(PyValueError::new_err(kind)),
        };
        let fields = fields.into_iter().map(field).collect::<PyResult<_>>()?;
        Ok(Self { fields })
    }

    /// The fields by name; None when the bytes are no such record.
    fn decode<'py>(&self, py: Python<'py>, data: &[u8]) -> PyResult<Option<Bound<'py, PyDict>>> {
        let mut reader = Reader::new(data);
        let record = PyDict::new(py);
        for (name, kind) in &self.fields {
            let Ok(value) = kind.read(&mut reader, py) else {
                return Ok(None);
            };
            record.set_item(name, value)?;
        }
        Ok(reader.rest().is_empty().then_some(record))
    }

    /// The record of these fields.
    fn encode<'py>(&self, py: Python<'py>, record: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyBytes>> {
        let mut out = Vec::with_capacity(128);
        for (name, kind) in &self.fields {
            let value = record
                .get_item(name)?
                .ok_or_else(|| PyKeyError::new_err(name.clone_ref(py)))?;
            kind.write(&mut out, &value)?;
        }
        Ok(PyBytes::new(py, &out))
    }
}
