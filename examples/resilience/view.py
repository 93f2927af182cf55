"""What is shown: the figures of the phase under way, and at last those of all."""

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table

from .load import Figures

PERCENTILES = {"p50 ms": 50, "p95 ms": 95, "p99 ms": 99, "max ms": 100}


def table_of(title: str) -> Table:
    shown = Table(title=title, title_justify="left")
    shown.add_column("upstream", no_wrap=True)
    shown.add_column("cache", no_wrap=True)
    for heading in ("requests", "errors", *PERCENTILES):
        shown.add_column(heading, justify="right", no_wrap=True)
    return shown


def add_phase(shown: Table, phase: str, figures: Mapping[str, Figures]) -> None:
    for service, of_service in figures.items():
        shown.add_row(
            phase,
            service,
            f"{of_service.requests:,}",
            f"{of_service.error_rate:.0%}",
            *(of_service.milliseconds(percent) for percent in PERCENTILES.values()),
            style="red" if of_service.errors else "",
        )
        phase = ""
    shown.add_section()


class Shown:
    """What a view of this demo shows now."""

    def __init__(self) -> None:
        self._phase = ""
        self._total = 0
        self._figures: Mapping[str, Figures] = {}

    def begin(self, phase: str, total: int, figures: Mapping[str, Figures]) -> None:
        """The figures, which grow, are those of a phase of so many requests to each service."""
        self._phase, self._total, self._figures = phase, total, figures

    def table(self, title: str) -> RenderableType:
        shown = table_of(title)
        add_phase(shown, self._phase, self._figures)
        done = sum(figures.requests for figures in self._figures.values())
        return Group(shown, ProgressBar(self._total * max(1, len(self._figures)), done, width=79))

    def sums(self) -> str:
        return "\n  ".join(
            f"{service} a cache: {of_service.requests:,} requests, {of_service.errors:,} errors, "
            f"p99 {of_service.milliseconds(99)} ms"
            for service, of_service in self._figures.items()
        )
