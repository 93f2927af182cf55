"""The replay of traces: what is read, what is counted, and what the command prints."""

import bz2
import gzip
import json
import lzma
import random
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import aiocachetools
from aiocachetools.__main__ import main
from aiocachetools.simulation import OPTIMUM, POLICIES, Trace, TraceError, read_trace, simulate

CLASSES = {
    "fifo": aiocachetools.FIFOCache,
    "lfu": aiocachetools.LFUCache,
    "lru": aiocachetools.LRUCache,
    "tinylfu": aiocachetools.TinyLFUCache,
}


def zipf(accesses, keys, seed=1):
    source = random.Random(seed)
    return source.choices(range(keys), [1 / (rank + 1) for rank in range(keys)], k=accesses)


@pytest.fixture
def trace_file(tmp_path):
    path = tmp_path / "trace.txt"
    path.write_text("".join(f"{key}\n" for key in zipf(5000, 300)))
    return path


def served_by(cache, keys):
    """The hits of a cache that is asked, and stores what it has not."""
    hits = 0
    for key in keys:
        if cache.get(key) is None:
            cache[key] = True
        else:
            hits += 1
    return hits


@pytest.mark.parametrize("policy", ["fifo", "lfu", "lru"])
@given(keys=st.lists(st.integers(0, 20), max_size=300), size=st.integers(1, 10))
def test_N2_a_replay_hits_as_often_as_the_class_does(policy, keys, size):
    simulation = simulate(keys, [size], [policy])
    assert simulation.hit_ratios[policy] == (served_by(CLASSES[policy](size), keys) / max(len(keys), 1),)


def test_N2_the_adaptive_policy_is_replayed_as_the_class_works():
    """Not to the last hit: its sketch goes by hashes, which number keys here."""
    keys = zipf(20_000, 2000)
    (ratio,) = simulate(keys, [100], ["tinylfu"]).hit_ratios["tinylfu"]
    assert ratio == pytest.approx(served_by(aiocachetools.TinyLFUCache(100), keys) / len(keys), abs=0.01)


@given(keys=st.lists(st.integers(0, 20), max_size=300), size=st.integers(1, 10))
def test_N2_no_policy_passes_the_optimum(keys, size):
    ratios = simulate(keys, [size]).hit_ratios
    assert list(ratios) == [*POLICIES, OPTIMUM]
    assert max(ratios.values()) == ratios[OPTIMUM]


def test_N2_a_simulation_tells_its_sizes_in_order_and_the_best_policy():
    simulation = simulate("abcabcabcd", [3, 1, 3], ["lru", "fifo"])
    assert (simulation.accesses, simulation.distinct, simulation.sizes) == (10, 4, (1, 3))
    assert simulation.hit_ratios == {"lru": (0, 0.6), "fifo": (0, 0.6), OPTIMUM: (0.2, 0.6)}
    assert simulation.best(3) == "lru"


def test_N2_progress_ends_with_everything_done():
    reports = []
    simulate(range(200_000), [1, 2], ["lru"], progress=lambda done, total: reports.append((done, total)))
    assert reports[-1] == (800_000, 800_000)
    assert reports == sorted(reports)
    assert len(reports) > 4


def test_N2_an_error_of_the_progress_callback_ends_the_replay():
    def refuse(done, total):
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        simulate("abc", [1], progress=refuse)


@pytest.mark.parametrize("sizes", [[], [0], [5, -1]])
def test_N2_sizes_below_one_are_refused(sizes):
    with pytest.raises(ValueError, match="sizes must be numbers of entries"):
        simulate("abc", sizes)


def test_N2_an_unknown_policy_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"no policy 'arc'; there are fifo, .*tinylfu"):
        simulate("abc", [1], ["arc"])


def test_N2_equal_keys_are_one_key():
    trace = Trace([1, 1.0, True, "1"])
    assert (list(trace.accesses), trace.distinct) == ([0, 0, 0, 1], 2)


# Reading


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_N2_compression_is_seen_by_the_first_bytes(tmp_path, compress):
    path = tmp_path / "trace"
    path.write_bytes(compress(b"a\nb c\r\n\n  a  \n"))
    trace = read_trace(path)
    assert (list(trace.accesses), trace.distinct) == ([0, 1, 0], 2)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"column": "key"}, [0, 1, 0]),
        ({"column": 1}, [0, 1, 1, 2]),
        ({"column": "key", "limit": 2}, [0, 1]),
    ],
)
def test_N2_a_column_of_csv_by_its_name_or_number(tmp_path, options, expected):
    path = tmp_path / "trace.csv"
    path.write_text('when,key\n1,"a, b"\n1,c\n2,"a, b"\n')
    assert list(read_trace(path, **options).accesses) == expected


def test_N2_a_column_may_be_delimited_otherwise(tmp_path):
    path = tmp_path / "trace.tsv"
    path.write_text("key\twhen\na\t1\n\nb\t2\n")
    assert read_trace(path, column="key", delimiter="\t").distinct == 2


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"", {}, "has no accesses"),
        (b"\n \n", {}, "has no accesses"),
        (b"a,b\n", {"column": "a"}, "has no accesses"),
        (b"a,b\n1,2\n", {"column": "key"}, "no column 'key'; the first line has a, b"),
        (b"", {"column": "key"}, "no column 'key'; the first line has none"),
        (b"a,b\n1\n", {"column": 2}, "line 2 has 1 columns, and none of number 2"),
        (b"a\n", {"column": 0}, "none of number 0"),
        (b"\xff\xfe\n", {}, "is no text in UTF-8"),
        (gzip.compress(b"abc" * 100)[:20], {}, "is damaged"),
    ],
)
def test_N2_what_cannot_be_read_is_told(tmp_path, content, options, message):
    path = tmp_path / "trace"
    path.write_bytes(content)
    with pytest.raises(TraceError, match=message):
        read_trace(path, **options)


# The command


def test_N2_the_command_prints_a_table(trace_file, capsys):
    assert main(["simulate", str(trace_file), "--size", "10,1k,10%", "--policy", "lru, tinylfu"]) == 0
    output, errors = capsys.readouterr()
    lines = [line.split() for line in output.splitlines()]
    assert lines[0][:5] == ["5,000", "accesses", "to", f"{read_trace(trace_file).distinct}", "keys;"]
    assert lines[2] == ["size", "lru", "tinylfu", "optimum"]
    assert [line[0] for line in lines[3:]] == ["10", "30", "1,000"]
    assert all("*" in "".join(line[1:3]) and "*" not in line[3] for line in lines[3:])
    assert errors == ""


def test_N2_the_command_prints_json(trace_file, capsys):
    assert main(["simulate", str(trace_file), "--size", "10", "--json", "--limit", "100"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["accesses"] == 100
    assert printed["sizes"] == [10]
    assert list(printed["hit_ratios"]) == [*POLICIES, OPTIMUM]


def test_N2_the_command_reads_standard_input():
    command = [sys.executable, "-m", "aiocachetools", "simulate", "-", "--size", "2", "--json"]
    finished = subprocess.run(command, input=gzip.compress(b"a\nb\na\n"), capture_output=True, check=True)
    assert json.loads(finished.stdout)["hit_ratios"]["lru"] == [pytest.approx(1 / 3)]
    assert finished.stderr == b""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "0"], "'0' is no size; sizes are such as 500, 10k, 2m, 5%"),
        (["--size", "10,k"], "'k' is no size"),
        (["--size", "ten"], "'ten' is no size"),
        (["--policy", "arc"], "no policy 'arc'; there are fifo"),
        (["--limit", "0"], "--limit must be at least 1"),
        (["--delimiter", "::"], "--delimiter must be one character"),
    ],
)
def test_N2_the_command_refuses_bad_options(trace_file, capsys, options, message):
    with pytest.raises(SystemExit) as exited:
        main(["simulate", str(trace_file), *options])
    assert exited.value.code == 2
    assert message in capsys.readouterr().err


def test_N2_the_command_tells_what_cannot_be_read(tmp_path, capsys):
    missing = tmp_path / "missing"
    assert main(["simulate", str(missing)]) == 1
    assert str(missing) in capsys.readouterr().err


def test_N2_a_plot_without_matplotlib_names_the_extra(trace_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(SystemExit):
        main(["simulate", str(trace_file), "--plot", str(tmp_path / "plot.png")])
    assert "pip install 'aiocachetools[plot]'" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "start"), [("plot.png", b"\x89PNG"), ("plot.svg", b"<?xml")])
def test_N2_a_plot_is_drawn(trace_file, tmp_path, capsys, name, start):
    path = tmp_path / name
    assert main(["simulate", str(trace_file), "--size", "10,100", "--plot", str(path)]) == 0
    assert path.read_bytes().startswith(start)
    assert len(capsys.readouterr().out.splitlines()) == 5


@pytest.mark.parametrize(
    ("name", "message"), [("plot.docx", "must end in one of"), ("no/plot.png", "no such directory")]
)
def test_N2_a_plot_that_cannot_be_written_is_refused_first(trace_file, tmp_path, capsys, name, message):
    with pytest.raises(SystemExit):
        main(["simulate", str(trace_file), "--plot", str(tmp_path / name)])
    assert message in capsys.readouterr().err


def test_N2_progress_is_shown_on_a_terminal_only(trace_file, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["simulate", str(trace_file), "--size", "10"]) == 0
    shown = capsys.readouterr().err
    assert "100 %" in shown
    assert shown.endswith("\r")


def test_N2_an_interrupt_ends_the_command_as_a_shell_expects(trace_file, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("aiocachetools.simulation._command.simulate", interrupt)
    assert main(["simulate", str(trace_file)]) == 130
