"""One load of a cold key, by four processes of 250 tasks each; and who takes over from one that is killed."""

import os
import signal
import statistics
import time
from typing import Any

from .process import Process
from .server import Server

PROCESSES = 4
TASKS = 250
LEASE = 0.6


def run(server: Server, trials: int) -> None:
    """Count the loads of cold keys."""
    with server.client() as control:
        workers = _start(server, PROCESSES)
        loads, right = [], []
        for trial in range(trials):
            for worker in workers:
                worker.ask(key=f"cold-{trial}", tasks=TASKS)
            right.append(sum(worker.answer()["right"] for worker in workers))
            loads.append(control.llen(f"loads-cold-{trial}"))
        for worker in workers:
            worker.kill()
    print(f"cold key, {PROCESSES} processes x {TASKS} tasks: 1 load in {loads.count(1)} of {trials} trials,")
    print(f"  {min(right)} of {PROCESSES * TASKS} right values at the least")


def run_kills(server: Server, trials: int) -> None:
    """Kill the process that loads, and time who takes over."""
    with server.client() as control:
        workers = _start(server, PROCESSES, load_seconds=0.2)
        loads, right, seconds = [], [], []
        for trial in range(trials):
            key = f"killed-{trial}"
            for worker in workers:
                worker.ask(key=key, tasks=TASKS)
            pid, _ = _next_load(control, key)
            os.kill(pid, signal.SIGKILL)
            killed_at = time.time()
            _, taken_over_at = _next_load(control, key)
            seconds.append(taken_over_at - killed_at)
            survivors = [worker for worker in workers if worker.pid != pid]
            right.append(sum(worker.answer()["right"] for worker in survivors))
            loads.append(2 + control.llen(f"loads-{key}"))
            for worker in workers:
                if worker.pid == pid:
                    worker.kill()
            workers = survivors + _start(server, 1, load_seconds=0.2)
        for worker in workers:
            worker.kill()
    in_time = sum(taken <= LEASE + 0.05 for taken in seconds)
    print(f"loading process killed: 1 takeover in {loads.count(2)} of {trials} trials,")
    print(f"  {min(right)} of {(PROCESSES - 1) * TASKS} right values at the least; within the lease of")
    print(
        f"  {LEASE * 1000:.0f} ms + 50 ms in {in_time} of {trials}; median {statistics.median(seconds) * 1000:.0f} ms,",
        end=" ",
    )
    print(f"slowest {max(seconds) * 1000:.0f} ms")


def _start(server: Server, count: int, load_seconds: float = 0.05) -> list[Process]:
    workers = [Process("worker", server.url, str(LEASE), str(load_seconds)) for _ in range(count)]
    for worker in workers:
        worker.answer()
    return workers


def _next_load(control: Any, key: str) -> tuple[int, float]:
    found = control.blpop(f"loads-{key}", timeout=30)
    assert found is not None, f"nobody loads {key}"
    pid, at = found[1].split()
    return int(pid), float(at)
