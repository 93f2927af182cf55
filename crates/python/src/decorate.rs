//! `decorate`: makes a decorated function of what the face has decided.

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::cache::Cache;
use crate::claims::Claim;
use crate::counts::Tally;
use crate::freshness::Freshness;
use crate::function::{self, Body, Function, Target};
use crate::instance::{FunctionKey, Guard};
use crate::listener::User;
use crate::many::Many;
use crate::object::Ref;
use crate::plan::Plan;
use crate::resolver::Resolver;
use crate::site::{self, Shelf, Site};

/// What `cached` and `cachedmethod` decided, as the face passes it.
#[pyfunction]
#[pyo3(signature = (function, *, name, signature, ignore, typed, key, cache, resolved, class_method, lock, condition, on_abandon, parameters, loader=None, many=None, listener=None, freshness=None))]
#[allow(clippy::too_many_arguments)]
pub fn decorate<'py>(
    py: Python<'py>,
    function: &Bound<'py, PyAny>,
    name: &Bound<'py, PyAny>,
    signature: &Bound<'py, PyAny>,
    ignore: &Bound<'py, PyAny>,
    typed: bool,
    key: Option<Bound<'py, PyAny>>,
    cache: Option<Bound<'py, PyAny>>,
    resolved: bool,
    class_method: bool,
    lock: Option<Bound<'py, PyAny>>,
    condition: Option<Bound<'py, PyAny>>,
    on_abandon: &str,
    parameters: &Bound<'py, PyAny>,
    loader: Option<Bound<'py, PyAny>>,
    many: Option<&Bound<'py, PyAny>>,
    listener: Option<Bound<'py, PyAny>>,
    freshness: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut plan = Plan::compile(signature, ignore, typed)?;
    let name = name.cast::<PyString>()?;
    let mark = FunctionKey::of(py, name)?;
    let keyed = key.is_some();
    let lock = lock.or_else(|| condition.clone()).map(Ref::from);
    let mut needs_mark = resolved && !keyed;
    let target = match cache {
        None => Target::Off { tally: Tally::new() },
        Some(cache) if resolved => {
            let mark = keyed.then(|| mark.clone());
            let condition = condition.clone().map(Ref::from);
            Target::Resolved(Resolver::new(py, cache.into(), lock, condition, mark)?)
        }
        Some(cache) => {
            site::check_mapping(&cache, &name.to_string())?;
            let cache = Ref::from(cache);
            let claim;
            (claim, needs_mark) = Claim::new(&cache, Guard::of(py, &[cache.as_ptr()]), keyed);
            let shelf = Shelf::new(py, &cache, Some(claim), None);
            Target::Fixed(Site { cache, lock, shelf })
        }
    };
    if needs_mark && !keyed {
        plan.set_prefix(mark.clone());
    }
    let first_is_owner = class_method || plan.first_is_owner() && (resolved || is_defined_in_class(name));
    let body = Body {
        function: function.into(),
        loader: loader.map(Ref::from),
        name: name.into(),
        plan,
        key: key.map(Ref::from),
        mark: (keyed && needs_mark).then_some(mark),
        target,
        class_method,
        on_abandon: crate::flight::on_abandon(on_abandon)?,
        closed: Cell::new(false),
        parameters: parameters.into(),
        condition: condition.map(Ref::from),
        many: many.map(Many::of).transpose()?,
        listener: listener.map(Ref::from),
        freshness: freshness.map(Freshness::of).transpose()?,
    };
    if first_is_owner {
        body.set_instance();
    }
    let function = function::new(py, body)?;
    introduce(py, &function);
    Ok(function)
}

/// Tells a function's caches of it, as far as they are aiocachetools'.
fn introduce(py: Python<'_>, function: &Bound<'_, PyAny>) {
    let Some(guard) = Guard::of(py, &[function.as_ptr()]) else { return };
    let function = Ref::from(function);
    let body = Function::of(&function);
    let user = User { function: guard, listens: body.listener.is_some() };
    match &body.target {
        Target::Off { .. } => {}
        Target::Resolved(resolver) => resolver.set_user(user),
        Target::Fixed(site) => {
            if let Ok(cache) = site.cache.bound(py).cast::<Cache>() {
                cache.get().note_user(&user);
            }
        }
    }
}

/// Whether a function of this qualified name was defined in a class's body.  `classmethod` does not
/// pass `__set_name__` on to what it wraps.
fn is_defined_in_class(name: &Bound<'_, PyString>) -> bool {
    let name = name.to_string();
    name.rsplit_once('.').is_some_and(|(parent, _)| !parent.ends_with("<locals>"))
}
