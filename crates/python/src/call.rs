//! The arguments of a call, and room for the items of its key.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::ptr::null_mut;

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;

use crate::object::{self, Equality, Ref};
use crate::raw;

/// Arguments that fit without the heap.
pub const INLINE: usize = 16;

/// The arguments of a call as vectorcall passes them, borrowed.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    pub positional: &'a [*mut PyObject],
    /// A tuple of names, or null; the values follow the positional arguments in memory.
    pub names: *mut PyObject,
}

impl<'a> Call<'a> {
    /// The arguments of a vectorcall.
    ///
    /// # Safety
    /// They are those that the interpreter passed.
    #[inline]
    pub unsafe fn new(args: *const *mut PyObject, count: usize, names: *mut PyObject) -> Self {
        // SAFETY: the caller's promise; an empty slice must not be null.
        let args = if count == 0 && args.is_null() { std::ptr::dangling() } else { args };
        // SAFETY: as above.
        Self { positional: unsafe { std::slice::from_raw_parts(args, count) }, names }
    }

    #[inline]
    pub fn keyword_count(&self) -> usize {
        if self.names.is_null() {
            return 0;
        }
        // SAFETY: it is a tuple.
        unsafe { ffi::PyTuple_GET_SIZE(self.names) as usize }
    }

    /// The `i`-th argument of all, positional first.
    #[inline]
    pub fn argument(&self, i: usize) -> *mut PyObject {
        // SAFETY: vectorcall lays the keywords' values behind the positional ones.
        unsafe { *self.positional.as_ptr().add(i) }
    }

    pub fn name(&self, i: usize) -> *mut PyObject {
        // SAFETY: it is a tuple of that many names.
        unsafe { ffi::PyTuple_GET_ITEM(self.names, i as ffi::Py_ssize_t) }
    }

    /// The number of the keyword of this name.
    pub fn keyword_index(&self, name: &Ref) -> Option<usize> {
        let count = self.keyword_count();
        let same = |i: &usize| name.is(self.name(*i));
        // Names are interned nearly always; ask for equality only when none is the same.
        (0..count).find(same).or_else(|| {
            // SAFETY: names are exact strings, or compare without running Python code.
            let equal =
                |i: &usize| unsafe { object::equality(name.as_ptr(), self.name(*i)) } == Equality::Same;
            (0..count).find(equal)
        })
    }

    /// The value of the keyword of this name.
    pub fn keyword(&self, name: &Ref) -> Option<*mut PyObject> {
        self.keyword_index(name).map(|i| self.argument(self.positional.len() + i))
    }

    /// All arguments, positional first, in memory.
    pub fn all(&self) -> &'a [*mut PyObject] {
        // SAFETY: vectorcall lays the keywords' values behind the positional ones.
        unsafe {
            std::slice::from_raw_parts(self.positional.as_ptr(), self.positional.len() + self.keyword_count())
        }
    }

    /// Calls `function` with these arguments.
    pub fn forward(&self, py: Python<'_>, function: &Ref) -> PyResult<Ref> {
        let (args, count) = (self.positional.as_ptr(), self.positional.len());
        // SAFETY: the arguments are alive.
        unsafe { raw::owned(py, ffi::PyObject_Vectorcall(function.as_ptr(), args, count, self.names)) }
    }
}

/// Room for the items of a key, and what they borrow from.
pub struct Buffer {
    inline: [MaybeUninit<*mut PyObject>; INLINE],
    heap: Vec<*mut PyObject>,
    owned: Option<Ref>,
}

impl Buffer {
    #[inline]
    pub const fn new() -> Self {
        Self { inline: [const { MaybeUninit::uninit() }; INLINE], heap: Vec::new(), owned: None }
    }

    /// Places for so many items, to be written before they are read, and for what one of them borrows from.
    #[inline]
    pub fn room(&mut self, count: usize) -> (&mut [*mut PyObject], &mut Option<Ref>) {
        let items = if count <= INLINE {
            // SAFETY: every item is written before it is read; a pointer has no invalid bits.
            let all =
                unsafe { &mut *(std::ptr::from_mut(&mut self.inline).cast::<[*mut PyObject; INLINE]>()) };
            &mut all[..count]
        } else {
            self.heap.resize(count, null_mut());
            &mut self.heap[..]
        };
        (items, &mut self.owned)
    }
}

impl Buffer {
    /// Keeps a key that the query borrows from.
    pub fn hold(&mut self, key: Ref) -> &Ref {
        self.owned.insert(key)
    }
}
