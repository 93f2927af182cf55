"""Where a demo's story is told: a live table on a terminal, plain lines anywhere else."""

from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from rich.console import Console, RenderableType
from rich.live import Live


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

    def __init__(self, table: Callable[[str], RenderableType], console: Console) -> None:
        self._table = table
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
        self._live.update(self._table(self._title), refresh=True)


class PlainView:
    """Lines: one for each chapter, and the sums at its end."""

    def __init__(self, sums: Callable[[], str], console: Console) -> None:
        self._sums = sums
        self._console = console

    def __enter__(self) -> "PlainView":
        return self

    def __exit__(self, *_exc: object) -> None:
        self._show()

    def chapter(self, title: str) -> None:
        self._show()
        self._console.print(title, highlight=False)

    def refresh(self) -> None:
        pass

    def _show(self) -> None:
        if sums := self._sums():
            self._console.print(f"  {sums}", highlight=False)


def view_of(table: Callable[[str], RenderableType], sums: Callable[[], str], console: Console) -> View:
    """The view that suits the console: `table` is given a title, `sums` are empty as long as there are none."""
    return LiveView(table, console) if console.is_terminal else PlainView(sums, console)
