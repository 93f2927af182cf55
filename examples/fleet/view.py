"""What is shown: a live table on a terminal, plain lines anywhere else."""

from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table

from .fleet import Fleet

COLUMNS = {
    "requests": "requests",
    "memory": "from memory",
    "joined": "joined a load",
    "shared": "from Valkey",
    "waits": "waited for others",
    "loads": "loads",
    "unshared": "without Valkey",
    "errors": "errors",
}


def table(fleet: Fleet, title: str) -> Table:
    """The counts of every worker, and their sums."""
    shown = Table(title=title, title_justify="left", min_width=100)
    shown.add_column("", no_wrap=True)
    for heading in COLUMNS.values():
        shown.add_column(heading, justify="right")
    for member in fleet.members:
        name = member.name if member.alive else f"[strike]{member.name}[/]"
        shown.add_row(
            name, *(f"{member.counts[name]:,}" for name in COLUMNS), style="" if member.alive else "dim"
        )
    shown.add_section()
    shown.add_row("all", *(f"{fleet.total[name]:,}" for name in COLUMNS), style="bold")
    return shown


class View(Protocol):
    """Where the story is told."""

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def chapter(self, title: str) -> None:
        """What happens from now on."""
        ...

    def refresh(self) -> None:
        """Show the present counts."""
        ...


class LiveView:
    """A table that is drawn over and over."""

    def __init__(self, fleet: Fleet, console: Console) -> None:
        self._fleet = fleet
        self._console = console
        self._title = ""
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> "LiveView":
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def chapter(self, title: str) -> None:
        self._title = title
        self._console.print(title)
        self.refresh()

    def refresh(self) -> None:
        self._live.update(table(self._fleet, self._title), refresh=True)


class PlainView:
    """Lines: one for each chapter, and the sums at its end."""

    def __init__(self, fleet: Fleet, console: Console) -> None:
        self._fleet = fleet
        self._console = console

    def __enter__(self) -> "PlainView":
        return self

    def __exit__(self, *_exc: object) -> None:
        self._sums()

    def chapter(self, title: str) -> None:
        if self._fleet.total:
            self._sums()
        self._console.print(title, highlight=False)

    def refresh(self) -> None:
        pass

    def _sums(self) -> None:
        sums = ", ".join(f"{self._fleet.total[name]:,} {heading}" for name, heading in COLUMNS.items())
        self._console.print(f"  {sums}", highlight=False)


def view_of(fleet: Fleet, console: Console) -> View:
    """The view that suits the console."""
    return LiveView(fleet, console) if console.is_terminal else PlainView(fleet, console)
