"""Reports to Loguru: what happened, to which function and key, never the value."""

from typing import TYPE_CHECKING

from loguru import logger

if TYPE_CHECKING:
    from loguru import Record


def _sign(record: "Record") -> None:
    record["name"] = record["module"] = "aiocachetools"
    record["function"] = record["extra"]["event"]


_logger = logger.patch(_sign).opt(lazy=True)


def report(event: str, function: str, key: str) -> bool:
    """Report an event at DEBUG; whether anybody listens.

    The arguments are lazy, so they are evaluated exactly when a handler takes the record.
    """
    heard = False

    def call() -> str:
        nonlocal heard
        heard = True
        return f"{function}({key})"

    _logger.debug("{event} {call}", event=lambda: event, call=call)
    return heard
