"""Reads through the decorator, beside those of peers: times, and ratios to ours."""

import os
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks import environments

from .server import Server

CALLERS = (1, 100, 1000)
CALLS = {1: 4_000, 100: 20_000, 1000: 20_000}
# What a peer imports without saying so.
_BESIDE = {"valkey-glide": ["sniffio"]}
REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def run(server: Server, rounds: int) -> None:
    """Print the table."""
    pythons = _environments()
    print(f"{'calls/s (times ours)':<22}" + "".join(f"{callers:>20}" for callers in CALLERS))
    found = {peer: [] for peer in pythons}  # type: dict[str, list[float]]
    for callers in CALLERS:
        seconds: dict[str, list[float]] = {peer: [] for peer in pythons}
        for _ in range(rounds):
            for peer, python in pythons.items():
                seconds[peer].append(_measure(python, peer, server.port, callers))
        for peer in pythons:
            found[peer].append(statistics.median(seconds[peer]))
    for peer, medians in found.items():
        cells = (
            f"{1 / median:>11,.0f} {median / ours:>7.2f}x"
            for median, ours in zip(medians, found["aiocachetools"], strict=True)
        )
        print(f"{peer:<22}" + "".join(cells))


def _measure(python: str, peer: str, port: int, callers: int) -> float:
    script = str(Path(__file__).with_name("peers.py"))
    done = subprocess.run(
        [python, script, peer, str(port), str(callers), str(CALLS[callers])],
        capture_output=True,
        text=True,
        timeout=600,
    )
    return float(done.stdout) if done.returncode == 0 else float("nan")


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
