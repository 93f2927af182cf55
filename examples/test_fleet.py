"""The fleet's demo, in short."""

import asyncio
import io
from typing import Any

import pytest
import valkey
from rich.console import Console

from examples.fleet.__main__ import demo, summary
from examples.fleet.fleet import Fleet, Limits, Member

# A busy machine may stop a worker for seconds, whose lease is not to run out then.
LIMITS = Limits(lease=60, deadline=60, long_load=2)


async def kill_leader_and_end_leases(self: Fleet, key: str) -> Member:
    leader = await kill_leader(self, key)
    control: Any = valkey.Valkey(port=self.port)
    with control:
        assert control.delete(*control.scan_iter(match="demo:page:*!")) >= 1
    return leader


kill_leader = Fleet.kill_leader


def test_a_short_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fleet, "kill_leader", kill_leader_and_end_leases)
    text = io.StringIO()
    outcome = asyncio.run(demo(2, 0.3, Console(file=text, width=200), LIMITS))
    assert outcome.loads_of_cold_keys == [1, 1]
    assert outcome.loads_of_the_killed == 2
    assert outcome.errors == 0
    assert "2 of them were loaded once" in summary(outcome, LIMITS)
    assert "Valkey is stopped" in text.getvalue()
