//! Keys and calls in words, for task names, log records and errors.
//!
//! No user code runs: constants of Python's own types are shown, other objects by their type.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyNone, PyString, PyTuple};

use crate::instance::{FunctionKey, InstanceKey};
use crate::key::Key;
use crate::object::Ref;

/// Characters of one item that are shown.
const WIDTH: usize = 60;

/// The items of a key, as in a call.
pub fn describe(py: Python<'_>, key: &Key) -> String {
    let Ok(object) = key.object(py) else { return String::new() };
    match object.cast_exact::<PyTuple>() {
        Ok(items) => items.iter().map(|item| describe_item(&item)).collect::<Vec<_>>().join(", "),
        Err(_) => describe_item(&object),
    }
}

fn describe_item(item: &Bound<'_, PyAny>) -> String {
    let shown = item.is_exact_instance_of::<PyInt>()
        || item.is_exact_instance_of::<PyString>()
        || item.is_exact_instance_of::<PyFloat>()
        || item.is_exact_instance_of::<PyBool>()
        || item.is_exact_instance_of::<PyBytes>()
        || item.is_exact_instance_of::<PyNone>()
        || item.is_exact_instance_of::<InstanceKey>()
        || item.is_exact_instance_of::<FunctionKey>();
    let text = if shown { item.repr().map(|text| text.to_string()).ok() } else { None };
    let text = text.unwrap_or_else(|| match item.get_type().name() {
        Ok(name) => format!("<{name}>"),
        Err(_) => "<?>".to_owned(),
    });
    match text.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// The name of a load's task: the function and the key.
pub fn task_name(py: Python<'_>, function: &Ref, key: Option<&Key>) -> PyResult<Ref> {
    let function = function.bound(py);
    let function = function.cast::<PyString>()?.to_str()?;
    let key = key.map(|key| describe(py, key)).unwrap_or_default();
    Ok(PyString::new(py, &format!("{function}({key})")).into())
}
