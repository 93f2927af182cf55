"""Tests of the demo: its database, its figures, and every contender on a small burst."""

import asyncio
import sqlite3
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from examples.demo import database
from examples.demo.__main__ import serve, summary
from examples.demo.contenders import CONTENDERS
from examples.demo.serve import Measurement, burst, peak_memory, percentile

REQUESTS = 300


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "characters.db"
    assert database.build(path, requests=REQUESTS) > 100_000
    return path


def test_the_database_holds_pythons_characters(path: Path) -> None:
    connection = sqlite3.connect(path)
    row = connection.execute("SELECT * FROM characters WHERE name = 'VULGAR FRACTION ONE HALF'").fetchone()
    connection.close()
    assert row == (0xBD, "VULGAR FRACTION ONE HALF", "No", "ON", 0, "A", 0, "<fraction> 0031 2044 0032", 0.5)


def test_the_requests_are_kept_in_order(path: Path) -> None:
    known = [character[0] for character in database.characters()]
    assert database.requested(path) == database.zipf(known, REQUESTS)


def test_zipf_follows_the_ranks() -> None:
    counts = Counter(database.zipf(list(range(1000)), 50_000, exponent=1.0, seed=3)).most_common()
    assert 1.8 < counts[0][1] / counts[1][1] < 2.2
    assert 8 < counts[0][1] / counts[9][1] < 12
    assert database.zipf([1, 2, 3], 5, seed=1) == database.zipf([1, 2, 3], 5, seed=1)


@pytest.mark.parametrize(("percent", "expected"), [(50, 50), (99, 99), (99.5, 100), (100, 100), (0, 1)])
def test_percentile(percent: float, expected: float) -> None:
    assert percentile([float(n) for n in range(100, 0, -1)], percent) == expected


def test_peak_memory_grows_with_use() -> None:
    before = peak_memory()
    block = bytearray(b"x") * (before + 2**24)
    assert peak_memory() - before >= 2**24
    del block


def test_burst_refuses_a_wrong_answer() -> None:
    async def wrong(db: object, codepoint: int) -> tuple[int]:
        return (codepoint + 1,)

    with pytest.raises(ExceptionGroup):
        asyncio.run(burst(wrong, None, [1], lambda done: None))  # type: ignore[arg-type]


@pytest.mark.parametrize("contender", CONTENDERS)
def test_every_contender_serves_the_burst(contender: str, path: Path) -> None:
    progress: list[int] = []
    result = serve(contender, path, progress.append)
    distinct = len(set(database.requested(path)))
    assert progress == [100, 200, 300]
    assert result.requests == REQUESTS
    assert result.queries == (REQUESTS if contender == "uncached" else distinct)
    assert 0 < result.p50 <= result.p99 <= result.seconds


def test_summary_shows_each_figure() -> None:
    result = Measurement(queries=3183, requests=10_000, seconds=0.5, p50=0.1, p99=0.25, memory=3 * 2**20)
    console = Console(record=True, width=100)
    console.print(summary({"somebody": result}))
    text = console.export_text()
    for figure in ("somebody", "3,183", "20,000", "100 ms", "250 ms", "+3 MiB"):
        assert figure in text
