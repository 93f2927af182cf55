"""Reads through the decorator, beside those of peers: calls a second, and ours as a multiple of theirs.

Each is measured in a process of its own, on values of 100 bytes that the server has and memory does
not.  Beside it are the microseconds that the client was at work for a call: where the machine is
busy, or the server the slower one of the two, they tell more than the calls a second.
"""

import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from benchmarks import environments

from .server import Server

CALLERS = (1, 100, 1000)
CALLS = {1: 4_000, 100: 20_000, 1000: 20_000}
# What a peer imports without saying so.
_BESIDE = {"valkey-glide": ["sniffio"]}
REQUIREMENTS = Path(__file__).with_name("requirements.txt")


class Times(NamedTuple):
    """What a call takes, and how much of that this process was at work."""

    seconds: float
    at_work: float


def run(server: Server, rounds: int) -> None:
    """Print the table."""
    pythons = _environments()
    print("calls/s, by how many times ours are faster, and microseconds of the client's at work for a call")
    print(" " * 16 + "".join(f"{f'{callers} callers':>31}" for callers in CALLERS))
    found: dict[str, list[Times]] = {peer: [] for peer in pythons}
    for callers in CALLERS:
        times: dict[str, list[Times]] = {peer: [] for peer in pythons}
        for _ in range(rounds):
            for peer, python in pythons.items():
                times[peer].append(_measure(python, peer, server.port, callers))
        for peer in pythons:
            found[peer].append(Times(*map(statistics.median, zip(*times[peer], strict=True))))
    for peer, medians in found.items():
        cells = (
            f"{1 / median.seconds:>11,.0f} {median.seconds / ours.seconds:>6.1f}x {median.at_work * 1e6:>8,.0f} us"
            for median, ours in zip(medians, found["aiocachetools"], strict=True)
        )
        print(f"{peer:<16}" + "".join(cells))


def _measure(python: str, peer: str, port: int, callers: int) -> Times:
    script = str(Path(__file__).with_name("peers.py"))
    done = subprocess.run(
        [python, script, peer, str(port), str(callers), str(CALLS[callers])],
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode:
        return Times(float("nan"), float("nan"))
    seconds, at_work, missed = done.stdout.split()
    if int(missed):
        print(f"{peer} with {callers} callers: {missed} calls did not get their value from the server")
    return Times(float(seconds), float(at_work))


def _environments() -> dict[str, str]:
    uv = os.environ.get("UV", "uv")
    pythons = {"aiocachetools": sys.executable}
    for name, wanted in environments.requirements(REQUIREMENTS.read_text()).items():
        peer = name.partition("[")[0]
        python, reason = environments.make(uv, f"redis-{peer}", [wanted, *_BESIDE.get(peer, ())])
        if reason:
            print(f"{peer} is absent: {reason}")
        else:
            pythons[peer] = python
    return pythons
