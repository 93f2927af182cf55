"""`make demo`: the same burst of requests uncached, with cachetools-async and with aiocachetools."""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from . import database
from .contenders import CONTENDERS
from .serve import Measurement


def serve(contender: str, path: Path, on_progress: Callable[[int], object]) -> Measurement:
    """Lets one contender serve the burst in a process of its own."""
    command = [sys.executable, "-m", "examples.demo.serve", contender, str(path)]
    result: Measurement | None = None
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            facts = json.loads(line)
            if "result" in facts:
                result = Measurement(**facts["result"])
            else:
                on_progress(facts["done"])
    if process.returncode or result is None:
        raise SystemExit(f"demo: {contender} failed (exit status {process.returncode})")
    return result


def summary(results: dict[str, Measurement]) -> Table:
    table = Table(title="One burst, three ways")
    table.add_column("", no_wrap=True)
    for heading in ("queries run", "requests/s", "p50", "p99", "memory"):
        table.add_column(heading, justify="right")
    for contender, result in results.items():
        table.add_row(
            contender,
            f"{result.queries:,}",
            f"{result.requests / result.seconds:,.0f}",
            f"{result.p50 * 1000:,.0f} ms",
            f"{result.p99 * 1000:,.0f} ms",
            f"+{result.memory / 2**20:.0f} MiB",
        )
    return table


def progress_bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description:<18}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def move(progress: Progress, bar: TaskID, done: int) -> None:
    progress.update(bar, completed=done)


def demo(path: Path, requests: int, seed: int, console: Console) -> dict[str, Measurement]:
    with console.status("Writing the Unicode database into SQLite..."):
        known = database.build(path, requests=requests, seed=seed)
    distinct = len(set(database.requested(path)))
    console.print(
        f"A SQLite database of {known:,} characters. {requests:,} requests come at once, for {distinct:,} of "
        "them in a Zipf-like mix, and are served through one connection."
    )
    results: dict[str, Measurement] = {}
    with progress_bar(console) as progress:
        for contender in CONTENDERS:
            bar = progress.add_task(contender, total=requests)
            results[contender] = serve(contender, path, partial(move, progress, bar))
            move(progress, bar, requests)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000, help="how many come at once (10,000)")
    parser.add_argument("--seed", type=int, default=0, help="of the mix of keys")
    options = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        results = demo(Path(folder, "characters.db"), options.requests, options.seed, console)
    console.print(summary(results))
    console.print(
        "Times are from the burst's arrival to each answer; memory is how far the process's peak grew. "
        "Each way ran in a process of its own, just now."
    )


if __name__ == "__main__":
    main()
