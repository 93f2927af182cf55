"""``python -m aiocachetools``: tools for those who use the caches."""

import argparse
import sys
from collections.abc import Sequence

from .simulation._command import add_simulate


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m aiocachetools", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_simulate(commands)
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        return 130  # as a shell reports a program that SIGINT has ended


if __name__ == "__main__":
    sys.exit(main())
