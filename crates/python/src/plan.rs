//! How a call becomes a key: the signature, compiled once.
//!
//! Equal bindings give equal keys.  The canonical form is `hashkey(*positional, *args,
//! **{keyword-only and **kwargs})` with the defaults filled in; where no `*args` follow, trailing
//! values that are the default are dropped again, so that a plain positional call has the key that
//! a user of cachetools computes.  Ignored parameters take no part.
//!
//! A call by position, the common case, is its own key: the arguments are used where they are.
//! For calls with keywords, the last call site is remembered; see `call_site`.

#![allow(unsafe_code)]

mod shortcut;

use std::cell::Cell;
use std::ffi::c_int;
use std::ptr::null_mut;

use pyo3::ffi::{self, PyObject};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use crate::call::{Buffer, Call};
use crate::call_site::{self, CallSite, Source, Sources};
use crate::instance;
use crate::key::Query;
use crate::keywords::{Extra, Keywords};
use crate::object::{self, Equality, Ref};
use crate::parameter::{Default, KeywordOnly, Positional, in_key, is_default};
use crate::raw;

pub struct Plan {
    positional: Vec<Positional>,
    /// The parameters that are in the key, by number.
    kept: Vec<usize>,
    /// How many positional parameters, from the left, have no default.
    required: usize,
    args: Extra,
    /// The name of the parameter `*args`.
    args_name: Option<Ref>,
    keywords: Keywords,
    typed: bool,
    /// The first parameter stands for its identity, and is in the key.
    instance: Cell<bool>,
    /// The function's mark in the keys of a shared cache.
    prefix: Option<Ref>,
    /// A call by position is its own key, apart from the prefix and the instance.
    simple: bool,
    /// A call by position is its own key, less trailing defaults.
    in_place: Cell<bool>,
    /// The same with the instance's token in its place, and perhaps the prefix.
    of_instance: Cell<bool>,
    call_site: CallSite,
}

impl Plan {
    /// Compiles a signature's parameters; `ignore` holds names of parameters.
    pub fn compile(parameters: &Bound<'_, PyAny>, ignore: &Bound<'_, PyAny>, typed: bool) -> PyResult<Self> {
        let mut plan = Self {
            positional: Vec::new(),
            kept: Vec::new(),
            required: 0,
            args: Extra::Absent,
            args_name: None,
            keywords: Keywords::new(typed),
            typed,
            instance: Cell::new(false),
            prefix: None,
            simple: false,
            in_place: Cell::new(false),
            of_instance: Cell::new(false),
            call_site: CallSite::new(),
        };
        for parameter in parameters.try_iter()? {
            plan.add(&parameter?, ignore)?;
        }
        plan.finish();
        Ok(plan)
    }

    fn add(&mut self, parameter: &Bound<'_, PyAny>, ignore: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = parameter.py();
        let name = parameter.getattr("name")?.cast_into::<PyString>()?;
        let kept = !ignore.contains(&name)?;
        let default = parameter.getattr("default")?;
        let given = !default.is(parameter.getattr("empty")?);
        let default = if given { Some(Default::new(py, &name, default.into())?) } else { None };
        let name: Ref = PyString::intern(py, name.to_str()?).into();
        let extra = if kept { Extra::Kept } else { Extra::Ignored };
        // The values of inspect's `_ParameterKind`.
        match parameter.getattr("kind")?.extract::<c_int>()? {
            kind @ (0 | 1) => self.positional.push(Positional { name, default, by_name: kind == 1, kept }),
            2 => (self.args, self.args_name) = (extra, Some(name)),
            3 => self.keywords.add(KeywordOnly { name, default, kept }),
            _ => self.keywords.set_rest(extra),
        }
        Ok(())
    }

    fn finish(&mut self) {
        self.kept = (0..self.positional.len()).filter(|&i| self.positional[i].kept).collect();
        self.required = self.positional.iter().take_while(|parameter| parameter.default.is_none()).count();
        let hashable =
            |default: &Option<Default>| default.as_ref().is_none_or(|default| default.stand_in.is_none());
        self.simple = self.kept.len() == self.positional.len()
            && self.positional.iter().all(|parameter| hashable(&parameter.default))
            && self.args != Extra::Ignored
            && self.keywords.may_be_left_out()
            && !self.typed;
        self.in_place.set(self.simple);
    }

    /// The first parameter is `self` or `cls`: it stands for its identity, unless it is ignored.
    pub fn set_instance(&self) {
        let in_args = self.positional.is_empty() && self.args == Extra::Kept;
        self.instance.set(self.kept.first() == Some(&0) || in_args);
        self.in_place.set(self.in_place.get() && !self.instance.get());
        self.of_instance.set(self.simple && self.instance.get());
    }

    /// Whether the first parameter is called as an instance or a class is, or comes with `*args`.
    pub fn first_is_owner(&self) -> bool {
        let Some(first) = self.positional.first() else { return self.args != Extra::Absent };
        // SAFETY: the GIL is held.
        let name = first.name.bound(unsafe { Python::assume_attached() }).to_string();
        name == "self" || name == "cls"
    }

    /// The name of a positional parameter, for messages.
    pub fn name_of_parameter(&self, py: Python<'_>, parameter: usize) -> String {
        let named =
            self.positional.get(parameter).map(|parameter| &parameter.name).or(self.args_name.as_ref());
        named.map(|name| name.bound(py).to_string()).unwrap_or_default()
    }

    /// Which of a call's keywords is a positional parameter.
    pub fn keyword_of(&self, call: &Call<'_>, parameter: usize) -> Option<usize> {
        let parameter = self.positional.get(parameter).filter(|parameter| parameter.by_name)?;
        call.keyword_index(&parameter.name)
    }

    /// The value of the first parameter.
    pub fn first_argument(&self, call: &Call<'_>) -> Option<*mut PyObject> {
        let first = call.positional.first().copied();
        first.or_else(|| self.positional.first().and_then(|parameter| call.keyword(&parameter.name)))
    }

    /// Calls a function of the user's with the arguments that are not ignored (`self` and `cls` never
    /// are), and with a `value` if there is one.
    pub fn forward_kept(
        &self,
        py: Python<'_>,
        call: &Call<'_>,
        function: &Ref,
        value: Option<&Ref>,
    ) -> PyResult<Ref> {
        let ignored = |i: usize| {
            self.positional.get(i).map_or(self.args == Extra::Ignored, |parameter| {
                !(parameter.kept || i == 0 && self.first_is_owner())
            })
        };
        let positional = call.positional.iter().enumerate().filter(|&(i, _)| !ignored(i));
        let mut values: Vec<_> = positional.map(|(_, &value)| value).collect();
        let count = values.len();
        let mut names = Vec::new();
        for i in 0..call.keyword_count() {
            let name = call.name(i);
            if !self.ignores_keyword(name) {
                // SAFETY: the name of a keyword is alive.
                names.push(unsafe { Ref::from_borrowed(name) });
                values.push(call.argument(call.positional.len() + i));
            }
        }
        if let Some(value) = value {
            names.push(Ref::from(intern!(py, "value")));
            values.push(value.as_ptr());
        }
        let names = PyTuple::new(py, names.iter().map(|name| name.bound(py)).collect::<Vec<_>>())?;
        let names_or_null = if names.is_empty() { null_mut() } else { names.as_ptr() };
        // SAFETY: the arguments are those of the caller; `names` lives until the call has returned.
        unsafe {
            raw::owned(py, ffi::PyObject_Vectorcall(function.as_ptr(), values.as_ptr(), count, names_or_null))
        }
    }

    fn ignores_keyword(&self, name: *mut PyObject) -> bool {
        if let Some(i) = self.position_of(name) {
            return !(self.positional[i].kept || i == 0 && self.first_is_owner());
        }
        self.keywords.ignores(name)
    }

    /// Marks the keys as this function's.
    pub fn set_prefix(&mut self, prefix: Ref) {
        self.prefix = Some(prefix);
        self.in_place.set(false);
    }

    /// The name of the parameter that a positional argument of the key belongs to.
    pub fn unhashable_parameter(&self, py: Python<'_>, call: &Call<'_>) -> Option<String> {
        let unhashable = |object: *mut PyObject| {
            // SAFETY: the object is alive.
            let failed = unsafe { object::hash(object) } == -1;
            if failed {
                let _ = PyErr::take(py);
            }
            failed
        };
        let named = |name: &Ref| name.bound(py).to_string();
        for (i, parameter) in self.positional.iter().enumerate().filter(|(_, parameter)| parameter.kept) {
            let given = call.positional.get(i).copied().or_else(|| call.keyword(&parameter.name));
            if given.is_some_and(unhashable) && !(self.instance.get() && i == 0) {
                return Some(named(&parameter.name));
            }
        }
        if call.positional.iter().skip(self.positional.len()).any(|&object| unhashable(object)) {
            return self.args_name.as_ref().map(named);
        }
        let keyword =
            (0..call.keyword_count()).find(|&i| unhashable(call.argument(call.positional.len() + i)));
        // SAFETY: a name of the call is alive.
        keyword.map(|i| named(&unsafe { Ref::from_borrowed(call.name(i)) }))
    }

    /// The key of a call; `None` when the arguments do not fit the signature.
    #[inline]
    pub fn bind<'a>(
        &'a self,
        py: Python<'_>,
        call: &Call<'a>,
        buffer: &'a mut Buffer,
    ) -> PyResult<Option<Query<'a>>> {
        if self.simple && call.names.is_null() {
            let Some(items) = self.trimmed(call.positional) else { return Ok(None) };
            if self.prefix.is_none() && !self.instance.get() {
                return Ok(Some(Query::Items(items)));
            }
            return self.with_owner(py, items, buffer).map(Some);
        }
        self.bind_general(py, call, buffer)
    }

    /// The arguments of a call by position without the trailing defaults; `None` when they do not fit.
    #[inline]
    fn trimmed<'a>(&self, arguments: &'a [*mut PyObject]) -> Option<&'a [*mut PyObject]> {
        if arguments.len() == self.required {
            return Some(arguments);
        }
        self.without_defaults(arguments)
    }

    fn without_defaults<'a>(&self, arguments: &'a [*mut PyObject]) -> Option<&'a [*mut PyObject]> {
        let mut count = arguments.len();
        if count < self.required {
            return None;
        }
        if count > self.positional.len() {
            return (self.args != Extra::Absent).then_some(arguments);
        }
        while count > self.required && self.is_default_of(count - 1, arguments[count - 1]) {
            count -= 1;
        }
        Some(&arguments[..count])
    }

    /// The same with the function's mark before them and the instance's token in its place.
    #[inline]
    fn with_owner<'a>(
        &'a self,
        py: Python<'_>,
        items: &[*mut PyObject],
        buffer: &'a mut Buffer,
    ) -> PyResult<Query<'a>> {
        let start = usize::from(self.prefix.is_some());
        let token = match items.first() {
            Some(&instance) if self.instance.get() => Some(instance::token(py, instance)?),
            _ => None,
        };
        let (room, owned) = buffer.room(start + items.len());
        if let Some(prefix) = &self.prefix {
            room[0] = prefix.as_ptr();
        }
        room[start..].copy_from_slice(items);
        if let Some(token) = token {
            room[start] = owned.insert(token).as_ptr();
        }
        Ok(Query::Items(room))
    }

    #[inline]
    fn is_default_of(&self, parameter: usize, value: *mut PyObject) -> bool {
        self.positional[parameter].default.as_ref().is_some_and(|default| is_default(value, &default.value))
    }

    #[inline(never)]
    fn bind_general<'a>(
        &'a self,
        py: Python<'_>,
        call: &Call<'a>,
        buffer: &'a mut Buffer,
    ) -> PyResult<Option<Query<'a>>> {
        let (items, owned) = buffer.room(1 + 2 * (self.positional.len() + call.positional.len()));
        let start = usize::from(self.prefix.is_some());
        if let Some(prefix) = &self.prefix {
            items[0] = prefix.as_ptr();
        }
        let Some(mut count) = self.place(call, &mut items[start..]) else { return Ok(None) };
        let Some(keywords) = self.keywords.of(call, |name| self.position_of(name).is_some()) else {
            return Ok(None);
        };
        if call.positional.len() <= self.positional.len() || self.args == Extra::Ignored {
            while count > 0 && self.is_trailing_default(count - 1, items[start + count - 1]) {
                count -= 1;
            }
        }
        if self.instance.get() && count > 0 {
            items[start] = owned.insert(instance::token(py, items[start])?).as_ptr();
        }
        if keywords.is_empty() {
            if self.typed {
                for i in 0..count {
                    // SAFETY: the item is alive, and so is its type.
                    items[start + count + i] = unsafe { ffi::Py_TYPE(items[start + i]).cast() };
                }
                count *= 2;
            }
            return Ok(Some(Query::Items(&items[..start + count])));
        }
        let key = self.keywords.key(py, &items[..start + count], &keywords)?;
        Query::of_ref(owned.insert(key), py).map(Some)
    }

    /// Whether the last item of the key, of a given number, is its parameter's default.
    fn is_trailing_default(&self, item: usize, value: *mut PyObject) -> bool {
        self.kept.get(item).is_some_and(|&parameter| self.is_default_of(parameter, value))
    }

    /// Writes the items that are passed by position, or could be; returns how many.
    fn place(&self, call: &Call<'_>, items: &mut [*mut PyObject]) -> Option<usize> {
        let given = call.positional.len();
        if given > self.positional.len() && self.args == Extra::Absent {
            return None;
        }
        if self.recall(call, items) {
            return Some(self.kept.len());
        }
        let mut sources = call_site::UNKNOWN;
        for (item, &parameter) in self.kept.iter().enumerate() {
            let (value, source) = self.source(call, parameter)?;
            items[item] = value;
            if let Some(place) = sources.get_mut(item) {
                *place = source;
            }
        }
        self.check_ignored(call)?;
        let mut count = self.kept.len();
        if self.args == Extra::Kept && given > self.positional.len() {
            let extra = &call.positional[self.positional.len()..];
            items[count..count + extra.len()].copy_from_slice(extra);
            count += extra.len();
        } else if !call.names.is_null() && self.keywords.are_none() {
            self.check_keywords(call)?;
            self.learn(call, sources);
        }
        Some(count)
    }

    /// The value of a parameter and where it came from.
    fn source(&self, call: &Call<'_>, parameter: usize) -> Option<(*mut PyObject, Source)> {
        let Positional { name, default, by_name, .. } = &self.positional[parameter];
        if let Some(&value) = call.positional.get(parameter) {
            // Passed twice, the call is an error.
            let twice = *by_name && call.keyword(name).is_some();
            return (!twice).then_some((in_key(default.as_ref(), value), Source::Argument(parameter as u8)));
        }
        if *by_name && let Some(at) = call.keyword_index(name) {
            let at = call.positional.len() + at;
            return Some((in_key(default.as_ref(), call.argument(at)), Source::Argument(at as u8)));
        }
        default.as_ref().map(|default| (default.in_key().as_ptr(), Source::Default(parameter as u8)))
    }

    /// An ignored parameter must still be passed, and only once.
    fn check_ignored(&self, call: &Call<'_>) -> Option<()> {
        let ignored = self.positional.iter().enumerate().filter(|(_, parameter)| !parameter.kept);
        for (i, _) in ignored {
            self.source(call, i)?;
        }
        Some(())
    }

    /// Every keyword must name a parameter.
    fn check_keywords(&self, call: &Call<'_>) -> Option<()> {
        for i in 0..call.keyword_count() {
            self.position_of(call.name(i))?;
        }
        Some(())
    }

    fn position_of(&self, name: *mut PyObject) -> Option<usize> {
        // SAFETY: names are strings.
        let same = |p: &Positional| unsafe { object::equality(p.name.as_ptr(), name) } == Equality::Same;
        self.positional.iter().position(|parameter| parameter.by_name && same(parameter))
    }

    /// Writes the items as the last call site's were placed, if this is the same one.
    #[inline]
    fn recall(&self, call: &Call<'_>, items: &mut [*mut PyObject]) -> bool {
        let Some(sources) = self.call_site.sources(call) else { return false };
        for (item, &source) in items.iter_mut().zip(sources).take(self.kept.len()) {
            *item = self.argument(call, source);
        }
        true
    }

    #[inline]
    fn argument(&self, call: &Call<'_>, source: Source) -> *mut PyObject {
        match source {
            Source::Argument(i) => call.argument(i.into()),
            Source::Default(parameter) => {
                let default = self.positional[usize::from(parameter)].default.as_ref();
                default.map_or(null_mut(), |default| default.in_key().as_ptr())
            }
        }
    }

    fn learn(&self, call: &Call<'_>, sources: Sources) {
        // A site cannot tell whether a value will be the default that a stand-in is for.
        let stands_in = |default: &Default| default.stand_in.is_some();
        if !self.positional.iter().filter_map(|parameter| parameter.default.as_ref()).any(stands_in) {
            self.call_site.learn(call, sources, self.kept.len());
        }
    }

    /// Visits what the plan holds for the garbage collector.
    pub fn traverse(&self, visit: &mut dyn FnMut(&Ref) -> c_int) -> c_int {
        let positional = self.positional.iter().filter_map(|parameter| parameter.default.as_ref());
        let keyword_only = self.keywords.defaults();
        positional
            .chain(keyword_only)
            .map(|default| &default.value)
            .map(visit)
            .find(|&stop| stop != 0)
            .unwrap_or(0)
    }
}
