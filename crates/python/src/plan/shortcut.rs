//! The shortest ways from a call to its key, for the calls that most hits are.
//!
//! Each gives `None` for any call that is not as it wants it; such a call is bound by `Plan::bind`.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use pyo3::ffi::PyObject;

use super::Plan;
use crate::call::{Call, INLINE};
use crate::instance;
use crate::key::Query;
use crate::object::Ref;

impl Plan {
    /// The key of a call that is its own key: by position, without a mark or an instance; `None` for
    /// any other call, and where the arguments do not fit.
    #[inline]
    pub fn bind_in_place<'a>(&self, call: &Call<'a>) -> Option<Query<'a>> {
        if !self.in_place.get() || !call.names.is_null() {
            return None;
        }
        self.trimmed(call.positional).map(Query::Items)
    }

    /// The key of a method's call by position without defaults, and the instance's token, which the key
    /// borrows: it is to be held as long; `None` for any other call, and where there is no token yet.
    #[inline]
    pub fn bind_of_instance<'a>(
        &self,
        call: &Call<'a>,
        room: &'a mut [MaybeUninit<*mut PyObject>; INLINE],
    ) -> Option<(Query<'a>, Ref)> {
        let (&instance, others) = call.positional.split_first()?;
        let start = usize::from(self.prefix.is_some());
        let count = start + call.positional.len();
        let fits = call.names.is_null() && call.positional.len() == self.required && count <= INLINE;
        if !fits || !self.of_instance.get() {
            return None;
        }
        let token = instance::known_token(instance)?;
        if let Some(prefix) = &self.prefix {
            room[0].write(prefix.as_ptr());
        }
        room[start].write(token.as_ptr());
        for (item, &argument) in room[start + 1..].iter_mut().zip(others) {
            item.write(argument);
        }
        // SAFETY: so many items have been written.
        let items = unsafe { std::slice::from_raw_parts(room.as_ptr().cast(), count) };
        Some((Query::Items(items), token))
    }

    /// The key of a call with keywords that comes from the last call site, likewise without a mark or
    /// an instance; `None` for any other call.
    #[inline]
    pub fn bind_recalled<'a>(
        &self,
        call: &Call<'a>,
        room: &'a mut [MaybeUninit<*mut PyObject>; INLINE],
    ) -> Option<Query<'a>> {
        if !self.in_place.get() {
            return None;
        }
        let sources = self.call_site.sources(call)?;
        let mut count = self.kept.len();
        for (item, &source) in room.iter_mut().zip(sources).take(count) {
            item.write(self.argument(call, source));
        }
        // SAFETY: so many items have been written; a site that is known has no more than there is room for.
        let items = unsafe { std::slice::from_raw_parts(room.as_ptr().cast(), count) };
        while count > self.required && self.is_default_of(count - 1, items[count - 1]) {
            count -= 1;
        }
        Some(Query::Items(&items[..count]))
    }

    /// Whether calls are as `bind_of_instance` wants them, as a rule.
    #[inline]
    pub fn is_of_instance(&self) -> bool {
        self.of_instance.get()
    }
}
