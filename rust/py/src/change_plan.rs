//! The planner of changes as a Python class; its methods are those of `Planner` in
//! `kaa_epr/register/decide/api.py`, and what they give is made into that contract's classes by
//! `kaa_epr/register/decide/rust.py`.

use std::sync::atomic::{AtomicBool, Ordering};

use kaa_epr_core::change::{
    Claim, Command as Inner, Matches, Patch, Planned, Planner as Core, Request, Rules, Show, Work, check,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use crate::change_commands::{Command, names, raw, rules, values};
use crate::change_told::{refused, told};
use crate::change_value::Fault;

/// Bytes of a document from which on other threads may run while it is planned.
const LARGE: usize = 256 * 1024;

/// Plans changes. Keeps no state, and is usable on any thread.
#[pyclass(module = "kaa_epr._core", frozen)]
pub struct Planner {
    rules: Rules,
    matches: Option<Py<PyAny>>,
    seed: u64,
}

/// What plans of one call share.
struct Call<'c> {
    replica_id: &'c str,
    wall_ms: i64,
    claim: Option<Claim<'c>>,
    max_event_bytes: usize,
    max_outbox: usize,
}

#[pymethods]
impl Planner {
    #[new]
    fn new(limits: &Bound<'_, PyAny>, hash_seed: u64) -> PyResult<Self> {
        let (rules, matches) = rules(limits)?;
        Ok(Self {
            rules,
            matches,
            seed: hash_seed,
        })
    }

    #[pyo3(signature = (application, application_version, endpoint_token, metadata, task=None))]
    #[staticmethod]
    fn register(
        application: String,
        application_version: String,
        endpoint_token: String,
        metadata: &Bound<'_, PyAny>,
        task: Option<String>,
    ) -> PyResult<Command> {
        Ok(Command::new(Inner::Register {
            names: names(Some(application), Some(application_version), Some(endpoint_token)),
            metadata: values(metadata)?,
            task,
        }))
    }

    #[staticmethod]
    fn unregister() -> Command {
        Command::new(Inner::Unregister)
    }

    #[staticmethod]
    fn set_app_version(application: String, application_version: String) -> Command {
        Command::new(Inner::SetAppVersion {
            application,
            app_version: application_version,
        })
    }

    #[staticmethod]
    fn replace_metadata(metadata: &Bound<'_, PyAny>) -> PyResult<Command> {
        Ok(Command::new(Inner::ReplaceMetadata(values(metadata)?)))
    }

    #[staticmethod]
    fn put_keys(items: &Bound<'_, PyAny>) -> PyResult<Command> {
        Ok(Command::new(Inner::PutKeys(values(items)?)))
    }

    #[staticmethod]
    fn patch_metadata(py: Python<'_>, patch: &Bound<'_, PyAny>) -> PyResult<Command> {
        let value = raw(patch)?;
        match Patch::parse(value.as_raw()) {
            Ok(patch) => Ok(Command::new(Inner::PatchMetadata(patch))),
            Err(refusal) => Err(Fault::new_err(refused(py, &refusal)?.unbind())),
        }
    }

    #[staticmethod]
    fn delete_key(key: String) -> Command {
        Command::new(Inner::DeleteKey(key))
    }

    #[staticmethod]
    fn import_endpoint(
        application: Option<String>,
        application_version: Option<String>,
        endpoint_token: Option<String>,
        metadata: &Bound<'_, PyAny>,
    ) -> PyResult<Command> {
        Ok(Command::new(Inner::Import {
            names: names(application, application_version, endpoint_token),
            metadata: values(metadata)?,
        }))
    }

    fn check<'py>(&self, py: Python<'py>, command: &Command) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.matching(|matches| check(&command.inner, &self.rules, matches))?
            .err()
            .map(|refusal| refused(py, &refusal))
            .transpose()
    }

    #[pyo3(signature = (work, *, replica_id, wall_ms, claim, max_event_bytes, max_outbox, max_work))]
    #[allow(clippy::too_many_arguments)] // made into `Author` and `PlanLimits` by nobody but the wrapper
    fn plan<'py>(
        &self,
        py: Python<'py>,
        work: &Bound<'py, PyAny>,
        replica_id: &str,
        wall_ms: i64,
        claim: Option<(String, String)>,
        max_event_bytes: usize,
        max_outbox: usize,
        max_work: u64,
    ) -> PyResult<Bound<'py, PyList>> {
        let claim = claim.as_ref().map(|(owner, id)| Claim { owner, id });
        let call = Call {
            replica_id,
            wall_ms,
            claim,
            max_event_bytes,
            max_outbox,
        };
        let plans = PyList::empty(py);
        let mut spent = 0;
        for each in work.try_iter()? {
            if !plans.is_empty() && spent >= max_work {
                break;
            }
            let each = each?;
            let planned = self.plan_one(&each, &call)?;
            spent += planned.work;
            plans.append(told(py, &each, planned)?)?;
        }
        Ok(plans)
    }
}

impl Planner {
    fn plan_one(&self, work: &Bound<'_, PyAny>, call: &Call<'_>) -> PyResult<Planned> {
        let (endpoint_id, document, requests) =
            work.extract::<(Bound<'_, PyString>, Option<Bound<'_, PyBytes>>, Bound<'_, PyAny>)>()?;
        let parts: PyResult<Vec<Parts<'_>>> = requests.try_iter()?.map(|each| Parts::of(&each?)).collect();
        let parts = parts?;
        let requests: PyResult<Vec<Request<'_>>> = parts.iter().map(Parts::request).collect();
        let document = document.as_ref().map(|document| document.as_bytes());
        let work = Work {
            endpoint_id: endpoint_id.to_str()?,
            document,
            requests: requests?,
        };
        let is_large = document.is_some_and(|document| document.len() >= LARGE);
        let py = endpoint_id.py();
        self.matching(|matches| {
            let plan = || self.core(call, matches).plan(&work);
            if is_large { py.detach(plan) } else { plan() }
        })
    }

    fn core<'c>(&'c self, call: &Call<'c>, matches: &'c Matches<'c>) -> Core<'c> {
        Core {
            rules: &self.rules,
            matches,
            seed: self.seed,
            replica_id: call.replica_id,
            now_ms: call.wall_ms,
            claim: call.claim,
            max_event_bytes: call.max_event_bytes,
            max_outbox: call.max_outbox,
        }
    }

    /// Does something that may ask whether keys match the pattern. What Python raises then is raised behind it.
    fn matching<T>(&self, work: impl FnOnce(&Matches<'_>) -> T) -> PyResult<T> {
        let failed = AtomicBool::new(false);
        let done = work(&|key| {
            let matched = self.matches.as_ref().map_or(Ok(true), |fullmatch| {
                Python::attach(|py| fullmatch.bind(py).call1((key,)).map(|found| !found.is_none()))
            });
            matched.unwrap_or_else(|_| {
                failed.store(true, Ordering::Relaxed);
                false
            })
        });
        if failed.into_inner() {
            return Err(PyValueError::new_err("the pattern of keys could not be applied"));
        }
        Ok(done)
    }
}

/// A request, its Python objects held.
struct Parts<'py> {
    command: Bound<'py, Command>,
    correlation_id: Bound<'py, PyString>,
    if_match: Option<Bound<'py, PyString>>,
    if_none_match: Option<Bound<'py, PyString>>,
    key: Option<Bound<'py, PyString>>,
    show: u8,
    only_at: Option<(Option<i64>,)>,
}

impl<'py> Parts<'py> {
    fn of(request: &Bound<'py, PyAny>) -> PyResult<Self> {
        let (command, correlation_id, if_match, if_none_match, key, show, only_at) = request.extract()?;
        Ok(Self {
            command,
            correlation_id,
            if_match,
            if_none_match,
            key,
            show,
            only_at,
        })
    }

    fn request(&self) -> PyResult<Request<'_>> {
        Ok(Request {
            command: &self.command.get().inner,
            correlation_id: self.correlation_id.to_str()?,
            if_match: text(self.if_match.as_ref())?,
            if_none_match: text(self.if_none_match.as_ref())?,
            key: text(self.key.as_ref())?,
            show: Show::from_number(self.show)
                .ok_or_else(|| PyValueError::new_err("no such thing to show"))?,
            only_at: self.only_at.map(|(version,)| version),
        })
    }
}

fn text<'a>(text: Option<&'a Bound<'_, PyString>>) -> PyResult<Option<&'a str>> {
    text.map(|text| text.to_str()).transpose()
}
