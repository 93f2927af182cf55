"""Tests of the benchmark: its clockwork, its report, and scenarios on peers that are at hand."""

import asyncio
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from benchmarks import environments
from benchmarks.bench import measure, measure_all, parse
from benchmarks.chart import PANELS, label, shown
from benchmarks.peers import PEERS
from benchmarks.report import Cell, Results, legend, notes, number, table
from benchmarks.scenarios import SCENARIOS
from benchmarks.timing import Effort, never_seen, ratio, recurring, timed


async def bare(x: int) -> int:
    return x


async def threefold(x: int) -> int:
    return await bare(await bare(await bare(x)))


def test_timed_runs_the_statement_for_each_argument() -> None:
    seen: list[tuple[int, str]] = []
    loop = timed("seen.append((x, name))", seen=seen, name="a")
    assert asyncio.run(loop([1, 2, 3])) > 0  # it is a coroutine
    assert seen == [(1, "a"), (2, "a"), (3, "a")]


def test_recurring_keys_are_equal_and_not_identical() -> None:
    first, second = recurring(250), recurring(250)
    assert first == second
    assert len(set(first)) == 100
    assert not {id(key) for key in first} & {id(key) for key in second}


def test_never_seen_keys_differ() -> None:
    keys = never_seen()
    assert len({*keys(100), *keys(100)}) == 200


def test_ratio_to_itself_is_about_one() -> None:
    effort = Effort(calls=2000, repeats=15)
    same = asyncio.run(ratio(timed("await f(x)", f=bare), timed("await f(x)", f=bare), recurring, effort))
    more = asyncio.run(
        ratio(timed("await f(x)", f=threefold), timed("await f(x)", f=bare), recurring, effort)
    )
    assert 0.5 < same < 2 < more


def test_requirements_are_read_by_name() -> None:
    text = "# peers\nasync-lru==2.4.0\n\ncashews==7.6.0  # why\n"
    assert environments.requirements(text) == {"async-lru": "async-lru==2.4.0", "cashews": "cashews==7.6.0"}


def test_every_peer_comes_from_somewhere() -> None:
    known = environments.requirements(environments.REQUIREMENTS.read_text())
    assert {entry.package for entry in PEERS.values()} == {*known, "aiocachetools", "python"} - {
        "uvloop",
        "matplotlib",
    }


def test_a_peer_that_cannot_be_installed_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\necho 'no such thing' >&2\nexit 1\n")
    uv.chmod(0o755)
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    made = environments.prepare(str(uv), ["aiocachetools", "theine"])
    assert made.absent == {"theine": "no such thing"}
    assert made.interpreters == {"aiocachetools": sys.executable}


@pytest.mark.parametrize(
    ("value", "text"), [(0.5237, "0.52"), (7.9, "7.90"), (15.94, "15.9"), (1480.2, "1,480")]
)
def test_numbers_have_three_figures(value: float, text: str) -> None:
    assert number(value) == text


def test_a_cell_shows_the_median_its_remark_or_why_there_is_none() -> None:
    assert str(Cell([1.0, 9.0, 2.0], remark="10 loads")) == "2.00 (10 loads)"
    assert str(Cell()) == "-"
    assert str(Cell([1.0], failure="ValueError: no")) == "failed"


def test_report() -> None:
    results: Results = defaultdict(Cell)
    results["aiocachetools", "hit"].add({"value": 0.8, "remark": ""})
    results["theine", "hit"].add({"failed": "KeyError: 1"})
    results["theine", "miss"].add({"unsupported": True})
    lines = table(results, ["aiocachetools", "theine"], ["hit", "miss"]).splitlines()
    assert lines == [
        "|               |    hit | miss |",
        "| ------------- | -----: | ---: |",
        "| aiocachetools |   0.80 |    - |",
        "| theine        | failed |    - |",
    ]
    assert "- theine: failed in hit: KeyError: 1" in notes(results, ["theine"], {})
    assert "- cashews: absent" in notes(results, [], {"cashews": "no wheel"})


def test_the_chart_has_ours_on_top_and_the_others_by_speed() -> None:
    figures = [
        ("aiocachetools", 0.6),
        ("theine", 20.0),
        ("lru_cache", 0.5),
        ("cashews", None),
        ("moka-py", 8.0),
    ]
    assert shown(figures) == [("theine", 20.0), ("moka-py", 8.0), ("aiocachetools", 0.6)]
    assert [label(value) for value in (0.567, 2.04, 369.4)] == ["0.57", "2.0", "369"]
    assert set(PANELS) <= set(SCENARIOS)


def test_every_scenario_says_what_it_measures() -> None:
    assert "None" not in legend(list(SCENARIOS))


def test_options() -> None:
    assert parse(["--quick"]).rounds == 1
    assert parse([]).rounds == 3
    assert parse(["--peers", "theine,lru_cache"]).peers == ["theine", "lru_cache"]
    with pytest.raises(SystemExit):
        parse(["--scenarios", "nothing"])


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("peer", ["aiocachetools", "cachetools-async"])
def test_scenarios_give_figures(peer: str, scenario: str) -> None:
    effort = Effort(calls=200, seconds=0.001, repeats=2, waiters=200, entries=2000, many_entries=3000)
    figure = asyncio.run(SCENARIOS[scenario](PEERS[peer].adapter(), effort))
    assert figure.value > 0 or scenario == "bytes"
    assert figure.remark == ""


def test_rounds_are_measured_in_processes_of_their_own() -> None:
    options = parse(["--quick", "--rounds", "2", "--peers", "lru_cache", "--scenarios", "hit,miss"])
    results = measure_all(options, {"lru_cache": sys.executable})
    assert len(results["lru_cache", "hit"].values) == 2
    assert str(results["lru_cache", "miss"]) == "-"


def test_a_worker_that_dies_is_a_failure() -> None:
    answer = measure(sys.executable, "lru_cache", "hit", "asyncio")
    assert answer["failed"].startswith("exit status 1: TypeError")
