//! Replays access traces through every policy, beside Belady's optimum.
//!
//! ```text
//! cargo run --release --example hit_ratio -- TRACE.gz SIZE... [TRACE.gz SIZE...]...
//! ```
//!
//! A trace has one key number per line, gzipped or not. The table gives hit ratios in percent,
//! and at last how much of the way from LRU to the optimum each policy goes, on average.

use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use aiocachetools_core::expiry::Expiry;
use aiocachetools_core::policy::{AnyPolicy, Fifo, Lfu, Lru, Policy, Random, S3Fifo, Sieve, TinyLfu};
use aiocachetools_core::store::Store;
use flate2::read::MultiGzDecoder;

const NAMES: [&str; 8] = ["FIFO", "Random", "LFU", "LRU", "SIEVE", "S3-FIFO", "TinyLFU", "OPT"];
const LRU: usize = 3;
const OPT: usize = 7;

fn main() -> Result<(), Box<dyn Error>> {
    let mut trace = Vec::new();
    let mut name = String::new();
    let mut closed: Vec<[f64; NAMES.len()]> = Vec::new();
    println!("| trace | size | {} |", NAMES.join(" | "));
    println!("|---|---|{}", "---|".repeat(NAMES.len()));
    for argument in std::env::args().skip(1) {
        let Ok(size) = argument.parse() else {
            trace = read(Path::new(&argument))?;
            name = Path::new(&argument).file_name().map_or(argument.clone(), |name| {
                name.to_string_lossy().trim_end_matches(".gz").trim_end_matches(".txt").to_owned()
            });
            continue;
        };
        let ratios = ratios(&trace, size);
        println!("| {name} | {size} | {} |", row(ratios));
        let distance = ratios[OPT] - ratios[LRU];
        closed.push(ratios.map(|ratio| 100.0 * (ratio - ratios[LRU]) / distance.max(f64::EPSILON)));
    }
    let mean = std::array::from_fn(|policy| {
        closed.iter().map(|row| row[policy]).sum::<f64>() / closed.len().max(1) as f64
    });
    println!("| LRU to OPT, % | | {} |", row(mean));
    Ok(())
}

fn row(numbers: [f64; NAMES.len()]) -> String {
    numbers.map(|number| format!("{number:.2}")).join(" | ")
}

/// The hit ratios of all policies in percent, in the order of their names.
fn ratios(trace: &[u64], size: usize) -> [f64; NAMES.len()] {
    let hits = [
        replay(trace, size, AnyPolicy::Fifo(Fifo::new())),
        replay(trace, size, AnyPolicy::Random(Random::new(1))),
        replay(trace, size, AnyPolicy::Lfu(Lfu::new())),
        replay(trace, size, AnyPolicy::Lru(Lru::new())),
        replay(trace, size, AnyPolicy::Sieve(Sieve::new())),
        replay(trace, size, AnyPolicy::S3Fifo(S3Fifo::new())),
        replay(trace, size, AnyPolicy::TinyLfu(TinyLfu::new(size))),
        belady(trace, size),
    ];
    hits.map(|hits| 100.0 * hits as f64 / trace.len().max(1) as f64)
}

fn replay(trace: &[u64], size: usize, policy: impl Policy) -> usize {
    let mut store = Store::new(size as f64, policy, Expiry::Never);
    let mut hits = 0;
    for &key in trace {
        let hash = key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        if let Some(slot) = store.find(hash, |&known| known == key) {
            store.hit(slot);
            hits += 1;
            continue;
        }
        store.miss(hash);
        while store.len() >= size {
            let Some(victim) = store.victim() else { break };
            store.evict(victim);
        }
        store.insert(hash, key, (), 1.0, f64::INFINITY);
    }
    hits
}

/// Hits of the policy that knows the future: it evicts what is used again last, or does not even
/// store a key that would be that.
fn belady(trace: &[u64], size: usize) -> usize {
    let mut hits = 0;
    let mut cached = BTreeSet::new();
    for (now, &next) in next_uses(trace).iter().enumerate() {
        hits += usize::from(cached.remove(&now));
        if next < trace.len() {
            cached.insert(next);
        }
        if cached.len() > size {
            cached.pop_last();
        }
    }
    hits
}

/// When the key of each access is used next, or a time past the end.
fn next_uses(trace: &[u64]) -> Vec<usize> {
    let mut upcoming = HashMap::new();
    let mut uses = vec![usize::MAX; trace.len()];
    for (now, key) in trace.iter().enumerate().rev() {
        uses[now] = upcoming.insert(key, now).unwrap_or(usize::MAX);
    }
    uses
}

fn read(path: &Path) -> Result<Vec<u64>, Box<dyn Error>> {
    let file = File::open(path)?;
    let reader: Box<dyn Read> = match path.extension() {
        Some(extension) if extension == "gz" => Box::new(MultiGzDecoder::new(file)),
        _ => Box::new(file),
    };
    let mut keys = Vec::new();
    for line in BufReader::new(reader).lines() {
        keys.push(line?.trim().parse()?);
    }
    Ok(keys)
}
