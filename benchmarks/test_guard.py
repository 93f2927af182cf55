"""The guard's own parts; what it counts needs valgrind and a build for release."""

import asyncio
from pathlib import Path

import pytest

from benchmarks.guard import compare, count, parse, total, verdict
from benchmarks.guarded import CASES


def test_options() -> None:
    assert parse([]).cases == list(CASES)
    assert parse(["--cases", "hit;hit, TTL"]).cases == ["hit", "hit, TTL"]
    with pytest.raises(SystemExit):
        parse(["--cases", "nothing"])


def test_three_percent_are_tolerated() -> None:
    assert verdict(None, 1) == "new"
    assert verdict(1000, 1030) == verdict(1000, 970) == "as stored"
    assert verdict(1000, 1031) == "more by 3.1%"
    assert verdict(1000, 900) == "less by 10.0%"


def test_more_is_not_good(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare({"a": 100}, {"a": 90, "b": 1})
    assert not compare({"a": 100}, {"a": 110, "b": 1})
    assert capsys.readouterr().out.splitlines()[-2:] == ["a     110  more by 10.0%", "b       1  new"]


def test_the_total_of_a_dump(tmp_path: Path) -> None:
    dump = tmp_path / "out.1"
    dump.write_text("events: Ir\nfn=(1) f\n1 2\n\ntotals: 1234\n")
    assert total(dump) == 1234
    dump.write_text("events: Ir\n")
    with pytest.raises(SystemExit):
        total(dump)


def test_without_valgrind_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="no valgrind on PATH"):
        count(["hit"])


@pytest.mark.parametrize("case", CASES)
def test_cases_run(case: str) -> None:
    loop, arguments = CASES[case]()
    asyncio.run(loop(arguments(20)))
