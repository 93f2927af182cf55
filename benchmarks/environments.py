"""One environment for each peer, made by uv from requirements.txt."""

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
EVERYWHERE = "uvloop"


@dataclass
class Environments:
    """The interpreter to run each package with, and why there is none for the others."""

    interpreters: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)


def requirements(text: str) -> dict[str, str]:
    """The requirements by the name of their distribution."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return {line.partition("==")[0]: line for line in lines if line}


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1].strip()


def make(uv: str, package: str, wanted: list[str]) -> tuple[str, str]:
    """The interpreter of an environment with what is wanted, and the reason if that failed."""
    version = "bench-{}.{}".format(*sys.version_info)
    folder = ROOT / ".venvs" / version / package
    interpreter = str(folder / "bin" / "python")
    steps = [
        [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(folder)],
        [uv, "pip", "install", "--quiet", "--python", interpreter, *wanted],
    ]
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            return interpreter, last_line(done.stderr)
    return interpreter, ""


def prepare(uv: str, packages: Iterable[str]) -> Environments:
    """Makes what is missing; aiocachetools and the standard library run in this very environment."""
    known = requirements(REQUIREMENTS.read_text())
    environments = Environments()
    for package in packages:
        if package not in known:
            environments.interpreters[package] = sys.executable
            continue
        interpreter, reason = make(uv, package, [known[package], known[EVERYWHERE]])
        if reason:
            environments.absent[package] = reason
        else:
            environments.interpreters[package] = interpreter
    return environments
