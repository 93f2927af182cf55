//! Keys and calls in words, for task names, log records and errors.
//!
//! No user code runs: constants of Python's own types are shown, other objects by their type.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::fmt::Write;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyNone, PyString, PyTuple};

use crate::instance::{FunctionKey, InstanceKey};
use crate::key::Key;
use crate::object::Ref;

/// Characters of one item that are shown.
const WIDTH: usize = 60;

/// The items of a key, as in a call.
pub fn describe(py: Python<'_>, key: &Key) -> String {
    let mut text = String::new();
    write_key(&mut text, py, key);
    text
}

fn write_key(out: &mut String, py: Python<'_>, key: &Key) {
    let object = match key {
        Key::One(item) => return write_item(out, item.bound(py)),
        Key::Object(object) | Key::Many(object) => object.bound(py),
    };
    let Ok(items) = object.cast_exact::<PyTuple>() else { return write_item(out, object) };
    for (i, item) in items.iter_borrowed().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        write_item(out, &item);
    }
}

fn write_item(out: &mut String, item: &Bound<'_, PyAny>) {
    if !write_small_int(out, item) && !write_plain_string(out, item) {
        write_other(out, item);
    }
}

/// Writes an exact `int` of the machine's size.
fn write_small_int(out: &mut String, item: &Bound<'_, PyAny>) -> bool {
    if !item.is_exact_instance_of::<PyInt>() {
        return false;
    }
    let mut overflow: c_int = 0;
    // SAFETY: it is an `int`, so nothing but an overflow can go wrong.
    let number = unsafe { ffi::PyLong_AsLongLongAndOverflow(item.as_ptr(), &raw mut overflow) };
    if overflow == 0 {
        out.push_str(itoa::Buffer::new().format(number));
    }
    overflow == 0
}

/// Writes an exact `str` that needs no escapes and is not cut off.
fn write_plain_string(out: &mut String, item: &Bound<'_, PyAny>) -> bool {
    let Ok(text) =
        item.cast_exact::<PyString>().map_err(|_| ()).and_then(|text| text.to_str().map_err(|_| ()))
    else {
        return false;
    };
    let plain = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'\'' && byte != b'\\';
    if text.len() > WIDTH - 2 || !text.bytes().all(plain) {
        return false;
    }
    out.push('\'');
    out.push_str(text);
    out.push('\'');
    true
}

fn write_other(out: &mut String, item: &Bound<'_, PyAny>) {
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
        Some((end, _)) => {
            out.push_str(&text[..end]);
            out.push_str("...");
        }
        None => out.push_str(&text),
    }
}

/// Keys of a batch that its name shows.
const SHOWN: usize = 4;

/// The name of a batch's task: the function and the first of its keys.
pub fn batch_name(py: Python<'_>, function: &Ref, keys: &[Ref]) -> PyResult<Ref> {
    let mut name = format!("{}([", function.bound(py));
    for (i, key) in keys.iter().take(SHOWN).enumerate() {
        if i > 0 {
            name.push_str(", ");
        }
        write_item(&mut name, key.bound(py));
    }
    if keys.len() > SHOWN {
        let _ = write!(name, ", and {} more", keys.len() - SHOWN);
    }
    name.push_str("])");
    Ok(PyString::new(py, &name).into())
}

/// The name of a load's task: the function and the key.
pub fn task_name(py: Python<'_>, function: &Ref, key: Option<&Key>) -> PyResult<Ref> {
    let function = function.bound(py);
    let function = function.cast::<PyString>()?.to_str()?;
    let mut name = String::with_capacity(function.len() + WIDTH);
    name.push_str(function);
    name.push('(');
    if let Some(key) = key {
        write_key(&mut name, py, key);
    }
    name.push(')');
    Ok(PyString::new(py, &name).into())
}
