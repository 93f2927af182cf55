"""The results as Markdown: a row for each peer, a column for each scenario."""

import inspect
import platform
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from .peers import PEERS
from .scenarios import SCENARIOS

DASH = "-"


@dataclass
class Cell:
    """What the runs of one peer in one scenario gave."""

    values: list[float] = field(default_factory=list)
    remark: str = ""
    failure: str = ""

    def add(self, answer: dict[str, Any]) -> None:
        if "value" in answer:
            self.values.append(answer["value"])
            self.remark = answer["remark"]
        elif "failed" in answer:
            self.failure = answer["failed"]

    @property
    def value(self) -> float | None:
        return median(self.values) if self.values and not self.failure else None

    def __str__(self) -> str:
        if self.failure:
            return "failed"
        if self.value is None:
            return DASH
        return number(self.value) + (f" ({self.remark})" if self.remark else "")


Results = dict[tuple[str, str], Cell]


def number(value: float) -> str:
    """Three significant figures at most."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def row(cells: Iterable[str], widths: list[int]) -> str:
    first, *others = cells
    padded = [
        first.ljust(widths[0]),
        *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)),
    ]
    return f"| {' | '.join(padded)} |"


def table(results: Results, peers: list[str], scenarios: list[str]) -> str:
    head = ["", *scenarios]
    body = [[peer, *(str(results[peer, scenario]) for scenario in scenarios)] for peer in peers]
    widths = [max(3, *map(len, column)) for column in zip(head, *body, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(row(cells, widths) for cells in [head, rule, *body])


def legend(scenarios: list[str]) -> str:
    """What each column is, in its scenario's own words."""
    return "\n".join(f"- **{name}**: {inspect.getdoc(SCENARIOS[name])}" for name in scenarios)


def notes(results: Results, peers: list[str], absent: dict[str, str]) -> str:
    """What a reader must know of single peers: how one was set up, why it is absent, where it failed."""
    lines = [f"- {peer}: {PEERS[peer].note}." for peer in peers if PEERS[peer].note]
    lines += [f"- {package}: absent, for it could not be installed: {why}" for package, why in absent.items()]
    failures: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (peer, scenario), cell in results.items():
        if cell.failure:
            failures[peer, cell.failure].append(scenario)
    lines += [f"- {peer}: failed in {', '.join(where)}: {why}" for (peer, why), where in failures.items()]
    return "\n".join(lines)


def title(loop: str, rounds: int) -> str:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    machine = f"{platform.system()} {platform.machine()}"
    return (
        f"{python}, {machine}, {loop}: medians of {rounds} round{'s'[: rounds - 1]}. Less is better: a ratio of "
        f"1 is as fast as what the column is measured against, and {DASH} is what a peer does not offer."
    )
