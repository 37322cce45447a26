//! Stored documents to be shown, as a Python class; its methods are those of `View` in
//! `kaa_epr/register/decide/view.py`.

use std::collections::HashSet;

use kaa_epr_core::change::View as Core;
use kaa_epr_core::entry::{FieldMapping, from_bson};
use kaa_epr_core::error::DocumentError;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Bytes of a document from which on other threads may run while it is read or printed.
const LARGE: usize = 64 * 1024;

/// One document. Immutable.
#[pyclass(module = "kaa_epr._core", frozen)]
pub struct View {
    document: Py<PyBytes>,
    #[pyo3(get)]
    endpoint_id: Option<String>,
    #[pyo3(get)]
    known: bool,
    #[pyo3(get)]
    readable: bool,
    #[pyo3(get)]
    version: Option<i64>,
    #[pyo3(get)]
    application: Option<String>,
    #[pyo3(get)]
    app_version: Option<String>,
    #[pyo3(get)]
    registration: Option<String>,
}

fn unreadable(error: DocumentError) -> PyErr {
    PyValueError::new_err(error.reason())
}

/// What `work` makes of a document; while that is large, the interpreter is not held.
fn beside<T: Send>(py: Python<'_>, document: &[u8], work: impl FnOnce() -> T + Send) -> T {
    if document.len() < LARGE {
        work()
    } else {
        py.detach(work)
    }
}

fn bytes(py: Python<'_>, text: Option<String>) -> Option<Bound<'_, PyBytes>> {
    text.map(|text| PyBytes::new(py, text.as_bytes()))
}

#[pymethods]
impl View {
    #[new]
    fn new(document: &Bound<'_, PyBytes>) -> PyResult<Self> {
        let raw = document.as_bytes();
        let core = beside(document.py(), raw, || Core::new(raw)).map_err(unreadable)?;
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Ok(Self {
            endpoint_id: owned(core.id()),
            known: core.known(),
            readable: core.readable(),
            version: core.version(),
            application: owned(core.application()),
            app_version: owned(core.app_version()),
            registration: owned(core.registration()),
            document: document.clone().unbind(),
        })
    }

    #[getter]
    fn problem(&self, py: Python<'_>) -> Option<&'static str> {
        let (raw, mapping) = (self.document.as_bytes(py), FieldMapping::default());
        beside(py, raw, || {
            from_bson(raw, &mapping).err().map(DocumentError::reason)
        })
    }

    #[getter]
    fn etag(&self) -> Option<String> {
        self.version.map(|version| format!("\"{version}\""))
    }

    fn keys(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(self.core(py)?.keys().map(str::to_owned).collect())
    }

    fn keys_text<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let text = self.printed(py, |core| core.keys_text())?;
        Ok(PyBytes::new(py, text.as_bytes()))
    }

    #[pyo3(signature = (keys=None))]
    fn metadata_text<'py>(
        &self,
        py: Python<'py>,
        keys: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let keys: Option<HashSet<String>> = match keys {
            None => None,
            Some(keys) => Some(
                keys.try_iter()?
                    .map(|key| key?.extract())
                    .collect::<PyResult<_>>()?,
            ),
        };
        let text = self.printed(py, |core| {
            core.metadata_text(|key| keys.as_ref().is_none_or(|keys| keys.contains(key)))
        })?;
        Ok(bytes(py, text))
    }

    fn key_text<'py>(&self, py: Python<'py>, key: &str) -> PyResult<Option<Bound<'py, PyBytes>>> {
        Ok(bytes(py, self.printed(py, |core| core.key_text(key))?))
    }

    fn app_version_text<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        Ok(bytes(py, self.core(py)?.app_version_text()))
    }

    #[pyo3(signature = (*, with_metadata))]
    fn endpoint_text<'py>(&self, py: Python<'py>, with_metadata: bool) -> PyResult<Bound<'py, PyBytes>> {
        let text = self.printed(py, |core| core.endpoint_text(with_metadata))?;
        Ok(PyBytes::new(py, text.as_bytes()))
    }
}

impl View {
    /// What `print` makes of the document.
    fn printed<T: Send>(&self, py: Python<'_>, print: impl FnOnce(&Core<'_>) -> T + Send) -> PyResult<T> {
        let document = self.document.as_bytes(py);
        beside(py, document, move || Core::new(document).map(|core| print(&core))).map_err(unreadable)
    }

    /// Read anew each time: bytes are cheaper to read than to keep taken apart.
    fn core<'s>(&'s self, py: Python<'s>) -> PyResult<Core<'s>> {
        Core::new(self.document.as_bytes(py)).map_err(unreadable)
    }
}
