"""Compares aiocachetools with its peers: every figure from a process of its own, in interleaved rounds."""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import Any

from .chart import PANELS
from .environments import ROOT, Environments, last_line, prepare
from .peers import PEERS
from .report import Cell, Results, legend, notes, table, title
from .scenarios import SCENARIOS

TIMEOUT = 300
CHART = "matplotlib"


class Progress:
    """A bar on standard error, redrawn in place on a terminal."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0

    def show(self, doing: str) -> None:
        filled = 30 * self.done // self.total
        bar = "#" * filled + "." * (30 - filled)
        line = f"[{bar}] {self.done}/{self.total} {doing}"
        if sys.stderr.isatty():
            print(f"\r{line:<79.79}", end="", file=sys.stderr, flush=True)
        elif self.done % max(1, self.total // 10) == 0:
            print(line, file=sys.stderr, flush=True)

    def step(self, doing: str) -> None:
        self.show(doing)
        self.done += 1

    def end(self) -> None:
        self.show("done")
        print(file=sys.stderr)


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round, for a first look")
    parser.add_argument("--rounds", type=int, help="how often each is measured (3; 1 with --quick)")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    parser.add_argument("--peers", help="only these, separated by commas")
    parser.add_argument("--scenarios", help="only these columns, separated by commas")
    parser.add_argument("--output", type=Path, help="write the report into this file as well")
    parser.add_argument("--chart", type=Path, help="draw the most telling columns into this SVG file")
    options = parser.parse_args(argv)
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.peers = chosen(parser, options.peers, list(PEERS))
    options.scenarios = chosen(parser, options.scenarios, list(SCENARIOS))
    return options


def chosen(parser: argparse.ArgumentParser, names: str | None, known: list[str]) -> list[str]:
    wanted = names.split(",") if names else known
    if unknown := [name for name in wanted if name not in known]:
        parser.error(f"no {', '.join(unknown)}; there are: {', '.join(known)}")
    return wanted


def measure(interpreter: str, *arguments: str) -> dict[str, Any]:
    """The answer of a worker."""
    command = [interpreter, "-m", "benchmarks.worker", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {TIMEOUT} seconds"}
    if done.returncode:
        return {"failed": f"exit status {done.returncode}: {last_line(done.stderr)}"}
    answer: dict[str, Any] = json.loads(last_line(done.stdout))
    return answer


def measure_all(options: argparse.Namespace, interpreters: dict[str, str]) -> Results:
    """Every peer in every scenario, round by round, in an order that differs between the rounds."""
    results: Results = defaultdict(Cell)
    runs = list(product(interpreters, options.scenarios))
    progress = Progress(options.rounds * len(runs))
    order = random.Random(0)
    for round_ in range(1, options.rounds + 1):
        for peer, scenario in order.sample(runs, len(runs)):
            progress.step(f"round {round_}: {peer}, {scenario}")
            effort = "quick" if options.quick else "full"
            results[peer, scenario].add(measure(interpreters[peer], peer, scenario, options.loop, effort))
    progress.end()
    return results


def uv() -> str:
    found = os.environ.get("UV") or shutil.which("uv")
    if not found:
        raise SystemExit("bench: no uv on PATH; `make bench` brings its own")
    return found


def environments(peers: list[str]) -> Environments:
    packages = {PEERS[peer].package for peer in peers}
    print(f"Preparing environments for {len(packages)} packages...", file=sys.stderr)
    return prepare(uv(), sorted(packages))


def draw(results: Results, peers: list[str], output: Path) -> None:
    """The chart, by a process in an environment that has matplotlib."""
    made = prepare(uv(), [CHART])
    if CHART in made.absent:
        raise SystemExit(f"bench: no chart, for {CHART} could not be installed: {made.absent[CHART]}")
    panels = {column: [[peer, results[peer, column].value] for peer in peers] for column in PANELS}
    command = [made.interpreters[CHART], "-m", "benchmarks.chart", str(output)]
    subprocess.run(command, input=json.dumps(panels), text=True, cwd=ROOT, check=True)


def main() -> None:
    options = parse()
    made = environments(options.peers)
    package = {peer: PEERS[peer].package for peer in options.peers}
    interpreters = {p: made.interpreters[package[p]] for p in options.peers if package[p] not in made.absent}
    results = measure_all(options, interpreters)
    report = "\n\n".join(
        [
            title(options.loop, options.rounds),
            table(results, list(interpreters), options.scenarios),
            legend(options.scenarios),
            notes(results, list(interpreters), made.absent),
        ]
    )
    print(report)
    if options.output:
        options.output.write_text(report + "\n")
    if options.chart:
        draw(results, list(interpreters), options.chart.absolute())


if __name__ == "__main__":
    main()
