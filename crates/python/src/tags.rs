//! Tags of functions, of loads and of what they store: names by which `invalidate_tag` reaches them.
//!
//! What is revoked, and since when, is core's (`aiocachetools_core::tags`).  Here tags get their
//! names from the user.
//!
//! 1. The tags of a load are known when it starts, unless they depend on its value.  Then the load
//!    is watched, and they are asked of the value when it is to be stored.
//! 2. A load whose tags are known is fenced as soon as it is met after an invalidation: by a call
//!    that would join it, or when it lands.
//! 3. Whatever a user's function is called for, the key is looked for again afterwards.

use std::sync::{LazyLock, Mutex, PoisonError};

use aiocachetools_core::tags::{Epoch, Stamp, TagSet, Tags};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::arguments::Arguments;
use crate::event;
use crate::function::Body;
use crate::object::Ref;
use crate::site::Site;

/// The tags of the process.  The GIL is held wherever they are used, so nobody waits for the lock.
static TAGS: LazyLock<Mutex<Tags>> = LazyLock::new(|| Mutex::new(Tags::new()));

/// Reads or changes the tags; `change` runs no Python code.
fn with<R>(change: impl FnOnce(&mut Tags) -> R) -> R {
    change(&mut TAGS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// What a function gives its entries.
pub enum FunctionTags {
    /// Always the same.
    Names(TagSet),
    /// What a function of the arguments says.
    OfArguments(Ref),
    /// What a function of the arguments and the value says.
    OfValue(Ref),
}

/// The tags of a load.
#[derive(Default)]
pub enum LoadTags {
    #[default]
    None,
    Known(Stamp),
    Late(Box<Late>),
}

/// A load that will know its tags by its value.
pub struct Late {
    watch: Watch,
    arguments: Arguments,
}

/// How a value is stored.
pub enum Verdict {
    Plain,
    Tagged(Stamp),
    /// Not at all: one of its tags was invalidated during the load.
    Revoked,
}

/// A load under way that is watched for as long as this lives.
struct Watch(Epoch);

impl Watch {
    fn new() -> Self {
        Self(with(Tags::watch))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        with(|tags| tags.end_watch(self.0));
    }
}

impl FunctionTags {
    /// By the option: names, or a function; whether that wants the value.
    pub fn of(option: Bound<'_, PyAny>, of_value: bool) -> PyResult<Self> {
        if !option.is_callable() {
            return Ok(Self::Names(set_of(&option.extract::<Vec<String>>()?)));
        }
        let function = Ref::from(option);
        Ok(if of_value { Self::OfValue(function) } else { Self::OfArguments(function) })
    }

    /// The reference that it holds, for the garbage collector.
    pub fn part(&self) -> Option<&Ref> {
        match self {
            Self::Names(_) => None,
            Self::OfArguments(function) | Self::OfValue(function) => Some(function),
        }
    }
}

impl Verdict {
    /// The tags of what is stored, if it has any.
    pub fn stamp(&self) -> Option<&Stamp> {
        match self {
            Verdict::Tagged(stamp) => Some(stamp),
            Verdict::Plain | Verdict::Revoked => None,
        }
    }
}

impl LoadTags {
    /// Whether something was invalidated since the load started that it is known to have.
    pub fn is_revoked(&self) -> bool {
        self.stamp().is_some_and(Stamp::is_revoked)
    }

    /// The tags that are known.
    pub fn stamp(&self) -> Option<&Stamp> {
        match self {
            LoadTags::Known(stamp) => Some(stamp),
            LoadTags::None | LoadTags::Late(_) => None,
        }
    }

    /// How the load's value is stored.
    ///
    /// # Errors
    /// Those of the user's function of the value.
    pub fn verdict(&self, py: Python<'_>, function: &Body, value: &Ref) -> PyResult<Verdict> {
        let late = match self {
            LoadTags::None => return Ok(Verdict::Plain),
            LoadTags::Known(stamp) => return Ok(Verdict::Tagged(stamp.clone())),
            LoadTags::Late(late) => late,
        };
        let set = match function.tags() {
            Some(FunctionTags::OfValue(tags)) => function.ask_tags(py, tags, &late.arguments, Some(value))?,
            _ => return Ok(Verdict::Plain),
        };
        if set.is_empty() {
            return Ok(Verdict::Plain);
        }
        let stamp = with(|tags| tags.stamp_watched(late.watch.0, set));
        Ok(stamp.map_or(Verdict::Revoked, Verdict::Tagged))
    }

    /// The load is no longer watched; the arguments are not let go of.
    pub fn forget(self) {
        if let Self::Late(late) = self {
            let Late { watch, arguments } = *late;
            drop(watch);
            std::mem::forget(arguments);
        }
    }

    /// The references that it holds, for the garbage collector.
    pub fn parts(&self) -> impl Iterator<Item = &Ref> {
        let arguments = match self {
            LoadTags::Late(late) => late.arguments.values.as_slice(),
            LoadTags::None | LoadTags::Known(_) => &[],
        };
        arguments.iter()
    }
}

impl Body {
    fn tags(&self) -> Option<&FunctionTags> {
        self.freshness.as_ref()?.tags.as_ref()
    }

    /// Whether a user's function is called for the tags of a load that starts.
    pub fn asks_for_tags(&self) -> bool {
        matches!(self.tags(), Some(FunctionTags::OfArguments(_)))
    }

    /// The tags of a load with these arguments that starts now.
    ///
    /// # Errors
    /// Those of the user's function, and TypeError for a cache whose entries have no tags.
    pub fn tags_of_load(
        &self,
        py: Python<'_>,
        site: &Site,
        arguments: impl FnOnce() -> Arguments,
    ) -> PyResult<LoadTags> {
        let Some((freshness, tags)) = self.freshness.as_ref().zip(self.tags()) else {
            return Ok(LoadTags::None);
        };
        freshness.entries(py, site, self.name())?;
        let set = match tags {
            FunctionTags::Names(set) => set.clone(),
            FunctionTags::OfArguments(tags) => self.ask_tags(py, tags, &arguments(), None)?,
            FunctionTags::OfValue(_) => {
                return Ok(LoadTags::Late(Box::new(Late { watch: Watch::new(), arguments: arguments() })));
            }
        };
        Ok(if set.is_empty() { LoadTags::None } else { LoadTags::Known(with(|tags| tags.stamp(set))) })
    }

    /// What the user's function says of a call.
    fn ask_tags(
        &self,
        py: Python<'_>,
        tags: &Ref,
        arguments: &Arguments,
        value: Option<&Ref>,
    ) -> PyResult<TagSet> {
        let said = self.plan.forward_kept(py, &arguments.as_call(), tags, value)?;
        let said = said.bound(py);
        if let Ok(name) = said.cast::<PyString>() {
            return Ok(set_of(&[name.to_str()?.to_owned()]));
        }
        let names = said
            .try_iter()
            .and_then(|names| names.map(|name| name?.extract::<String>()).collect::<PyResult<Vec<_>>>());
        let names = names.map_err(|error| {
            if !error.is_instance_of::<PyTypeError>(py) {
                return error;
            }
            PyTypeError::new_err(format!(
                "{}(): the tags function must return a name (str) or an iterable of names, not {said:?}",
                self.name().bound(py)
            ))
        })?;
        Ok(set_of(&names))
    }
}

fn set_of(names: &[String]) -> TagSet {
    with(|tags| tags.set(names.iter().map(String::as_str)))
}

/// The tags of an entry that is restored now.
pub fn stamp_of(names: &[String]) -> Stamp {
    let set = set_of(names);
    with(|tags| tags.stamp(set))
}

/// Makes the entries with one of these tags invalid, in all caches.
#[pyfunction(name = "invalidate_tags")]
pub fn invalidate(py: Python<'_>, names: Vec<String>) {
    with(|tags| names.iter().for_each(|name| tags.invalidate(name)));
    names.iter().for_each(|name| event::tell_tag(py, name));
}

/// How many names are known: for tests.
#[pyfunction(name = "_known_tags")]
pub fn known() -> usize {
    with(|tags| tags.len())
}
