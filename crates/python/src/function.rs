//! `CachedFunction`: the decorated function.  How it is called is in `hit`.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr::null;

use aiocachetools_core::flight::OnAbandon;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;

use crate::arguments::Arguments;
use crate::cache::Cache;
use crate::call::{Buffer, Call};
use crate::counts::{self, Counter, Tally};
use crate::freshness::Freshness;
use crate::key::{self, Key, Query};
use crate::many::{Form, Many};
use crate::object::{self, Ref};
use crate::plan::Plan;
use crate::raw::{self, TypeCell};
use crate::resolver::Resolver;
use crate::site::Site;
use crate::{hit, tier_loader, wait};

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
    pub fast: Cell<*const Cache>,
    pub counter: Cell<Option<Counter>>,
    /// The cache, where it is a dict, likewise; else null.
    pub dict_cache: Cell<*const Ref>,
    /// What finds the cache, where it does, likewise; else null.
    pub resolver: Cell<*const Resolver>,
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

    /// Starts what is called on a miss of a key.
    pub fn load(&self, py: Python<'_>, key: &Key, event_loop: &Ref, arguments: &Arguments) -> PyResult<Ref> {
        match &self.loader {
            None => arguments.call(py, &self.function),
            Some(loader) => tier_loader::call(py, loader, key, event_loop, arguments),
        }
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
                "{name}() was closed by cache_close(), for good: an application that is started again decorates the \
                 function anew when it is made, or leaves it open"
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
        let key = self.plan.forward_kept(py, call, function, None)?;
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

    /// What a mapping raised; for an unhashable argument, the most likely TypeError, there is more to say.
    #[cold]
    pub fn refusal(&self, py: Python<'_>, query: &Query<'_>, call: &Call<'_>, error: PyErr) -> PyErr {
        if error.is_instance_of::<PyTypeError>(py) {
            return self.hash(py, query, call).err().unwrap_or(error);
        }
        error
    }

    #[cold]
    pub fn unhashable(&self, py: Python<'_>, call: &Call<'_>, cause: PyErr) -> PyErr {
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
        let function = unsafe { &*me.as_ptr().cast::<Function>() };
        function.fast.set(null());
        function.dict_cache.set(null());
        function.resolver.set(null());
    }
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
    let planned = body.key.is_none() && body.many.is_none() && body.listener.is_none();
    // SAFETY: the type was made at import; every field of a new object is written before use.
    unsafe {
        let object = Bound::from_owned_ptr_or_err(py, ffi::PyType_GenericAlloc(kind, 0))?;
        let function = object.as_ptr().cast::<Function>();
        (*function).vectorcall = Some(hit::vectorcall);
        (*function).fast = Cell::new(null());
        (*function).dict_cache = Cell::new(null());
        (*function).counter = Cell::new(None);
        (*function).resolver = Cell::new(null());
        std::ptr::write(&mut (*function).body, ManuallyDrop::new(body));
        // The body stays where it is now, and so does what is in it.
        let function = &*function;
        match &function.body.target {
            Target::Fixed(site) => {
                function.counter.set(Some(site.shelf.counter()));
                let fast = site.native(py).filter(|_| planned);
                function.fast.set(fast.map_or(null(), std::ptr::from_ref));
                let dict = site.dict(py).filter(|_| planned);
                function.dict_cache.set(dict.map_or(null(), std::ptr::from_ref));
            }
            Target::Resolved(resolver) if planned && resolver.lock.is_none() => {
                function.resolver.set(resolver);
            }
            _ => {}
        }
        Ok(object)
    }
}
