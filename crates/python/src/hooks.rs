//! Which of a cache's methods a Python subclass has overridden.

use pyo3::prelude::*;
use pyo3::types::PyType;

/// A set of overridden methods.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Hooks(u8);

const NAMES: [(&str, Hooks); 8] = [
    ("__getitem__", Hooks::GETITEM),
    ("__setitem__", Hooks::SETITEM),
    ("__delitem__", Hooks::DELITEM),
    ("__contains__", Hooks::CONTAINS),
    ("__missing__", Hooks::MISSING),
    ("__iter__", Hooks::ITER),
    ("popitem", Hooks::POPITEM),
    ("expire", Hooks::EXPIRE),
];

impl Hooks {
    pub const NONE: Self = Self(0);
    pub const GETITEM: Self = Self(1);
    pub const SETITEM: Self = Self(1 << 1);
    pub const DELITEM: Self = Self(1 << 2);
    pub const CONTAINS: Self = Self(1 << 3);
    pub const MISSING: Self = Self(1 << 4);
    pub const ITER: Self = Self(1 << 5);
    pub const POPITEM: Self = Self(1 << 6);
    pub const EXPIRE: Self = Self(1 << 7);

    /// What cachetools reads by.
    pub const READ: Self = Self::CONTAINS.and(Self::GETITEM);

    /// Both sets together.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any of these is overridden.
    #[inline]
    pub const fn has(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }

    /// What `class` overrides of the methods that the native class has.
    pub fn of(class: &Bound<'_, PyType>, native: &Bound<'_, PyType>) -> PyResult<Self> {
        let mut hooks = Self::NONE;
        for (name, hook) in NAMES {
            if let Some(method) = native.getattr_opt(name)?
                && !class.getattr(name)?.is(&method)
            {
                hooks = hooks.and(hook);
            }
        }
        Ok(hooks)
    }
}
