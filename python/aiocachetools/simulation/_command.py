"""``python -m aiocachetools simulate``."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from ._plot import PlotError, check_plot, curve_sizes, plot
from ._replay import OPTIMUM, POLICIES, Simulation, check_policies, simulate
from ._trace import Trace, TraceError, read_trace

_DEFAULT_SIZES = "1%,2%,5%,10%,20%,50%"
_UNITS = {"k": 1_000, "m": 1_000_000}


def add_simulate(commands: Any) -> None:
    """Add the command and its options to what `argparse.ArgumentParser.add_subparsers` returned."""
    parser = commands.add_parser(
        "simulate",
        help="replay a trace of accesses through every policy",
        description="Replay a trace of accesses through caches of each policy and size, and print their hit ratios "
        "in percent, beside those of the optimum (Belady), which knows the future.",
    )
    parser.add_argument(
        "trace", help="a file with one key a line, plain or compressed (gzip, bzip2, xz); - is stdin"
    )
    parser.add_argument(
        "--size",
        default=_DEFAULT_SIZES,
        metavar="N,...",
        help="sizes in entries (500, 10k, 2m) or as a share of the different keys (5%%); default: "
        + _DEFAULT_SIZES.replace("%", "%%"),
    )
    parser.add_argument("--policy", metavar="NAME,...", help=f"out of {', '.join(POLICIES)}; default: all")
    parser.add_argument(
        "--column", metavar="NAME|N", help="the trace is CSV, the keys are in this column (from 1)"
    )
    parser.add_argument("--delimiter", default=",", help="what stands between the columns; default: a comma")
    parser.add_argument("--limit", type=int, metavar="N", help="replay only the first N accesses")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw hit-ratio curves to a file (.png, .svg, .pdf)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the result as JSON, ratios between 0 and 1"
    )
    parser.set_defaults(run=_run, parser=parser)


def _run(options: argparse.Namespace) -> int:
    parser: argparse.ArgumentParser = options.parser
    policies = [name.strip() for name in (options.policy or ",".join(POLICIES)).split(",")]
    try:
        check_policies(policies)
        _sizes(options.size, 1)
        if options.limit is not None and options.limit < 1:
            raise ValueError("--limit must be at least 1")
        if len(options.delimiter) != 1:
            raise ValueError(f"--delimiter must be one character, not {options.delimiter!r}")
        if options.plot:
            check_plot(options.plot)
    except (ValueError, PlotError) as error:
        parser.error(str(error))
    try:
        _simulate(options, policies)
    except (TraceError, OSError) as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 1
    return 0


def _simulate(options: argparse.Namespace, policies: Sequence[str]) -> None:
    column = options.column
    if column is not None and column.isdecimal():
        column = int(column)
    progress = Progress(sys.stderr)
    progress.say("reading")
    try:
        trace = read_trace(options.trace, column=column, delimiter=options.delimiter, limit=options.limit)
        sizes = _sizes(options.size, trace.distinct)
        replayed = curve_sizes(sizes, trace.distinct) if options.plot else sizes
        simulation = simulate(trace, replayed, policies, progress=progress.advance)
    finally:
        progress.clear()
    if options.plot:
        name = "standard input" if options.trace == "-" else Path(options.trace).name
        title = f"{name}: {_extent(trace)}"
        plot(simulation, options.plot, title, sizes)
    _print(simulation, sizes, trace, as_json=options.json)


def _sizes(text: str, distinct: int) -> list[int]:
    return sorted({_size(part.strip(), distinct) for part in text.split(",")})


def _size(text: str, distinct: int) -> int:
    number, unit = text[:-1], text[-1:].lower()
    try:
        if unit == "%":
            return max(round(distinct * float(number) / 100), 1)
        size = round(float(number) * _UNITS[unit]) if unit in _UNITS else int(text)
    except ValueError:
        size = 0
    if size < 1:
        raise ValueError(f"--size: {text!r} is no size; sizes are such as 500, 10k, 2m, 5%")
    return size


def _extent(trace: Trace) -> str:
    return f"{len(trace):,} accesses to {trace.distinct:,} keys"


def _print(simulation: Simulation, sizes: list[int], trace: Trace, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(simulation)))
        return
    print(f"{_extent(trace)}; hit ratios in percent, * is the best without knowing the future\n")
    rows = [[f"{name} " for name in ("size", *simulation.hit_ratios)]]
    for size in sizes:
        at = simulation.sizes.index(size)
        best = simulation.hit_ratios[simulation.best(size)][at]
        cells = [f"{size:,} "]
        for name, ratios in simulation.hit_ratios.items():
            mark = "*" if name != OPTIMUM and ratios[at] == best else " "
            cells.append(f"{100 * ratios[at]:.2f}{mark}")
        rows.append(cells)
    width = max(len(cell) for cells in rows for cell in cells) + 1
    for cells in rows:
        print("".join(cell.rjust(width) for cell in cells).rstrip())


class Progress:
    """One line that says how far the work is; on a terminal only."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream if stream.isatty() else None
        self._shown = ""

    def say(self, text: str) -> None:
        """Show a text in place of the last one."""
        if self._stream is not None and text != self._shown:
            self._stream.write("\r" + text.ljust(len(self._shown)))
            self._stream.flush()
            self._shown = text

    def advance(self, done: int, total: int) -> None:
        """Show how much of the work is done."""
        filled = 40 * done // total
        self.say(f"replaying {'█' * filled}{'·' * (40 - filled)} {100 * done // total:3} %")

    def clear(self) -> None:
        """Leave no trace on the terminal."""
        self.say("")
        if self._stream is not None:
            self._stream.write("\r")
