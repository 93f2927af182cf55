//! `CallSite`: how the arguments of the last call with keywords lay in its key.
//!
//! The tuple of keyword names is a constant of the calling code, so the same tuple and the same
//! number of positional arguments mean the same call site.

#![allow(unsafe_code)]

use crate::call::{Call, INLINE};
use crate::object::{GilCell, Ref};

/// Where an item of a key came from.
#[derive(Clone, Copy)]
pub enum Source {
    /// The argument of this number, positional ones first.
    Argument(u8),
    /// The default of the parameter of this number.
    Default(u8),
}

/// The sources of a key's items, by place.
pub type Sources = [Source; INLINE];

pub const UNKNOWN: Sources = [Source::Argument(0); INLINE];

struct Known {
    /// Held, so that its address names it.
    names: Ref,
    positional: usize,
    sources: Sources,
}

pub struct CallSite(GilCell<Option<Known>>);

impl CallSite {
    pub const fn new() -> Self {
        Self(GilCell::new(None))
    }

    /// The sources of the items, if the call is from the site that is known.
    ///
    /// They are to be used before any Python code runs, which may teach another site.
    #[inline]
    pub fn sources(&self, call: &Call<'_>) -> Option<&Sources> {
        // SAFETY: the GIL is held; see above.
        let known = unsafe { self.0.get() }.as_ref()?;
        let same = known.names.is(call.names) && known.positional == call.positional.len();
        same.then_some(&known.sources)
    }

    /// Notes the sources of the first `count` items of a call with keywords.
    pub fn learn(&self, call: &Call<'_>, sources: Sources, count: usize) {
        if count > INLINE || call.all().len() > usize::from(u8::MAX) {
            return;
        }
        // SAFETY: the names are alive; what was known is dropped after the borrow.
        let old = unsafe {
            let names = Ref::from_borrowed(call.names);
            let known = Known { names, positional: call.positional.len(), sources };
            self.0.get().replace(known)
        };
        drop(old);
    }
}
