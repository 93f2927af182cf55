"""Compares the instructions per call with those that are stored: a guard that noise cannot fool.

Callgrind counts them (https://valgrind.org/docs/manual/cl-manual.html).  The counts differ between
versions and builds of Python; those of a bare await, which are none of ours, tell another build.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from .environments import ROOT, last_line
from .guarded import CALLS, CASES

STORED = Path(__file__).with_name("instructions.json")
VERSION = "{}.{}".format(*sys.version_info)
TOLERANCE = 0.03
CANARY = "bare"

Counts = dict[str, int]


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-guard", description=__doc__)
    parser.add_argument("--update", action="store_true", help="store the counts instead of comparing them")
    parser.add_argument("--cases", help="only these, separated by ';'")
    options = parser.parse_args(argv)
    options.cases = options.cases.split(";") if options.cases else list(CASES)
    if unknown := [name for name in options.cases if name not in CASES]:
        parser.error(f"no {'; '.join(unknown)}; there are: {'; '.join(CASES)}")
    return options


def count(cases: list[str]) -> Counts:
    """The instructions per call of each case."""
    valgrind = shutil.which("valgrind")
    if not valgrind:
        raise SystemExit("bench-guard: no valgrind on PATH (on Debian: apt install valgrind)")
    with TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        command = [
            *(valgrind, "--tool=callgrind", "--dump-before=getppid", f"--callgrind-out-file={out}"),
            *(sys.executable, "-m", "benchmarks.guarded", *cases),
        ]
        environment = os.environ | {"PYTHONHASHSEED": "0"}
        print("Counting instructions: half a minute...", file=sys.stderr)
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
        if done.returncode:
            raise SystemExit(f"bench-guard: {last_line(done.stderr)}")
        dumps = [total(out.with_name(f"out.{number}")) for number in range(1, 3 * len(cases) + 1)]
    # Of each case three dumps: what came before it, the short loop, the long loop.
    loops = zip(cases, dumps[1::3], dumps[2::3], strict=True)
    return {case: round((long - short) / CALLS) for case, short, long in loops}


def total(dump: Path) -> int:
    """The instructions of one of callgrind's dumps."""
    found = re.search(r"^(?:summary|totals): (\d+)", dump.read_text(), re.MULTILINE)
    if not found:
        raise SystemExit(f"bench-guard: {dump.name} of callgrind has no total")
    return int(found[1])


def verdict(stored: int | None, counted: int) -> str:
    if stored is None:
        return "new"
    change = counted - stored
    if abs(change) <= TOLERANCE * stored:
        return "as stored"
    return f"{'more' if change > 0 else 'less'} by {abs(change) / stored:.1%}"


def compare(stored: Counts, counted: Counts) -> bool:
    """Prints a line for each case; whether none takes more instructions than it may."""
    width = max(map(len, counted))
    for case, instructions in counted.items():
        print(f"{case:<{width}} {instructions:>7,}  {verdict(stored.get(case), instructions)}")
    return not any("more" in verdict(stored.get(case), number) for case, number in counted.items())


def main() -> None:
    options = parse()
    everything: dict[str, Counts] = json.loads(STORED.read_text())
    stored = everything.get(VERSION, {})
    counted = count(options.cases)
    good = compare(stored, counted)
    if options.update:
        everything[VERSION] = stored | counted
        STORED.write_text(json.dumps(dict(sorted(everything.items())), indent=2) + "\n")
        return
    if CANARY in counted and verdict(stored.get(CANARY), counted[CANARY]) != "as stored":
        raise SystemExit(
            f"bench-guard: there are no counts of this build of CPython {VERSION}: store those of code that "
            "is known to be good by `make bench-guard ARGS=--update`, and compare with them"
        )
    if not good:
        raise SystemExit(
            f"bench-guard: more instructions than are stored, by more than {TOLERANCE:.0%}; if they are worth it, "
            "store them by `make bench-guard ARGS=--update` and say in the commit's message what they buy"
        )


if __name__ == "__main__":
    main()
