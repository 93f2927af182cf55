//! `Arguments`: those of a call, kept until they are passed on.

#![allow(unsafe_code)]

use std::ptr::null_mut;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::call::Call;
use crate::object::Ref;
use crate::raw;

/// The arguments of a call, kept until its first step.
#[derive(Clone)]
pub struct Arguments {
    pub values: Vec<Ref>,
    names: Option<Ref>,
}

impl Arguments {
    pub fn of(call: &Call<'_>) -> Self {
        // SAFETY: the arguments of a call are alive.
        let values = call.all().iter().map(|&value| unsafe { Ref::from_borrowed(value) }).collect();
        // SAFETY: the names are a tuple where they are not null.
        let names = (!call.names.is_null()).then(|| unsafe { Ref::from_borrowed(call.names) });
        Self { values, names }
    }

    /// The same with another value in a place.
    pub fn with(mut self, place: usize, value: Ref) -> Self {
        if let Some(old) = self.values.get_mut(place) {
            *old = value;
        }
        self
    }

    /// Whether the same arguments are passed by name as in another call.
    pub fn has_names_of(&self, other: &Self) -> bool {
        match (&self.names, &other.names) {
            (None, None) => self.values.len() == other.values.len(),
            (Some(own), Some(names)) => own.is(names.as_ptr()) && self.values.len() == other.values.len(),
            _ => false,
        }
    }

    /// Those of a call with a tuple and a dictionary, after the owner of a method.
    pub fn from_objects(
        py: Python<'_>,
        owner: Option<&Ref>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let mut values: Vec<Ref> = owner.into_iter().cloned().collect();
        values.extend(args.iter().map(Ref::from));
        let mut names = None;
        if let Some(kwargs) = kwargs.filter(|kwargs| !kwargs.is_empty()) {
            names = Some(PyTuple::new(py, kwargs.keys())?.into());
            values.extend(kwargs.values().iter().map(Ref::from));
        }
        Ok(Self { values, names })
    }

    /// A tuple and a dictionary of them.
    pub fn objects<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        let count = self.as_call().positional.len();
        let (positional, rest) = self.values.split_at(count);
        let keywords = PyDict::new(py);
        let names = self.names.as_ref().map(|names| names.bound(py).cast::<PyTuple>()).transpose()?;
        for (name, value) in names.into_iter().flatten().zip(rest) {
            keywords.set_item(name, value.bound(py))?;
        }
        Ok((PyTuple::new(py, positional.iter().map(|value| value.bound(py)))?, keywords))
    }

    /// The references that they are, for the garbage collector.
    pub fn parts(&self) -> impl Iterator<Item = &Ref> {
        self.values.iter().chain(&self.names)
    }

    /// The arguments as a call passes them.
    pub fn as_call(&self) -> Call<'_> {
        let names = self.names.as_ref().map_or(null_mut(), Ref::as_ptr);
        // SAFETY: `Ref` is a transparent pointer; the names tell how many values are keywords'.
        unsafe {
            let keywords = if names.is_null() { 0 } else { ffi::PyTuple_GET_SIZE(names) as usize };
            Call::new(self.values.as_ptr().cast(), self.values.len() - keywords, names)
        }
    }

    pub fn call(&self, py: Python<'_>, function: &Ref) -> PyResult<Ref> {
        let Call { positional, names } = self.as_call();
        let (values, count) = (positional.as_ptr(), positional.len());
        // SAFETY: all arguments are alive.
        unsafe { raw::owned(py, ffi::PyObject_Vectorcall(function.as_ptr(), values, count, names)) }
    }
}
