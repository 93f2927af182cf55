"""The fleet's demo, in short."""

import asyncio
import io

from rich.console import Console

from examples.fleet.__main__ import demo, summary


def test_a_short_demo() -> None:
    text = io.StringIO()
    outcome = asyncio.run(demo(2, 0.3, Console(file=text, width=200)))
    assert outcome.loads_of_cold_keys == [1, 1]
    assert outcome.loads_of_the_killed == 2
    assert outcome.errors == 0
    assert "2 of them were loaded once" in summary(outcome)
    assert "Valkey is stopped" in text.getvalue()
