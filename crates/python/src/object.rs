//! Owned references, and hash and equality of the types whose code cannot call back.
//!
//! Everything here runs with the GIL held.  The layouts of `int` and `str` are those of CPython
//! 3.11 to 3.15; [`self_check`] compares the fast answers with the interpreter's own once, when
//! the module is imported.

#![allow(unsafe_code)]

#[cfg(any(Py_GIL_DISABLED, not(target_pointer_width = "64")))]
compile_error!("aiocachetools needs a 64-bit CPython with the GIL");

use std::cell::UnsafeCell;
use std::ptr::{NonNull, addr_of_mut};

use pyo3::exceptions::PyImportError;
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::PyInt;

use crate::tuple_hash::TupleHash;

/// An owned reference to a Python object: `Py` without the check that the GIL is held.
///
/// It lives only inside Python objects (and in what they own), so that whoever drops it holds
/// the GIL.
#[repr(transparent)]
pub struct Ref(NonNull<PyObject>);

// SAFETY: a `Ref` is created, used and dropped only with the GIL held (the module says so to the
// interpreter), which orders all accesses.
unsafe impl Send for Ref {}
// SAFETY: as above.
unsafe impl Sync for Ref {}

impl Ref {
    /// Takes over an owned pointer; `None` when it is null, that is, when an exception is set.
    ///
    /// # Safety
    /// `ptr` is null or a reference that the caller owns.
    #[inline]
    pub unsafe fn from_owned(ptr: *mut PyObject) -> Option<Self> {
        NonNull::new(ptr).map(Self)
    }

    /// A new reference to a borrowed object.
    ///
    /// # Safety
    /// `ptr` points to a live object.
    #[inline]
    pub unsafe fn from_borrowed(ptr: *mut PyObject) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            ffi::Py_INCREF(ptr);
            Self(NonNull::new_unchecked(ptr))
        }
    }

    #[inline]
    pub fn as_ptr(&self) -> *mut PyObject {
        self.0.as_ptr()
    }

    /// Gives the reference away.
    #[inline]
    pub fn into_ptr(self) -> *mut PyObject {
        let ptr = self.0.as_ptr();
        std::mem::forget(self);
        ptr
    }

    #[inline]
    pub fn bound<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.as_py().bind(py)
    }

    /// The same reference as `pyo3` knows it, for traversal.
    #[inline]
    pub fn as_py(&self) -> &Py<PyAny> {
        // SAFETY: both are a transparent non-null pointer to a Python object.
        unsafe { &*std::ptr::from_ref(self).cast() }
    }

    #[inline]
    pub fn is(&self, other: *mut PyObject) -> bool {
        self.as_ptr() == other
    }

    #[inline]
    pub fn is_none(&self) -> bool {
        self.is(none())
    }
}

impl Ref {
    /// A reference to `None`.
    pub fn none() -> Self {
        // SAFETY: the object lives as long as the interpreter.
        unsafe { Self::from_borrowed(none()) }
    }
}

impl Clone for Ref {
    #[inline]
    fn clone(&self) -> Self {
        // SAFETY: `self` is alive.
        unsafe { Self::from_borrowed(self.as_ptr()) }
    }
}

impl Drop for Ref {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the reference is owned and the GIL is held.
        unsafe { ffi::Py_DECREF(self.as_ptr()) }
    }
}

impl<T> From<Bound<'_, T>> for Ref {
    #[inline]
    fn from(bound: Bound<'_, T>) -> Self {
        // SAFETY: a `Bound` owns its reference and is never null.
        unsafe { Self(NonNull::new_unchecked(bound.into_ptr())) }
    }
}

impl<T> From<&Bound<'_, T>> for Ref {
    #[inline]
    fn from(bound: &Bound<'_, T>) -> Self {
        // SAFETY: the object is alive.
        unsafe { Self::from_borrowed(bound.as_ptr()) }
    }
}

/// `None`, borrowed.
#[inline]
pub fn none() -> *mut PyObject {
    // SAFETY: the object lives as long as the interpreter.
    unsafe { ffi::Py_None() }
}

/// State that is only touched with the GIL held and never across a call into Python.
pub struct GilCell<T>(UnsafeCell<T>);

// SAFETY: the GIL orders all accesses.
unsafe impl<T> Send for GilCell<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for GilCell<T> {}

impl<T> GilCell<T> {
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// The state.
    ///
    /// # Safety
    /// The GIL is held, and no Python code runs (no call, no drop of a reference) and no other
    /// reference from here is alive while this one is.
    #[inline]
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn get(&self) -> &mut T {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.0.get() }
    }
}

/// What can be said of two objects without running their `__eq__`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Equality {
    Same,
    Different,
    /// Only Python can say.
    Ask,
}

impl Equality {
    #[inline]
    fn of(same: bool) -> Self {
        if same { Self::Same } else { Self::Different }
    }
}

#[repr(C)]
struct LongObject {
    ob_base: PyObject,
    /// 3.12 and later: digit count << 3 | mark << 2 | sign; before: the signed digit count.
    tag: usize,
    digits: [u32; 1],
}

#[repr(C)]
struct AsciiObject {
    ob_base: PyObject,
    length: isize,
    hash: isize,
}

#[inline]
unsafe fn type_of(object: *mut PyObject) -> *mut ffi::PyTypeObject {
    // SAFETY: the caller's object is alive.
    unsafe { ffi::Py_TYPE(object) }
}

#[inline]
fn int_type() -> *mut ffi::PyTypeObject {
    addr_of_mut!(ffi::PyLong_Type)
}

#[inline]
fn str_type() -> *mut ffi::PyTypeObject {
    addr_of_mut!(ffi::PyUnicode_Type)
}

#[inline]
fn float_type() -> *mut ffi::PyTypeObject {
    addr_of_mut!(ffi::PyFloat_Type)
}

#[inline]
fn tuple_type() -> *mut ffi::PyTypeObject {
    addr_of_mut!(ffi::PyTuple_Type)
}

/// The hash of an `int` of at most one digit.
#[inline]
unsafe fn small_int_hash(long: *const LongObject) -> Option<isize> {
    // SAFETY: the caller passes an exact `int`.
    let (tag, digit) = unsafe { ((*long).tag, (*long).digits.as_ptr()) };
    #[cfg(Py_3_12)]
    let sign = if tag < 2 << 3 { 1 - (tag & 3) as isize } else { return None };
    #[cfg(not(Py_3_12))]
    let sign @ -1..=1 = tag as isize else { return None };
    if sign == 0 {
        return Some(0);
    }
    // SAFETY: a nonzero int has a digit.
    let value = sign * unsafe { *digit } as isize;
    Some(if value == -1 { -2 } else { value })
}

/// The hash of an exact `int` or `str`, for which no Python code runs; `None` for other types.
///
/// # Safety
/// `object` is alive.
#[inline(always)]
pub unsafe fn atom_hash(object: *mut PyObject) -> Option<isize> {
    // SAFETY: the layouts are those of the exact types that were tested for.
    unsafe {
        let kind = type_of(object);
        let known = if kind == int_type() {
            small_int_hash(object.cast())
        } else if kind == str_type() {
            Some((*object.cast::<AsciiObject>()).hash).filter(|&hash| hash != -1)
        } else {
            return None;
        };
        Some(known.unwrap_or_else(|| ffi::PyObject_Hash(object)))
    }
}

/// `hash(object)`; -1 with an exception set where `__hash__` raised.
///
/// # Safety
/// `object` is alive; for other types than `int` and `str` this may run Python code.
#[inline]
pub unsafe fn hash(object: *mut PyObject) -> isize {
    // SAFETY: the layouts are those of the exact types that were tested for.
    unsafe {
        let kind = type_of(object);
        if let Some(hash) = atom_hash(object) {
            return hash;
        }
        if (*kind).tp_hash.map(|slot| slot as usize) == identity_type().tp_hash.map(|slot| slot as usize) {
            return address_hash(object);
        }
        ffi::PyObject_Hash(object)
    }
}

/// `object`, whose instances hash and compare by identity.
#[inline]
fn identity_type() -> &'static ffi::PyTypeObject {
    // SAFETY: the type is static, and its slots never change.
    unsafe { &*addr_of_mut!(ffi::PyBaseObject_Type) }
}

/// Whether the objects of a type are equal only to themselves, as far as they are asked.
#[inline]
unsafe fn compares_by_identity(kind: *mut ffi::PyTypeObject) -> bool {
    // SAFETY: the caller's type is alive.
    let compare = unsafe { (*kind).tp_richcompare };
    compare.map(|slot| slot as usize) == identity_type().tp_richcompare.map(|slot| slot as usize)
}

/// Since 3.14, the interpreter's own small `int`s are marked, and those that an extension makes may not be.
const MARK: usize = if cfg!(Py_3_14) { 1 << 2 } else { 0 };

#[inline]
unsafe fn int_equal(a: *const LongObject, b: *const LongObject) -> bool {
    // SAFETY: the caller passes two exact `int`s; the tag holds the number of digits.
    unsafe {
        if ((*a).tag ^ (*b).tag) & !MARK != 0 {
            return false;
        }
        #[cfg(Py_3_12)]
        let count = (*a).tag >> 3;
        #[cfg(not(Py_3_12))]
        let count = ((*a).tag as isize).unsigned_abs();
        let (a, b) = ((*a).digits.as_ptr(), (*b).digits.as_ptr());
        if count == 1 { *a == *b } else { (0..count).all(|i| *a.add(i) == *b.add(i)) }
    }
}

#[inline(never)]
unsafe fn str_equal(a: *mut PyObject, b: *mut PyObject) -> bool {
    // SAFETY: the caller passes two exact `str`s.
    unsafe {
        let (x, y) = (&*a.cast::<AsciiObject>(), &*b.cast::<AsciiObject>());
        if x.length != y.length || (x.hash != y.hash && x.hash != -1 && y.hash != -1) {
            return false;
        }
        let kind = ffi::PyUnicode_KIND(a);
        if kind != ffi::PyUnicode_KIND(b) {
            return false;
        }
        let size = x.length as usize * kind as usize;
        let a = std::slice::from_raw_parts(ffi::PyUnicode_DATA(a) as *const u8, size);
        let b = std::slice::from_raw_parts(ffi::PyUnicode_DATA(b) as *const u8, size);
        a == b
    }
}

/// Equality as far as it is known without running Python code.
///
/// # Safety
/// Both objects are alive.
#[inline(always)]
pub unsafe fn equality(a: *mut PyObject, b: *mut PyObject) -> Equality {
    // SAFETY: the caller's promise; the layout is that of the exact type that was tested for.
    unsafe {
        let kind = type_of(a);
        if a == b {
            Equality::Same
        } else if kind != type_of(b) {
            equality_of_others(a, b)
        } else if kind == int_type() {
            Equality::of(int_equal(a.cast(), b.cast()))
        } else if kind == str_type() {
            Equality::of(str_equal(a, b))
        } else {
            equality_of_others(a, b)
        }
    }
}

/// The same for what is neither identical nor two exact `int`s or `str`s.
#[inline(never)]
unsafe fn equality_of_others(a: *mut PyObject, b: *mut PyObject) -> Equality {
    // SAFETY: the caller's objects are alive.
    unsafe {
        if type_of(a) == tuple_type() && type_of(b) == tuple_type() {
            return each_equality(tuple_items(a), tuple_items(b), |a, b| equality_of_atoms(a, b));
        }
        equality_of_atoms(a, b)
    }
}

/// The same where a tuple in a tuple, which may be nested to any depth, is left to Python.
#[inline(never)]
unsafe fn equality_of_atoms(a: *mut PyObject, b: *mut PyObject) -> Equality {
    // SAFETY: the caller's objects are alive; the layouts are those of the exact types.
    unsafe {
        let (kind, other) = (type_of(a), type_of(b));
        if a == b {
            Equality::Same
        } else if kind != other {
            let both = compares_by_identity(kind) && compares_by_identity(other);
            if both { Equality::Different } else { Equality::Ask }
        } else if kind == int_type() {
            Equality::of(int_equal(a.cast(), b.cast()))
        } else if kind == str_type() {
            Equality::of(str_equal(a, b))
        } else if kind == float_type() {
            Equality::of(ffi::PyFloat_AS_DOUBLE(a) == ffi::PyFloat_AS_DOUBLE(b))
        } else if compares_by_identity(kind) {
            Equality::Different
        } else {
            Equality::Ask
        }
    }
}

/// The equality of two tuples of these items.
///
/// # Safety
/// The items are alive.
#[inline]
pub unsafe fn items_equality(a: &[*mut PyObject], b: &[*mut PyObject]) -> Equality {
    // SAFETY: the caller's promise.
    each_equality(a, b, |a, b| unsafe { equality(a, b) })
}

#[inline]
fn each_equality(
    a: &[*mut PyObject],
    b: &[*mut PyObject],
    equality: impl Fn(*mut PyObject, *mut PyObject) -> Equality,
) -> Equality {
    if a.len() != b.len() {
        return Equality::Different;
    }
    let mut answer = Equality::Same;
    for (&a, &b) in a.iter().zip(b) {
        match equality(a, b) {
            Equality::Same => {}
            Equality::Different => return Equality::Different,
            Equality::Ask => answer = Equality::Ask,
        }
    }
    answer
}

/// The items of a tuple.
///
/// # Safety
/// It is a tuple, of an exact class or not, and outlives the slice.
#[inline]
pub unsafe fn tuple_items<'a>(tuple: *mut PyObject) -> &'a [*mut PyObject] {
    // SAFETY: the caller's promise.
    unsafe {
        let tuple = tuple.cast::<ffi::PyTupleObject>();
        let items = (&raw const (*tuple).ob_item).cast::<*mut PyObject>();
        std::slice::from_raw_parts(items, (*tuple).ob_base.ob_size as usize)
    }
}

/// Python's hash spread over all bits, for a table that looks at the top and the bottom.
#[inline]
pub const fn spread(hash: isize) -> u64 {
    let product = (hash as u64 ^ 0x243F_6A88_85A3_08D3) as u128 * 0x9E37_79B9_7F4A_7C15;
    product as u64 ^ (product >> 64) as u64
}

/// `object.__hash__`.
#[inline]
fn address_hash(object: *mut PyObject) -> isize {
    match (object as usize).rotate_right(4) as isize {
        -1 => -2,
        hash => hash,
    }
}

/// Fails when the interpreter lays out its objects otherwise than this module believes.
pub fn self_check(py: Python<'_>) -> PyResult<()> {
    let numbers: [i64; 8] = [0, 1, -1, -2, 257, 1 << 29, (1 << 30) - 1, -(1 << 31)];
    for n in numbers {
        let (a, b) = (PyInt::new(py, n), PyInt::new(py, n + 1));
        // SAFETY: all objects are alive.
        let right = unsafe {
            hash(a.as_ptr()) == ffi::PyObject_Hash(a.as_ptr())
                && equality(a.as_ptr(), b.as_ptr()) == Equality::Different
                && equality(a.as_ptr(), PyInt::new(py, n).as_ptr()) == Equality::Same
        };
        let tuple = (n, "x").into_pyobject(py)?;
        let item = |i| tuple.get_item(i).and_then(|item| item.hash());
        let right = right && TupleHash::new().item(item(0)?).item(item(1)?).finish() == tuple.hash()?;
        if !right {
            return Err(PyImportError::new_err(
                "aiocachetools was built for another version of Python than this one: \
                 reinstall it for this interpreter",
            ));
        }
    }
    Ok(())
}
