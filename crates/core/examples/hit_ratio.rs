//! Replays access traces through every policy, beside Belady's optimum.
//!
//! ```text
//! cargo run --release --example hit_ratio -- TRACE.gz SIZE... [TRACE.gz SIZE...]...
//! ```
//!
//! A trace has one key number per line, gzipped or not. The table gives hit ratios in percent,
//! and at last how much of the way from LRU to the optimum each policy goes, on average.

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use aiocachetools_core::policy::{AnyPolicy, Fifo, Lfu, Lru, Policy, Random, S3Fifo, Sieve, TinyLfu};
use aiocachetools_core::simulate::{Optimum, Replay};
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
fn ratios(trace: &[u32], size: usize) -> [f64; NAMES.len()] {
    let hits = [
        replay(trace, size, AnyPolicy::Fifo(Fifo::new())),
        replay(trace, size, AnyPolicy::Random(Random::new(1))),
        replay(trace, size, AnyPolicy::Lfu(Lfu::new())),
        replay(trace, size, AnyPolicy::Lru(Lru::new())),
        replay(trace, size, AnyPolicy::Sieve(Sieve::new())),
        replay(trace, size, AnyPolicy::S3Fifo(S3Fifo::new())),
        replay(trace, size, AnyPolicy::TinyLfu(TinyLfu::new(size))),
        optimum(trace, size),
    ];
    hits.map(|hits| 100.0 * hits as f64 / trace.len().max(1) as f64)
}

fn replay(trace: &[u32], size: usize, policy: impl Policy) -> usize {
    let mut replay = Replay::new(size, policy);
    replay.serve(trace);
    replay.hits()
}

fn optimum(trace: &[u32], size: usize) -> usize {
    let optimum = Optimum::new(trace);
    let mut replay = optimum.replay(size);
    replay.serve(0..trace.len());
    replay.hits()
}

fn read(path: &Path) -> Result<Vec<u32>, Box<dyn Error>> {
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
