//! `kaa_epr._core`: the core as a Python extension. Converts and delegates, nothing else.
//!
//! The documented contract is `python/kaa_epr/_core.pyi`.

use pyo3::prelude::*;

mod change_commands;
mod change_plan;
mod change_told;
mod change_value;
mod change_view;
mod config;
mod engine;
mod filter;
mod flat_record;
mod reader;

/// The extension module.
#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add(
        "build_profile",
        if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        },
    )?;
    module.add("Fault", module.py().get_type::<change_value::Fault>())?;
    module.add_class::<change_value::Value>()?;
    module.add_function(wrap_pyfunction!(change_value::parse_json, module)?)?;
    module.add_function(wrap_pyfunction!(change_value::value_of, module)?)?;
    module.add_class::<change_commands::Command>()?;
    module.add_class::<change_plan::Planner>()?;
    module.add_class::<change_view::View>()?;
    module.add_class::<flat_record::FlatRecord>()?;
    module.add_class::<reader::Reader>()?;
    module.add_class::<engine::Engine>()?;
    module.add("FilterError", module.py().get_type::<filter::FilterError>())?;
    module.add_class::<filter::Filter>()?;
    module.add_class::<filter::FilterSet>()
}
