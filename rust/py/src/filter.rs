//! Endpoint filters as Python classes: `Filter` and `FilterSet` of `_core.pyi`.

use std::sync::Arc;

use kaa_epr_core::error::DocumentError;
use kaa_epr_core::filter::{Change, Filter as Core, FilterError as Refused, FilterSet as CoreSet, Limits};
use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

create_exception!(
    kaa_epr._core,
    FilterError,
    PyValueError,
    "A query that is no filter; `place` and `reason` say why."
);

/// The exception for a query that was refused.
fn refused(py: Python<'_>, error: &Refused) -> PyErr {
    let exception = FilterError::new_err(error.to_string());
    let value = exception.value(py);
    let facts = value
        .setattr("place", &*error.place)
        .and_then(|()| value.setattr("reason", error.reason.to_string()));
    facts.err().unwrap_or(exception)
}

fn malformed(error: DocumentError) -> PyErr {
    PyValueError::new_err(error.reason())
}

/// One condition that decided: place, whether it held, path and value (a document with one field) of what it saw.
type DecisionResult<'py> = (String, bool, Option<String>, Option<Bound<'py, PyBytes>>);

/// A compiled query.
#[pyclass(module = "kaa_epr._core", frozen)]
pub struct Filter {
    core: Arc<Core>,
}

#[pymethods]
impl Filter {
    #[new]
    #[pyo3(signature = (
        query, *, max_bytes=None, max_depth=None, max_conditions=None, max_list=None, max_pattern=None
    ))]
    fn new(
        py: Python<'_>,
        query: &[u8],
        max_bytes: Option<usize>,
        max_depth: Option<usize>,
        max_conditions: Option<usize>,
        max_list: Option<usize>,
        max_pattern: Option<usize>,
    ) -> PyResult<Self> {
        let default = Limits::default();
        let limits = Limits {
            bytes: max_bytes.unwrap_or(default.bytes),
            depth: max_depth.unwrap_or(default.depth),
            conditions: max_conditions.unwrap_or(default.conditions),
            list: max_list.unwrap_or(default.list),
            pattern: max_pattern.unwrap_or(default.pattern),
            ..default
        };
        let core = Core::new(query, &limits).map_err(|error| refused(py, &error))?;
        Ok(Self { core: Arc::new(core) })
    }

    fn matches(&self, document: &[u8]) -> PyResult<bool> {
        self.core.matches(document).map_err(malformed)
    }

    fn explain<'py>(&self, py: Python<'py>, document: &[u8]) -> PyResult<(bool, Vec<DecisionResult<'py>>)> {
        let explanation = self.core.explain(document).map_err(malformed)?;
        let decisions = explanation.decisions.into_iter().map(|decision| {
            let value = decision.value.map(|value| {
                let mut document = vec![0; 4];
                value.append_to("value", &mut document);
                document.push(0);
                let length = u32::try_from(document.len()).unwrap_or(u32::MAX);
                document[..4].copy_from_slice(&length.to_le_bytes());
                PyBytes::new(py, &document)
            });
            let path = decision.path.map(Into::into);
            (decision.place.into(), decision.holds, path, value)
        });
        Ok((explanation.matches, decisions.collect()))
    }

    #[getter]
    fn keys(&self) -> Option<Vec<String>> {
        let dependencies = self.core.dependencies();
        let keys = dependencies.keys.iter().map(ToString::to_string);
        (!dependencies.everything).then(|| keys.collect())
    }

    #[getter]
    fn application_version(&self) -> bool {
        self.core.dependencies().application_version
    }
}

/// Compiled filters, known by their positions.
#[pyclass(module = "kaa_epr._core", frozen)]
pub struct FilterSet {
    core: CoreSet,
}

#[pymethods]
impl FilterSet {
    #[new]
    fn new(filters: Vec<PyRef<'_, Filter>>) -> Self {
        let filters = filters.iter().map(|filter| Arc::clone(&filter.core));
        Self {
            core: CoreSet::new(filters.collect()),
        }
    }

    fn __len__(&self) -> usize {
        self.core.len()
    }

    fn matching(&self, document: &[u8]) -> PyResult<Vec<u32>> {
        self.core.matching(document).map_err(malformed)
    }

    fn verdicts<'py>(&self, py: Python<'py>, document: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let words = self.core.verdicts(document).map_err(malformed)?;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        Ok(PyBytes::new(py, &bytes))
    }

    #[allow(clippy::needless_pass_by_value)] // pyo3 extracts lists of texts by value
    fn affected(&self, keys: Vec<String>, application_version: bool) -> Vec<u32> {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        self.core.affected(&Change {
            keys: &keys,
            application_version,
        })
    }

    #[allow(clippy::needless_pass_by_value)]
    fn changes(
        &self,
        old: Option<&[u8]>,
        new: Option<&[u8]>,
        keys: Vec<String>,
        application_version: bool,
    ) -> PyResult<(Vec<u32>, Vec<u32>)> {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let change = Change {
            keys: &keys,
            application_version,
        };
        self.core.changes(old, new, &change).map_err(malformed)
    }
}
