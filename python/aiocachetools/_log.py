"""Reports to Loguru: what happened, to which function and key, never the value.

Importing this module imports Loguru and switches the reports off, as Loguru asks of libraries, unless
the user has said already what becomes of them.  The native module does so when somebody else has
imported Loguru, which takes several times as long as all of aiocachetools.
"""

from typing import TYPE_CHECKING, Any

from loguru import logger

if TYPE_CHECKING:
    from loguru import Record


def _sign(record: "Record") -> None:
    record["name"] = record["module"] = "aiocachetools"
    record["function"] = record["extra"]["event"]


def _switch_off() -> None:
    """Disable the reports, unless the user has said what becomes of them; what was said of a part holds."""
    switches: Any = getattr(getattr(logger, "_core", None), "activation_list", ())
    ours = [(name, on) for name, on in switches if name and name.startswith("aiocachetools.")]
    if any(name == "aiocachetools." for name, _ in ours):
        return
    logger.disable("aiocachetools")
    # The deepest come first there, and each switch undoes those of its parts.
    for name, on in reversed(ours):
        (logger.enable if on else logger.disable)(name.removesuffix("."))


_switch_off()

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
