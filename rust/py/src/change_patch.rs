//! JSON Patch carried out by Python: the planner asks it for what a patch makes of metadata.

use kaa_epr_core::change::{Metadata, Patch, RawValue, Refusal};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::change_commands::raw_of;
use kaa_epr_core::bson::write;

/// A patch whose `apply` takes and gives a list of keys and values, a value as the document `{"": value}`; for a
/// refusal it gives a tuple of the kind and its parts. What it raises is told to its `met_a_bug`.
#[derive(Debug)]
pub(crate) struct PythonPatch {
    pub(crate) weight: usize,
    pub(crate) apply: Py<PyAny>,
}

impl Patch for PythonPatch {
    fn weight(&self) -> usize {
        self.weight
    }

    fn apply(&self, metadata: &Metadata<'_>) -> Result<Vec<(String, RawValue)>, Refusal> {
        Python::attach(|py| match self.call(py, metadata) {
            Ok(made) => made,
            Err(error) => {
                if let Err(error) = self.apply.bind(py).call_method1("met_a_bug", (error,)) {
                    error.write_unraisable(py, None);
                }
                Err(Refusal::Bug)
            }
        })
    }
}

type Made = Result<Vec<(String, RawValue)>, Refusal>;

impl PythonPatch {
    fn call(&self, py: Python<'_>, metadata: &Metadata<'_>) -> PyResult<Made> {
        let items: Vec<_> = metadata
            .items()
            .iter()
            .map(|item| {
                let mut wrapped = Vec::with_capacity(item.bytes.len() + 7);
                let document = write::open(&mut wrapped);
                write::put_raw(&mut wrapped, "", item.value());
                write::close(&mut wrapped, document);
                (&*item.key, PyBytes::new(py, &wrapped))
            })
            .collect();
        let made = self.apply.bind(py).call1((items,))?;
        if let Ok(refused) = made.cast::<PyTuple>() {
            return refusal(refused).map(Err);
        }
        let mut values = Vec::with_capacity(made.len().unwrap_or(0));
        for item in made.try_iter()? {
            let (key, wrapped) = item?.extract::<(String, Bound<'_, PyBytes>)>()?;
            values.push((key, raw_of(wrapped.as_bytes())?));
        }
        Ok(Ok(values))
    }
}

fn refusal(parts: &Bound<'_, PyTuple>) -> PyResult<Refusal> {
    let kind = parts.get_item(0)?.extract::<String>()?;
    let reason = parts.get_item(2)?.extract::<String>()?.into();
    Ok(match kind.as_str() {
        "invalid" => Refusal::Invalid {
            field: parts.get_item(1)?.extract::<String>()?.into(),
            reason,
        },
        "too_large" => Refusal::TooLarge {
            field: parts.get_item(1)?.extract::<String>()?.into(),
            reason,
        },
        "patch_conflict" => Refusal::PatchConflict {
            index: parts.get_item(1)?.extract()?,
            reason,
        },
        _ => Refusal::Bug,
    })
}
