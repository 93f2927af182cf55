//! The call: a hit is decided here, before anything is awaited.
//!
//! 1. While nobody listens, a native cache without a lock, under keys of the plan, is asked by the
//!    shortest way: bind, hash, find, and a `Ready` with the value.  The cache of a function is at
//!    hand (`call_fast`); that of an instance is what the resolver says (`call_resolved`).
//! 2. So is a dict (`call_dict`), which wants a tuple to be asked with.
//! 3. Everything else goes through `Body::call`.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::ptr::null_mut;

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;

use crate::cache::Cache;
use crate::call::{Buffer, Call, INLINE};
use crate::counts::{self, Counter};
use crate::event::{self, Event};
use crate::function::{Body, Function, Where};
use crate::key::Query;
use crate::many::Form;
use crate::object::Ref;
use crate::resolver::Resolver;
use crate::site::{Site, read_dict};
use crate::{log, raw, ready, wait};

impl Body {
    /// Any call.
    fn call(&self, py: Python<'_>, me: *mut PyObject, call: &Call<'_>) -> PyResult<*mut PyObject> {
        if let Some(many) = &self.many {
            // SAFETY: the function is being called, so it is alive.
            return self.call_many(py, &unsafe { Ref::from_borrowed(me) }, many, call, Form::All);
        }
        self.check_open(py)?;
        self.call_at(py, me, self.locate(py, self.owner(call))?, call)
    }

    /// A call with the cache that it belongs to.
    fn call_at(
        &self,
        py: Python<'_>,
        me: *mut PyObject,
        place: Where<'_>,
        call: &Call<'_>,
    ) -> PyResult<*mut PyObject> {
        let site = match &place {
            Where::Off(counter) => {
                counts::miss(*counter);
                return Ok(call.forward(py, &self.function)?.into_ptr());
            }
            Where::Fixed(site) => *site,
            Where::Own(site) => site,
        };
        let mut buffer = Buffer::new();
        let Some(query) = self.ask(py, call, site.shelf.mark.as_ref(), &mut buffer)? else {
            // Python's own TypeError.
            return Ok(call.forward(py, &self.function)?.into_ptr());
        };
        // SAFETY: the function is being called, so it is alive.
        let me = || unsafe { Ref::from_borrowed(me) };
        let (found, hash) = self.find_value(py, site, &query, call)?;
        if let Some(value) = found {
            if self.listener.is_some() || log::is_listening() {
                event::tell(py, Event::Hit, &me(), &query.keep(py)?);
            }
            // SAFETY: the value is owned.
            return Ok(unsafe { ready::new(value.into_ptr(), site.shelf.counter()) });
        }
        let hash = hash.map_or_else(|| self.hash(py, &query, call), Ok)?;
        let key = query.keep(py)?;
        let own = match place {
            Where::Own(site) => Some(site),
            _ => None,
        };
        wait::new(py, me(), own, key, hash, call)
    }

    /// What a cache has for a key, and the hash of the key where it was needed: a mapping computes it
    /// for itself.
    fn find_value(
        &self,
        py: Python<'_>,
        site: &Site,
        query: &Query<'_>,
        call: &Call<'_>,
    ) -> PyResult<(Option<Ref>, Option<u64>)> {
        if let Some(cache) = site.native(py) {
            let hash = self.hash(py, query, call)?;
            return Ok((cache.lookup(py, hash, query)?, Some(hash)));
        }
        match site.read(py, query) {
            Ok(found) => Ok((found, None)),
            Err(error) => Err(self.refusal(py, query, call, error)),
        }
    }
}

/// What the interpreter calls.
///
/// # Safety
/// The object is a `Function`; the arguments are those of a vectorcall; the GIL is held.
pub unsafe extern "C" fn vectorcall(
    object: *mut PyObject,
    args: *const *mut PyObject,
    flagged_count: usize,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the caller's promise.
    unsafe {
        let function = &*object.cast::<Function>();
        let count = ffi::PyVectorcall_NARGS(flagged_count) as usize;
        let call = Call::new(args, count, names);
        if log::quiet() {
            let fast = function.fast.get();
            if !fast.is_null() {
                return call_fast(object, function, &*fast, &call);
            }
            let resolver = function.resolver.get();
            if !resolver.is_null() {
                return call_resolved(object, function, &*resolver, &call);
            }
            let dict = function.dict_cache.get();
            if !dict.is_null() {
                return call_dict(object, function, &*dict, &call);
            }
        } else {
            log::look(Python::assume_attached());
        }
        call_unhurried(object, function, &call)
    }
}

#[inline]
unsafe fn call_fast(
    object: *mut PyObject,
    function: &Function,
    cache: &Cache,
    call: &Call<'_>,
) -> *mut PyObject {
    // SAFETY: the caller's promises are this function's.
    unsafe {
        if !call.names.is_null() {
            return call_recalled(object, function, cache, call);
        }
        match function.body.plan.bind_in_place(call) {
            // Compiled by itself: with one argument there is nothing to loop over.
            Some(Query::Items(&[argument])) => {
                answer(object, function, cache, call, &Query::Items(&[argument]))
            }
            Some(query) => answer_in_place(object, function, cache, call, &query),
            None if function.body.plan.is_of_instance() => call_of_instance(object, function, cache, call),
            None => call_bound(object, function, cache, call),
        }
    }
}

#[inline(never)]
unsafe fn answer_in_place(
    object: *mut PyObject,
    function: &Function,
    cache: &Cache,
    call: &Call<'_>,
    query: &Query<'_>,
) -> *mut PyObject {
    // SAFETY: the caller's promises are this function's.
    unsafe { answer(object, function, cache, call, query) }
}

/// A call with keywords, from the call site that is known as a rule.
#[inline(never)]
unsafe fn call_recalled(
    object: *mut PyObject,
    function: &Function,
    cache: &Cache,
    call: &Call<'_>,
) -> *mut PyObject {
    let mut room = [const { MaybeUninit::uninit() }; INLINE];
    // SAFETY: the caller's promises are this function's.
    unsafe {
        match function.body.plan.bind_recalled(call, &mut room) {
            Some(query) => answer(object, function, cache, call, &query),
            None => call_bound(object, function, cache, call),
        }
    }
}

/// A method's call by position, of an instance that is known as a rule.
#[inline(never)]
unsafe fn call_of_instance(
    object: *mut PyObject,
    function: &Function,
    cache: &Cache,
    call: &Call<'_>,
) -> *mut PyObject {
    let mut room = [const { MaybeUninit::uninit() }; INLINE];
    // SAFETY: the caller's promises are this function's.
    unsafe {
        match function.body.plan.bind_of_instance(call, &mut room) {
            // Compiled by itself as well: the token and one argument.
            Some((Query::Items(&[first, second]), _held)) => {
                answer(object, function, cache, call, &Query::Items(&[first, second]))
            }
            Some((query, _held)) => answer_in_place(object, function, cache, call, &query),
            None => call_bound(object, function, cache, call),
        }
    }
}

#[inline(never)]
unsafe fn call_bound(
    object: *mut PyObject,
    function: &Function,
    cache: &Cache,
    call: &Call<'_>,
) -> *mut PyObject {
    // SAFETY: the GIL is held.
    unsafe {
        let py = Python::assume_attached();
        let mut buffer = Buffer::new();
        match function.body.plan.bind(py, call, &mut buffer) {
            Ok(Some(query)) => answer(object, function, cache, call, &query),
            Ok(None) => call_unhurried(object, function, call),
            Err(error) => raise(py, error),
        }
    }
}

/// A call whose cache the resolver finds.
#[inline(never)]
unsafe fn call_resolved(
    object: *mut PyObject,
    function: &Function,
    resolver: &Resolver,
    call: &Call<'_>,
) -> *mut PyObject {
    // SAFETY: the GIL is held.
    unsafe {
        let py = Python::assume_attached();
        let Some(&owner) = call.positional.first() else { return call_unhurried(object, function, call) };
        let cache = match resolver.read(py, owner) {
            Ok(cache) => cache,
            Err(error) => return raise(py, error),
        };
        let Some((shelf, native)) =
            resolver.known(&cache).and_then(|shelf| Some((shelf.clone(), shelf.native(py, &cache)?)))
        else {
            let body = &function.body;
            return raw::slot(|py| {
                let site = resolver.site(py, cache, owner, body.name())?;
                let place = site.map_or(Where::Off(resolver.off()), Where::Own);
                body.call_at(py, object, place, call)
            });
        };
        let counter = shelf.counter();
        let own = || Some(Site { cache: cache.clone(), lock: None, shelf });
        let mut room = [const { MaybeUninit::uninit() }; INLINE];
        if let Some((query, _held)) = function.body.plan.bind_of_instance(call, &mut room) {
            return answer_from(object, function, native, counter, own, call, &query);
        }
        let mut buffer = Buffer::new();
        match function.body.plan.bind(py, call, &mut buffer) {
            Ok(Some(query)) => answer_from(object, function, native, counter, own, call, &query),
            Ok(None) => misfit(function, call),
            Err(error) => raise(py, error),
        }
    }
}

/// A call whose cache is a dict.
#[inline(never)]
unsafe fn call_dict(
    object: *mut PyObject,
    function: &Function,
    dict: &Ref,
    call: &Call<'_>,
) -> *mut PyObject {
    // SAFETY: the GIL is held; it is a dict, and the function has a counter.
    unsafe {
        let py = Python::assume_attached();
        if let Some(query) = function.body.plan.bind_in_place(call) {
            return answer_dict(object, function, dict, call, &query);
        }
        let mut buffer = Buffer::new();
        match function.body.plan.bind(py, call, &mut buffer) {
            Ok(Some(query)) => answer_dict(object, function, dict, call, &query),
            Ok(None) => misfit(function, call),
            Err(error) => raise(py, error),
        }
    }
}

/// Hit or miss of a dict.
#[inline(never)]
unsafe fn answer_dict(
    object: *mut PyObject,
    function: &Function,
    dict: &Ref,
    call: &Call<'_>,
    query: &Query<'_>,
) -> *mut PyObject {
    // SAFETY: the GIL is held; it is a dict, and the function has a counter.
    unsafe {
        let py = Python::assume_attached();
        match read_dict(dict.bound(py).cast_unchecked(), query) {
            Ok(Some(value)) => ready::new(value.into_ptr(), function.counter.get().unwrap_unchecked()),
            Ok(None) => match function.body.hash(py, query, call) {
                Ok(hash) => missed(object, None, query, hash, call),
                Err(error) => raise(py, error),
            },
            Err(error) => raise(py, function.body.refusal(py, query, call, error)),
        }
    }
}

/// Python's own TypeError, or what the function makes of arguments that its signature denies.
#[cold]
unsafe fn misfit(function: &Function, call: &Call<'_>) -> *mut PyObject {
    // SAFETY: the GIL is held.
    unsafe { raw::slot(|py| Ok(call.forward(py, function.body.function())?.into_ptr())) }
}

/// Hit or miss of the function's cache.
#[inline(always)]
unsafe fn answer(
    object: *mut PyObject,
    function: &Function,
    cache: &Cache,
    call: &Call<'_>,
    query: &Query<'_>,
) -> *mut PyObject {
    // SAFETY: the caller's promises are this function's; a function with a cache of its own has a counter.
    unsafe {
        let counter = function.counter.get().unwrap_unchecked();
        answer_from(object, function, cache, counter, || None, call, query)
    }
}

/// Hit or miss of a cache, whose site `own` tells where it is not the function's.
#[inline(always)]
unsafe fn answer_from(
    object: *mut PyObject,
    function: &Function,
    cache: &Cache,
    counter: Counter,
    own: impl FnOnce() -> Option<Site>,
    call: &Call<'_>,
    query: &Query<'_>,
) -> *mut PyObject {
    // SAFETY: the GIL is held.
    unsafe {
        let py = Python::assume_attached();
        let Some(hash) = query.hash() else {
            return raise(py, function.body.unhashable(py, call, raw::fetch(py)));
        };
        match cache.lookup(py, hash, query) {
            Ok(Some(value)) => ready::new(value.into_ptr(), counter),
            Ok(None) => missed(object, own(), query, hash, call),
            Err(error) => raise(py, error),
        }
    }
}

#[cold]
fn raise(py: Python<'_>, error: PyErr) -> *mut PyObject {
    error.restore(py);
    null_mut()
}

#[inline(never)]
unsafe fn missed(
    object: *mut PyObject,
    own: Option<Site>,
    query: &Query<'_>,
    hash: u64,
    call: &Call<'_>,
) -> *mut PyObject {
    // SAFETY: the function is being called, so it is alive.
    unsafe { raw::slot(|py| wait::new(py, Ref::from_borrowed(object), own, query.keep(py)?, hash, call)) }
}

#[inline(never)]
unsafe fn call_unhurried(object: *mut PyObject, function: &Function, call: &Call<'_>) -> *mut PyObject {
    // SAFETY: the GIL is held.
    unsafe { raw::slot(|py| function.body.call(py, object, call)) }
}
