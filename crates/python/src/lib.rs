//! The native module `aiocachetools._core`.

mod abc;
mod aio;
mod arguments;
mod batch;
mod bound;
mod bound_many;
mod cache;
mod call;
mod call_site;
mod claims;
mod classes;
mod clock;
mod counts;
mod decorate;
mod error;
mod event;
mod evict;
mod failed;
mod fence;
mod fetch;
mod flight;
mod freshness;
mod function;
mod function_type;
mod gathering;
mod hit;
mod hooks;
mod instance;
mod iter;
mod key;
mod keywords;
mod kind;
mod landing;
mod leftover;
mod listener;
mod log;
mod many;
mod mapping;
mod object;
mod outcome;
mod own;
mod parameter;
mod plain_format;
mod plain_loop;
mod plan;
mod question;
mod quick;
mod raw;
mod read;
mod ready;
mod redis;
mod redis_command;
mod redis_frame;
mod removal;
mod repr;
mod resolver;
mod shared;
mod simulate;
mod site;
mod slots;
mod snapshot;
mod stale;
mod stats;
mod tags;
mod target;
mod text;
mod tier_loader;
mod timer;
mod tuple_hash;
mod wait;
mod wait_state;
mod wait_type;
mod write;

use pyo3::prelude::*;

#[pymodule(gil_used = true)]
mod _core {
    #[pymodule_export]
    use crate::batch::launch_open;
    #[pymodule_export]
    use crate::bound::BoundFunction;
    #[pymodule_export]
    use crate::bound_many::BoundManyFunction;
    #[pymodule_export]
    use crate::cache::{Cache, validate};
    #[pymodule_export]
    use crate::classes::{
        FIFOCache, LFUCache, LRUCache, RRCache, TLRUCache, TTLCache, TimedCache, TinyLFUCache,
    };
    #[pymodule_export]
    use crate::decorate::decorate;
    #[pymodule_export]
    use crate::error::{LoadTimeout, RecursiveLoadError};
    #[pymodule_export]
    use crate::fetch::Fetch;
    #[pymodule_export]
    use crate::flight::{Flight, limit_load};
    #[pymodule_export]
    use crate::instance::{FunctionKey, InstanceKey};
    #[pymodule_export]
    use crate::leftover::{after_fork_in_child, before_collection};
    #[pymodule_export]
    use crate::plain_format::PlainFormat;
    #[pymodule_export]
    use crate::redis::RedisConnection;
    #[pymodule_export]
    use crate::simulate::{Trace, policy_names};
    #[pymodule_export]
    use crate::snapshot::restore;
    #[pymodule_export]
    use crate::stale::{stop_waiting, time_out};
    #[pymodule_export]
    use crate::stats::StatsAttribute;
    #[pymodule_export]
    use crate::tags::{invalidate, known};
    #[pymodule_export]
    use crate::tier_loader::{Port, TierLoader};
    #[pymodule_export]
    use crate::timer::Timer;

    use super::{Bound, PyAnyMethods, PyModule, PyModuleMethods, PyResult};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        crate::object::self_check(py)?;
        crate::cache::register(py)?;
        for kind in crate::function_type::init(py)?
            .into_iter()
            .chain([crate::ready::init(py)?, crate::wait_type::init(py)?])
        {
            module.add(kind.getattr("__name__")?.extract::<String>()?.as_str(), kind)?;
        }
        Ok(())
    }
}
