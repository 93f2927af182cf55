"""The replay of a trace through policies, natively, and what it comes to."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass

from .._core import Trace as NativeTrace
from .._core import policy_names
from ._trace import Trace

OPTIMUM = "optimum"
"""The name of Belady's policy, which knows the future: no other can hit more often."""

POLICIES = tuple(policy_names())
"""The names of the policies that a trace can be replayed with."""


@dataclass(frozen=True)
class Simulation:
    """How often each policy hits, at each size."""

    accesses: int
    """How many accesses were replayed."""

    distinct: int
    """How many different keys they were to."""

    sizes: tuple[int, ...]
    """The sizes in entries, ascending."""

    hit_ratios: Mapping[str, tuple[float, ...]]
    """By the policy's name, a ratio between 0 and 1 for each size; `OPTIMUM` is the last."""

    def best(self, size: int) -> str:
        """The policy with the most hits at a size, the optimum apart."""
        at = self.sizes.index(size)
        return max(
            (name for name in self.hit_ratios if name != OPTIMUM), key=lambda name: self.hit_ratios[name][at]
        )


def simulate(
    trace: Trace | Iterable[Hashable],
    sizes: Iterable[int],
    policies: Iterable[str] | None = None,
    *,
    progress: Callable[[int, int], object] | None = None,
) -> Simulation:
    """Replay a trace through caches that hold so many entries, each of weight one and without a ttl.

    The optimum is L. A. Belady's ("A study of replacement algorithms for a virtual-storage computer", IBM
    Systems Journal 5 (2), 1966), which may also leave a key unstored.

    Args:
        trace: A trace, or the keys themselves.
        sizes: Sizes in entries.
        policies: Names out of `POLICIES`; all of them by default.
        progress: Called now and then with how many accesses were replayed, and how many there will be.

    Raises:
        ValueError: For a size below 1, or a policy that there is not.
    """
    trace = trace if isinstance(trace, Trace) else Trace(trace)
    ordered = sorted(set(sizes))
    chosen = POLICIES if policies is None else tuple(dict.fromkeys(policies))
    check_policies(chosen)
    if not ordered or ordered[0] < 1:
        raise ValueError("simulate(): sizes must be numbers of entries, from 1")
    total = len(trace) * len(ordered) * (len(chosen) + 1)
    done = 0

    def report(served: int) -> None:
        nonlocal done
        done += served
        if progress is not None:
            progress(done, total)

    native = NativeTrace(trace.accesses)
    accesses = max(len(trace), 1)
    ratios = {
        policy: tuple(native.hits(policy, size, report) / accesses for size in ordered) for policy in chosen
    }
    ratios[OPTIMUM] = tuple(native.optimal_hits(size, report) / accesses for size in ordered)
    return Simulation(len(trace), trace.distinct, tuple(ordered), ratios)


def check_policies(policies: Iterable[str]) -> None:
    """Refuse a name that is no policy's.

    Raises:
        ValueError: With the names that there are.
    """
    unknown = [repr(policy) for policy in policies if policy not in POLICIES]
    if unknown:
        raise ValueError(f"there is no policy {', '.join(unknown)}; there are {', '.join(POLICIES)}")
