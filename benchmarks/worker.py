"""Measures one peer in one scenario, in a process of its own.

Run as `python -m benchmarks.worker PEER SCENARIO LOOP quick|full` in the peer's environment; prints
one line of JSON: the figure, or why there is none.
"""

import asyncio
import json
import sys
from dataclasses import asdict
from typing import Any

from .peers import PEERS, UnsupportedError
from .scenarios import SCENARIOS
from .timing import QUICK, Effort, Figure


def loop_factory(name: str) -> Any:
    """What makes loops of this name; None is asyncio's own choice."""
    if name != "uvloop":
        return None
    import uvloop

    return uvloop.new_event_loop


def run(peer: str, scenario: str, loop: str, effort: Effort) -> Figure:
    measure = SCENARIOS[scenario](PEERS[peer].adapter(), effort)
    with asyncio.Runner(loop_factory=loop_factory(loop)) as runner:
        return runner.run(measure)


def main(peer: str, scenario: str, loop: str, effort: str) -> None:
    try:
        answer = asdict(run(peer, scenario, loop, QUICK if effort == "quick" else Effort()))
    except UnsupportedError:
        answer = {"unsupported": True}
    except Exception as error:
        answer = {"failed": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
