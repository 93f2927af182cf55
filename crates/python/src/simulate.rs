//! Traces for `aiocachetools.simulation`, replayed without the GIL.

use std::ops::Range;
use std::sync::OnceLock;

use aiocachetools_core::policy::{AnyPolicy, Fifo, Lfu, Lru, Random, S3Fifo, Sieve, TinyLfu};
use aiocachetools_core::simulate::{Optimum, Replay};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Accesses between two reports of progress.
const CHUNK: usize = 1 << 16;

/// Makes a policy for a cache of so many entries.
type Make = fn(usize) -> AnyPolicy;

/// The policies by the names that users give them.
const POLICIES: [(&str, Make); 7] = [
    ("fifo", |_| AnyPolicy::Fifo(Fifo::new())),
    ("rr", |_| AnyPolicy::Random(Random::new(0))),
    ("lfu", |_| AnyPolicy::Lfu(Lfu::new())),
    ("lru", |_| AnyPolicy::Lru(Lru::new())),
    ("sieve", |_| AnyPolicy::Sieve(Sieve::new())),
    ("s3fifo", |_| AnyPolicy::S3Fifo(S3Fifo::new())),
    ("tinylfu", |size| AnyPolicy::TinyLfu(TinyLfu::new(size))),
];

/// A sequence of key numbers.
#[pyclass(frozen, module = "aiocachetools._core")]
pub struct Trace {
    accesses: Vec<u32>,
    optimum: OnceLock<Optimum>,
}

#[pymethods]
impl Trace {
    #[new]
    fn new(accesses: Vec<u32>) -> PyResult<Self> {
        if u32::try_from(accesses.len()).is_err() {
            return Err(PyValueError::new_err(
                "a trace of more than 4,294,967,295 accesses cannot be replayed",
            ));
        }
        Ok(Trace { accesses, optimum: OnceLock::new() })
    }

    fn __len__(&self) -> usize {
        self.accesses.len()
    }

    /// The hits of a cache of this policy and size, in entries; `progress` is called now and then
    /// with how many accesses were replayed since.
    fn hits(
        &self,
        py: Python<'_>,
        policy: &str,
        size: usize,
        progress: &Bound<'_, PyAny>,
    ) -> PyResult<usize> {
        let Some(policy) = by_name(policy, size) else {
            return Err(PyValueError::new_err(format!("there is no policy {policy:?}")));
        };
        let mut replay = Replay::new(size, policy);
        self.in_chunks(py, progress, |chunk| replay.serve(&self.accesses[chunk]))?;
        Ok(replay.hits())
    }

    /// The hits of the policy that knows the future.
    fn optimal_hits(&self, py: Python<'_>, size: usize, progress: &Bound<'_, PyAny>) -> PyResult<usize> {
        let optimum = py.detach(|| self.optimum.get_or_init(|| Optimum::new(&self.accesses)));
        let mut replay = optimum.replay(size);
        self.in_chunks(py, progress, |chunk| replay.serve(chunk))?;
        Ok(replay.hits())
    }
}

impl Trace {
    fn in_chunks(
        &self,
        py: Python<'_>,
        progress: &Bound<'_, PyAny>,
        mut serve: impl FnMut(Range<usize>) + Send,
    ) -> PyResult<()> {
        for start in (0..self.accesses.len()).step_by(CHUNK) {
            let end = self.accesses.len().min(start + CHUNK);
            py.detach(|| serve(start..end));
            py.check_signals()?;
            progress.call1((end - start,))?;
        }
        Ok(())
    }
}

fn by_name(name: &str, size: usize) -> Option<AnyPolicy> {
    let (_, make) = POLICIES.iter().find(|(known, _)| *known == name)?;
    Some(make(size))
}

/// The names of the policies that a trace can be replayed with.
#[pyfunction]
pub fn policy_names() -> Vec<&'static str> {
    POLICIES.iter().map(|(name, _)| *name).collect()
}
