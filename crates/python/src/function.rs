//! `CachedFunction`: the decorated function.
//!
//! The object is called by vectorcall.  A hit on a native cache is decided right there: bind,
//! hash, find, count, and a `Ready` with the value.  Everything else goes through `call_slow`.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr::{null, null_mut};

use aiocachetools_core::flight::OnAbandon;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;

use crate::cache::Cache;
use crate::call::{Buffer, Call};
use crate::counts::{self, Counter, Tally};
use crate::event::{self, Event};
use crate::freshness::Freshness;
use crate::key::{self, Query};
use crate::many::{Form, Many};
use crate::object::{self, Ref};
use crate::plan::Plan;
use crate::raw::{self, TypeCell};
use crate::resolver::Resolver;
use crate::site::Site;
use crate::{log, ready, wait};

/// Where results are kept.
pub enum Target {
    /// Nowhere: `cache=None`.
    Off {
        tally: Tally,
    },
    Fixed(Site),
    Resolved(Resolver),
}

/// The cache of one call.
pub enum Where<'a> {
    Off(Counter),
    Fixed(&'a Site),
    Own(Site),
}

impl Where<'_> {
    pub fn site(&self) -> Option<&Site> {
        match self {
            Where::Off(_) => None,
            Where::Fixed(site) => Some(site),
            Where::Own(site) => Some(site),
        }
    }

    pub fn counter(&self) -> Counter {
        match self {
            Where::Off(counter) => *counter,
            Where::Fixed(site) => site.shelf.counter(),
            Where::Own(site) => site.shelf.counter(),
        }
    }
}

pub struct Body {
    pub function: Ref,
    /// What loads in the function's place.
    pub loader: Option<Ref>,
    /// The function's qualified name, for messages.
    pub name: Ref,
    pub plan: Plan,
    /// The user's key function.
    pub key: Option<Ref>,
    pub mark: Option<Ref>,
    pub target: Target,
    /// Around a classmethod: binds to the class.
    pub class_method: bool,
    pub on_abandon: OnAbandon,
    pub closed: Cell<bool>,
    /// What `cache_parameters()` tells.
    pub parameters: Ref,
    pub condition: Option<Ref>,
    /// The function takes keys and returns a mapping of them.
    pub many: Option<Many>,
    /// What is told of every event.
    pub listener: Option<Ref>,
    /// How long results are good, and what is served when there is no good one.
    pub freshness: Option<Freshness>,
}

#[repr(C)]
pub struct Function {
    ob_base: PyObject,
    pub vectorcall: Option<ffi::vectorcallfunc>,
    pub dict: *mut PyObject,
    pub weak_references: *mut PyObject,
    /// The cache, where it is fixed, native, without a lock, with keys of the plan and without a
    /// listener; else null.
    fast: Cell<*const Cache>,
    counter: Cell<Option<Counter>>,
    pub body: ManuallyDrop<Body>,
}

pub static TYPE: TypeCell = TypeCell::new();
/// The same, but bound by `__get__` alone: calls must not be given the instance.
pub static CLASS_METHOD_TYPE: TypeCell = TypeCell::new();
/// The two for functions of several keys.
pub static MANY_TYPE: TypeCell = TypeCell::new();
pub static MANY_CLASS_METHOD_TYPE: TypeCell = TypeCell::new();

/// A key function's answer, or a query of the plan.
type Asked<'a> = Option<Query<'a>>;

impl Function {
    pub fn of(object: &Ref) -> &Body {
        // SAFETY: whatever is called a function's reference here refers to a `Function`.
        unsafe { &(*object.as_ptr().cast::<Function>()).body }
    }
}

impl Body {
    pub fn function(&self) -> &Ref {
        &self.function
    }

    /// The first parameter is `self` or `cls`.
    pub fn set_instance(&self) {
        self.plan.set_instance();
        if let Some(many) = &self.many {
            many.set_instance();
        }
    }

    /// What is called on a miss.
    pub fn loader(&self) -> &Ref {
        self.loader.as_ref().unwrap_or(&self.function)
    }

    pub fn name(&self) -> &Ref {
        &self.name
    }

    pub fn on_abandon(&self) -> OnAbandon {
        self.on_abandon
    }

    pub fn check_open(&self, py: Python<'_>) -> PyResult<()> {
        if self.closed.get() {
            let name = self.name.bound(py);
            return Err(PyRuntimeError::new_err(format!(
                "{name}() was closed by cache_close(): it takes no calls"
            )));
        }
        Ok(())
    }

    /// The cache of a function whose cache does not depend on the call.
    pub fn fixed_site(&self, py: Python<'_>) -> PyResult<&Site> {
        match &self.target {
            Target::Fixed(site) => Ok(site),
            _ => Err(PyRuntimeError::new_err(format!("{} has no cache of its own", self.name.bound(py)))),
        }
    }

    /// The cache of a call whose first argument is `owner`.
    pub fn locate(&self, py: Python<'_>, owner: Option<*mut PyObject>) -> PyResult<Where<'_>> {
        match &self.target {
            Target::Off { tally } => Ok(Where::Off(tally.counter())),
            Target::Fixed(site) => Ok(Where::Fixed(site)),
            Target::Resolved(resolver) => {
                let owner = owner.unwrap_or_else(object::none);
                let site = resolver.locate(py, owner, &self.name)?;
                Ok(site.map_or(Where::Off(resolver.off()), Where::Own))
            }
        }
    }

    /// What stands for `self` in a call.
    pub fn owner(&self, call: &Call<'_>) -> Option<*mut PyObject> {
        match self.target {
            Target::Resolved(_) => self.plan.first_argument(call),
            _ => None,
        }
    }

    /// The key of a call; `None` when the arguments do not fit the function's signature.
    pub fn ask<'a>(
        &'a self,
        py: Python<'_>,
        call: &Call<'a>,
        shelf_mark: Option<&Ref>,
        buffer: &'a mut Buffer,
    ) -> PyResult<Asked<'a>> {
        let Some(function) = &self.key else { return self.plan.bind(py, call, buffer) };
        let key = self.plan.forward_kept(py, call, function)?;
        let key = match shelf_mark.or(self.mark.as_ref()) {
            Some(mark) => (mark.bound(py), key.bound(py)).into_pyobject(py)?.into(),
            None => key,
        };
        Query::of_ref(buffer.hold(key), py).map(Some)
    }

    /// The key of a call, as it stands in the cache.
    pub fn key_object<'py>(&self, py: Python<'py>, call: &Call<'_>) -> PyResult<Bound<'py, PyAny>> {
        let place = if self.key.is_some() { Some(self.locate(py, self.owner(call))?) } else { None };
        let mark = place.as_ref().and_then(|place| place.site()?.shelf.mark.as_ref());
        let mut buffer = Buffer::new();
        let query = self.ask(py, call, mark, &mut buffer)?.ok_or_else(|| self.misfit(py, call))?;
        query.keep(py)?.object(py)
    }

    /// Python's own error for arguments that do not fit the signature.
    pub fn misfit(&self, py: Python<'_>, call: &Call<'_>) -> PyErr {
        match call.forward(py, &self.function) {
            Err(error) => error,
            Ok(coroutine) => {
                let _ = coroutine.bound(py).call_method0("close");
                PyTypeError::new_err(format!(
                    "{}(): the arguments do not fit its signature",
                    self.name.bound(py)
                ))
            }
        }
    }

    /// The hash of a key.
    ///
    /// # Errors
    /// For an unhashable argument a TypeError that names it.
    pub fn hash(&self, py: Python<'_>, query: &Query<'_>, call: &Call<'_>) -> PyResult<u64> {
        query.hash().ok_or_else(|| self.unhashable(py, call, raw::fetch(py)))
    }

    #[cold]
    fn unhashable(&self, py: Python<'_>, call: &Call<'_>, cause: PyErr) -> PyErr {
        if !cause.is_instance_of::<PyTypeError>(py) {
            return cause;
        }
        let name = self.name.bound(py);
        if self.key.is_some() {
            let text = format!(
                "{name}(): the key function returned an unhashable key; let it return a hashable one"
            );
            return key::unhashable(py, &text, cause);
        }
        let Some(parameter) = self.plan.unhashable_parameter(py, call) else { return cause };
        let text = format!(
            "{name}(): argument '{parameter}' cannot be part of a cache key ({}); pass a hashable value (a tuple for \
             a list), leave it out with ignore=('{parameter}',), or give key= a function that makes a hashable key",
            cause.value(py)
        );
        key::unhashable(py, &text, cause)
    }

    fn call_slow(&self, py: Python<'_>, me: *mut PyObject, call: &Call<'_>) -> PyResult<*mut PyObject> {
        // SAFETY: the function is being called, so it is alive.
        let me = || unsafe { Ref::from_borrowed(me) };
        if let Some(many) = &self.many {
            return self.call_many(py, &me(), many, call, Form::All);
        }
        self.check_open(py)?;
        let place = self.locate(py, self.owner(call))?;
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
        let hash = self.hash(py, &query, call)?;
        let found = site.lookup(py, hash, &query)?;
        if let Some(value) = found {
            if self.listener.is_some() || log::is_listening() {
                event::tell(py, Event::Hit, &me(), &query.keep(py)?);
            }
            // SAFETY: the value is owned.
            return Ok(unsafe { ready::new(value.into_ptr(), site.shelf.counter()) });
        }
        let own = match place {
            Where::Own(site) => Some(site),
            _ => None,
        };
        wait::new(py, me(), own, query.keep(py)?, hash, call)
    }

    /// # Errors
    /// TypeError for a function with a tier behind its cache, which these know nothing of.
    pub fn check_direct(&self, py: Python<'_>, method: &str) -> PyResult<()> {
        if self.loader.is_none() {
            return Ok(());
        }
        let name = self.name.bound(py);
        Err(PyTypeError::new_err(format!(
            "{name}.{method}() does not know of the tier behind the cache: invalidate the entry there, and call {name}()"
        )))
    }

    /// A call that loads whatever there is.
    pub fn refresh(&self, py: Python<'_>, me: &Ref, call: &Call<'_>) -> PyResult<*mut PyObject> {
        if let Some(many) = &self.many {
            return self.call_many(py, me, many, call, Form::Refresh);
        }
        self.check_open(py)?;
        let site = match self.locate(py, self.owner(call))? {
            Where::Off(counter) => {
                counts::miss(counter);
                return Ok(call.forward(py, &self.function)?.into_ptr());
            }
            Where::Fixed(site) => site.clone(),
            Where::Own(site) => site,
        };
        let mut buffer = Buffer::new();
        let Some(query) = self.ask(py, call, site.shelf.mark.as_ref(), &mut buffer)? else {
            return Err(self.misfit(py, call));
        };
        let hash = self.hash(py, &query, call)?;
        let key = query.keep(py)?;
        wait::refresh(py, me.clone(), site.clone(), key, hash, call)
    }

    /// Refuses calls from now on.
    pub fn close(&self, me: &Ref) {
        self.closed.set(true);
        // SAFETY: `me` refers to the function that this is the body of.
        unsafe { (*me.as_ptr().cast::<Function>()).fast.set(null()) };
    }
}

unsafe extern "C" fn vectorcall(
    object: *mut PyObject,
    args: *const *mut PyObject,
    flagged_count: usize,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: the object is of this type; the arguments are those of a vectorcall; the GIL is held.
    unsafe {
        let function = &*object.cast::<Function>();
        let count = ffi::PyVectorcall_NARGS(flagged_count) as usize;
        let call = Call::new(args, count, names);
        if log::quiet() {
            let fast = function.fast.get();
            if !fast.is_null() {
                return call_fast(object, function, &*fast, &call);
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
        match function.body.plan.bind_in_place(call) {
            // Compiled by itself: with one argument there is nothing to loop over.
            Some(Query::Items(&[argument])) => {
                answer(object, function, cache, call, &Query::Items(&[argument]))
            }
            Some(query) => answer_in_place(object, function, cache, call, &query),
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

/// Hit or miss.
#[inline(always)]
unsafe fn answer(
    object: *mut PyObject,
    function: &Function,
    cache: &Cache,
    call: &Call<'_>,
    query: &Query<'_>,
) -> *mut PyObject {
    // SAFETY: the GIL is held; a fast function has a counter.
    unsafe {
        let py = Python::assume_attached();
        let Some(hash) = query.hash() else {
            return raise(py, function.body.unhashable(py, call, raw::fetch(py)));
        };
        match cache.lookup(py, hash, query) {
            Ok(Some(value)) => ready::new(value.into_ptr(), function.counter.get().unwrap_unchecked()),
            Ok(None) => missed(object, query, hash, call),
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
unsafe fn missed(object: *mut PyObject, query: &Query<'_>, hash: u64, call: &Call<'_>) -> *mut PyObject {
    // SAFETY: the function is being called, so it is alive.
    unsafe { raw::slot(|py| wait::new(py, Ref::from_borrowed(object), None, query.keep(py)?, hash, call)) }
}

#[inline(never)]
unsafe fn call_unhurried(object: *mut PyObject, function: &Function, call: &Call<'_>) -> *mut PyObject {
    // SAFETY: the GIL is held.
    unsafe { raw::slot(|py| function.body.call_slow(py, object, call)) }
}

/// The decorated function.
pub fn new(py: Python<'_>, body: Body) -> PyResult<Bound<'_, PyAny>> {
    let kind = match (body.class_method, &body.many) {
        (false, None) => &TYPE,
        (true, None) => &CLASS_METHOD_TYPE,
        (false, Some(_)) => &MANY_TYPE,
        (true, Some(_)) => &MANY_CLASS_METHOD_TYPE,
    };
    let kind = kind.get();
    let (mut fast, mut counter) = (null(), None);
    if let Target::Fixed(site) = &body.target {
        counter = Some(site.shelf.counter());
        if body.key.is_none()
            && body.many.is_none()
            && body.listener.is_none()
            && let Some(cache) = site.native(py)
        {
            fast = std::ptr::from_ref(cache);
        }
    }
    // SAFETY: the type was made at import; every field of a new object is written before use.
    unsafe {
        let object = Bound::from_owned_ptr_or_err(py, ffi::PyType_GenericAlloc(kind, 0))?;
        let function = object.as_ptr().cast::<Function>();
        (*function).vectorcall = Some(vectorcall);
        (*function).fast = Cell::new(fast);
        (*function).counter = Cell::new(counter);
        std::ptr::write(&mut (*function).body, ManuallyDrop::new(body));
        Ok(object)
    }
}
