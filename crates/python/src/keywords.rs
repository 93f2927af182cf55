//! The keywords in a key: those of keyword-only parameters and of `**kwargs`.

#![allow(unsafe_code)]

use std::cmp::Ordering;

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::call::Call;
use crate::key;
use crate::object::{self, Equality, Ref};
use crate::parameter::{Default, KeywordOnly, in_key};

/// What a parameter's `kind` means.
#[derive(PartialEq, Eq, Clone, Copy)]
pub enum Extra {
    /// The signature has no such parameter.
    Absent,
    Ignored,
    Kept,
}

/// A keyword and its value, as they are in a key.
type Keyword = (Ref, Ref);

pub struct Keywords {
    /// The keyword-only parameters, by name.
    only: Vec<KeywordOnly>,
    /// `**kwargs`.
    rest: Extra,
    typed: bool,
}

impl Keywords {
    pub fn new(typed: bool) -> Self {
        Self { only: Vec::new(), rest: Extra::Absent, typed }
    }

    /// Adds a keyword-only parameter.
    pub fn add(&mut self, parameter: KeywordOnly) {
        self.only.push(parameter);
        // In the order of `hashkey`'s keys.
        self.only.sort_by(|a, b| compare(&a.name, &b.name));
    }

    pub fn set_rest(&mut self, rest: Extra) {
        self.rest = rest;
    }

    /// Whether the signature has no such parameters.
    pub fn are_none(&self) -> bool {
        self.only.is_empty() && self.rest == Extra::Absent
    }

    /// Whether a call without keywords has none in its key either.
    pub fn may_be_left_out(&self) -> bool {
        self.only.iter().all(|parameter| !parameter.kept && parameter.default.is_some())
    }

    /// Whether a keyword that names no positional parameter is left out of the key.
    pub fn ignores(&self, name: *mut PyObject) -> bool {
        self.named(name).map_or(self.rest == Extra::Ignored, |parameter| !parameter.kept)
    }

    pub fn defaults(&self) -> impl Iterator<Item = &Default> {
        self.only.iter().filter_map(|parameter| parameter.default.as_ref())
    }

    fn named(&self, name: *mut PyObject) -> Option<&KeywordOnly> {
        // SAFETY: names are strings.
        let is = |p: &&KeywordOnly| unsafe { object::equality(p.name.as_ptr(), name) } == Equality::Same;
        self.only.iter().find(is)
    }

    /// The keywords of a call that are in the key, by name; `None` when the call does not fit.
    pub fn of(&self, call: &Call<'_>, is_positional: impl Fn(*mut PyObject) -> bool) -> Option<Vec<Keyword>> {
        let mut found = Vec::new();
        if self.are_none() {
            return Some(found);
        }
        for KeywordOnly { name, default, kept } in &self.only {
            let given = call.keyword(name).map(|value| in_key(default.as_ref(), value));
            let value = given.or_else(|| default.as_ref().map(|default| default.in_key().as_ptr()))?;
            if *kept {
                // SAFETY: what a key has for the value is alive, as the value is.
                found.push((name.clone(), unsafe { Ref::from_borrowed(value) }));
            }
        }
        for i in 0..call.keyword_count() {
            let name = call.name(i);
            if is_positional(name) || self.named(name).is_some() {
                continue;
            }
            match self.rest {
                Extra::Absent => return None,
                Extra::Ignored => {}
                Extra::Kept => {
                    let value = call.argument(call.positional.len() + i);
                    // SAFETY: the name and the value are alive.
                    found.push(unsafe { (Ref::from_borrowed(name), Ref::from_borrowed(value)) });
                }
            }
        }
        if self.rest == Extra::Kept {
            found.sort_by(|(a, _), (b, _)| compare(a, b));
        }
        Some(found)
    }

    /// `hashkey(*items, **keywords)`, or `typedkey`.
    pub fn key(&self, py: Python<'_>, items: &[*mut PyObject], keywords: &[Keyword]) -> PyResult<Ref> {
        if !self.typed
            && let Some(mark) = key::keyword_mark(py)?
        {
            return key::with_pairs(py, items, mark, keywords);
        }
        let kwargs = PyDict::new(py);
        for (name, value) in keywords {
            kwargs.set_item(name.bound(py), value.bound(py))?;
        }
        let args = key::tuple_of(py, items)?;
        let function = if self.typed { key::typedkey(py)? } else { key::hashkey(py)? };
        Ok(function.call(args.bound(py).cast::<PyTuple>()?, Some(&kwargs))?.into())
    }
}

/// The order of two names, as Python sorts them.
fn compare(a: &Ref, b: &Ref) -> Ordering {
    // SAFETY: names are strings.
    unsafe { ffi::PyUnicode_Compare(a.as_ptr(), b.as_ptr()) }.cmp(&0)
}
