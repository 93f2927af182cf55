"""One load of a key in the whole fleet, whoever dies, fails or is slow meanwhile."""

import pytest

TASKS = 50


def test_D2_one_load_for_all_callers_of_all_processes(fleet):
    workers = fleet.start(4)
    for worker in workers:
        worker.ask("call", "k", tasks=TASKS)
    fleet.started("k")
    fleet.go_on("k")
    assert [worker.answer() for worker in workers] == [{"k#1": TASKS}] * 4
    assert fleet.runs("k") == 1


def test_D2_another_process_takes_over_from_one_that_was_killed(fleet):
    workers = fleet.start(3, lease=0.4)
    for worker in workers:
        worker.ask("call", "k", tasks=TASKS)
    killed = fleet.started("k")
    killed.kill()
    heir = fleet.started("k")
    assert heir is not killed
    fleet.go_on("k")
    assert [worker.answer() for worker in workers if worker is not killed] == [{"k#2": TASKS}] * 2
    assert fleet.runs("k") == 2


def test_D2_a_load_slower_than_its_lease_is_not_repeated(fleet, control):
    workers = fleet.start(2, lease=1.0)
    with control.pubsub() as events:
        events.psubscribe(f"__keyspace@0__:{fleet.prefix}:load:*!")
        for worker in workers:
            worker.ask("call", "k", tasks=TASKS)
        fleet.started("k")
        renewals = 0
        while renewals < 6:  # twice the lease
            message = events.get_message(timeout=60)
            renewals += message is not None and message["data"] == b"expire"
    fleet.go_on("k")
    assert [worker.answer() for worker in workers] == [{"k#1": TASKS}] * 2
    assert fleet.runs("k") == 1


def test_D2_after_a_failure_another_process_tries_once(fleet):
    workers = fleet.start(4)
    for worker in workers:
        worker.do("begin", "k", tasks=TASKS)
    first = fleet.started("k")
    fleet.go_on("k", "raise")
    fleet.started("k")
    fleet.go_on("k")
    answers = {worker: worker.do("end") for worker in workers}
    assert answers.pop(first) == {"ValueError": TASKS}
    assert list(answers.values()) == [{"k#2": TASKS}] * 3
    assert fleet.runs("k") == 2


def test_D2_after_two_failures_the_others_are_told(fleet):
    workers = fleet.start(4)
    for worker in workers:
        worker.do("begin", "k", tasks=TASKS)
    for _ in range(2):
        fleet.started("k")
        fleet.go_on("k", "raise")
    answers = sorted(str(worker.do("end")) for worker in workers)
    assert answers == [
        f"{{'LoadFailedElsewhereError': {TASKS}}}",
        f"{{'LoadFailedElsewhereError': {TASKS}}}",
        f"{{'ValueError': {TASKS}}}",
        f"{{'ValueError': {TASKS}}}",
    ]
    workers[0].ask("call", "k")
    fleet.started("k")
    fleet.go_on("k")
    assert workers[0].answer() == {"k#3": 1}


@pytest.mark.parametrize("invalidation", ["invalidate", "invalidate_tag"])
def test_D3_an_invalidation_during_a_load_wins_in_every_process(fleet, invalidation):
    reader, leader, writer = fleet.start(3)
    leader.ask("call", "k")
    fleet.started("k")
    reader.ask("stats")
    reader.answer()
    writer.ask(invalidation, "k")
    writer.answer()
    fleet.go_on("k")
    assert leader.answer() == {"k#1": 1}
    for worker in (leader, reader, writer):
        worker.ask("call", "k")
    fleet.started("k")
    fleet.go_on("k")
    assert [worker.answer() for worker in (leader, reader, writer)] == [{"k#2": 1}] * 3
    assert fleet.runs("k") == 2


@pytest.mark.parametrize("invalidation", ["invalidate", "invalidate_tag"])
def test_D3_an_invalidation_reaches_the_memory_of_every_process(fleet, invalidation):
    workers = fleet.start(3)
    for worker in workers:
        worker.ask("call", "k")
    fleet.started("k")
    fleet.go_on("k")
    for worker in workers:
        worker.answer()
    for worker in workers:
        worker.ask("contains", "k")
    assert [worker.answer() for worker in workers] == [True] * 3
    workers[0].ask(invalidation, "k")
    workers[0].answer()
    for worker in workers:
        worker.ask("gone", "k")
        worker.answer()
        worker.ask("call", "k")
    fleet.started("k")
    fleet.go_on("k")
    assert [worker.answer() for worker in workers] == [{"k#2": 1}] * 3
