//! `Shared`: a value with several owners, under the GIL.

#![allow(unsafe_code)]

use std::ops::Deref;
use std::rc::Rc;

/// A shared value, counted without atomic operations, which cost more than the rest of a lookup.
pub struct Shared<T>(Rc<T>);

// SAFETY: as a `Ref`, it is created, used and dropped only with the GIL held.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub fn new(value: T) -> Self {
        Self(Rc::new(value))
    }
}

impl<T> Clone for Shared<T> {
    #[inline]
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}
