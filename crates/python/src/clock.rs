//! The monotonic clock, read without Python: what `time.monotonic` counts, in its unit.
//!
//! Only Linux has it; elsewhere a cache calls `time.monotonic` as it calls any other timer.

#![allow(unsafe_code)]

/// By how much the coarse reading is trusted to lag behind the precise one at most, in seconds.
///
/// A tick is 1 to 10 ms, but the kernel may be late: 11 ms were seen on a busy virtual machine
/// whose ticks are 4 ms.  Larger costs nothing but precise readings near a deadline.
const LAG: f64 = 0.25;

/// Whether the clock can be read here.
pub const NATIVE: bool = cfg!(target_os = "linux");

/// Reads a clock, in seconds and nanoseconds.
#[cfg(target_os = "linux")]
#[inline]
fn read(clock: libc::clockid_t) -> (i64, i64) {
    let mut time = std::mem::MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the call fills `time`; it cannot fail for a clock that every Linux has.
    let time = unsafe {
        libc::clock_gettime(clock, time.as_mut_ptr());
        time.assume_init()
    };
    (time.tv_sec as i64, time.tv_nsec as i64)
}

/// The time in seconds, rounded as `time.monotonic` rounds it.
#[inline]
pub fn precise() -> f64 {
    #[cfg(target_os = "linux")]
    {
        let (seconds, nanoseconds) = read(libc::CLOCK_MONOTONIC);
        (seconds * 1_000_000_000 + nanoseconds) as f64 / 1e9
    }
    #[cfg(not(target_os = "linux"))]
    0.0
}

/// The time at the last tick, nearly: at most [`LAG`] before [`precise`].
#[inline]
fn coarse() -> f64 {
    #[cfg(target_os = "linux")]
    {
        let (seconds, nanoseconds) = read(libc::CLOCK_MONOTONIC_COARSE);
        seconds as f64 + nanoseconds as f64 * 1e-9
    }
    #[cfg(not(target_os = "linux"))]
    0.0
}

/// Whether a deadline has passed; reads the precise clock only near to it, or after.
#[inline]
pub fn passed(deadline: f64) -> bool {
    deadline <= coarse() + LAG && deadline <= precise()
}
