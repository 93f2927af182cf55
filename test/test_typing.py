"""Rule A3: the typed module runs, and mypy and pyright agree with it where they are installed."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

API = Path(__file__).parent / "typing" / "api.py"


def test_A3_the_typed_module_runs():
    done = subprocess.run([sys.executable, "-W", "error", API], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_A3_checkers_see_exact_types(checker):
    if importlib.util.find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed")
    options = ["--strict", "--no-incremental"] if checker == "mypy" else []
    done = subprocess.run(
        [sys.executable, "-m", checker, *options, API], capture_output=True, text=True, cwd=API.parents[2]
    )
    assert done.returncode == 0, done.stdout + done.stderr
