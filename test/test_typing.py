"""Rule A3: the typed module runs, and mypy agrees with it (`make lint` asks pyright as well)."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

API = Path(__file__).parent / "typing" / "api.py"
ROOT = API.parents[2]


def python(*arguments):
    """Run Python in the repository; its exit status and all that it printed."""
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=110)
    return done.returncode, done.stdout + done.stderr


def test_A3_the_typed_module_runs():
    status, output = python("-W", "error", API)
    assert status == 0, output


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_A3_mypy_sees_exact_types():
    status, output = python("-m", "mypy", "--strict", "--no-incremental", API)
    assert status == 0, output
