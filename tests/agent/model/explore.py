"""Thousands of schedules in several processes: `make explore`, or `python -m tests.agent.model.explore --help`.

The rules are those of `agents`; here chance chooses among them, as Hypothesis takes as long to choose as all agents
to live through it. What is found is repeated with ever fewer steps, and can be had again by its seed.
"""

import argparse
import contextlib
import gc
import io
import itertools
import multiprocessing
import os
import random
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any

from tests.agent.model.agents import MOST_JOBS, RULES, RUN_TIMES, Agents
from tests.agent.model.loop import RARELY

SCHEDULES = 20_000
_STEPS = 50
_BATCH = 20
_TELL_S = 10.0
_TRIES = 2  # of a shorter schedule: asyncio keeps tasks in sets, whose order is the memory's


@dataclass(frozen=True)
class Step:
    rule: str
    values: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.rule}({', '.join(f'{name}={value!r}' for name, value in self.values.items())})"


@dataclass(frozen=True)
class Schedule:
    seed: int
    run_s: float
    steps: tuple[Step, ...]


def schedule_of(seed: int) -> Schedule:
    """As Hypothesis does, with some of the rules in each schedule, so that not every one of them is all of life."""
    chance = random.Random(seed)
    share = chance.random()
    chosen = [rule for rule in RULES if chance.random() < share] or [chance.choice(list(RULES))]
    steps = tuple(
        Step(rule, {name: chance.choice(values) for name, values in RULES[rule].items()})
        for rule in chance.choices(chosen, k=_STEPS)
    )
    return Schedule(seed, chance.choice(RUN_TIMES), steps)


def violation(schedule: Schedule, machine: type[Agents] = Agents) -> str:
    """What was seen to be wrong, empty when nothing was."""
    agents = machine()
    try:
        with contextlib.redirect_stdout(io.StringIO()), _torn_down(agents):
            agents.begin(seed=schedule.seed, run_s=schedule.run_s)
            for step in schedule.steps:
                if step.rule != "submit" or len(agents.jobs) < MOST_JOBS:
                    getattr(agents, step.rule)(**step.values)
                agents.nothing_is_wrong()
    except Exception as error:  # noqa: BLE001 - whatever ends a schedule is told with its seed
        return f"{type(error).__name__}: {error}"
    return ""


@contextlib.contextmanager
def _torn_down(agents: Agents) -> Iterator[None]:
    try:
        yield
    finally:
        agents.teardown()


def shortest(schedule: Schedule, machine: type[Agents] = Agents) -> Schedule:
    """The same with no step of which it does without: halves, quarters ... and single ones are left out in turn."""
    size = len(schedule.steps) // 2
    while size:
        start = 0
        while start < len(schedule.steps):
            fewer = replace(schedule, steps=schedule.steps[:start] + schedule.steps[start + size :])
            if any(violation(fewer, machine) for _ in range(_TRIES)):
                schedule = fewer
            else:
                start += size
        size //= 2
    return schedule


def explored(seeds: Sequence[int], machine: type[Agents] = Agents) -> int | None:
    """The first of the seeds whose schedule shows something, None when all are well."""
    return next((seed for seed in seeds if violation(schedule_of(seed), machine)), None)


def told(schedule: Schedule, machine: type[Agents] = Agents) -> str:
    steps = "\n".join(f"  {step}" for step in schedule.steps)
    found = violation(schedule, machine) or "gone when it was looked at again; its whole schedule may show it"
    return f"  begin(seed={schedule.seed}, run_s={schedule.run_s})\n{steps}\n{found}"


def explore(seeds: range, processes: int, machine: type[Agents] = Agents) -> int:
    """Exit code: 1 when something was found. machine: one that a process which was just begun can import."""
    began_s, told_s, done = time.monotonic(), time.monotonic(), 0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_look_rarely) as pool:
        for batch, found in _answers(pool, seeds, processes, machine):
            done += len(batch)
            if found is not None:
                pool.shutdown(wait=False, cancel_futures=True)
                _say(f"seed {found} shows something; the shortest schedule that still does:")
                _say(told(shortest(schedule_of(found), machine), machine))
                return 1
            now_s = time.monotonic()
            if now_s - told_s >= _TELL_S or done == len(seeds):
                told_s = now_s
                _say(f"{done} of {len(seeds)} schedules, {done / (now_s - began_s):.1f}/s, nothing found")
    return 0


def _answers(
    pool: ProcessPoolExecutor, seeds: range, processes: int, machine: type[Agents]
) -> Iterator[tuple[range, int | None]]:
    """Batches that are over and what was found in them; few wait, so that the end does not."""
    batches = iter([seeds[start : start + _BATCH] for start in range(0, len(seeds), _BATCH)])
    open_ones: dict[Future[int | None], range] = {}
    while True:
        for batch in itertools.islice(batches, 2 * processes - len(open_ones)):
            open_ones[pool.submit(explored, batch, machine)] = batch
        if not open_ones:
            return
        for over in wait(open_ones, return_when=FIRST_COMPLETED).done:
            yield open_ones.pop(over), over.result()


def _look_rarely() -> None:
    gc.set_threshold(RARELY)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="explore", description=__doc__)
    parser.add_argument("--schedules", type=int, default=SCHEDULES)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=None, help="of the first; the others follow it")
    chosen = parser.parse_args(arguments)
    first = secrets.randbelow(2**32) if chosen.seed is None else chosen.seed
    _say(f"{chosen.schedules} schedules of {_STEPS} steps from seed {first} on, in {chosen.processes} processes")
    return explore(range(first, first + chosen.schedules), chosen.processes)


if __name__ == "__main__":
    sys.exit(main())
