"""SIGKILL at random moments of every command, again and again, until so many have been survived.

    python -m tests.crash.kills --kills 5000 --tally kills.jsonl

A round takes a fresh copy of a project and kills its command until it ends by itself; then all must
be as after an undisturbed run. One JSON line per round goes to the tally, and a tally goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

from ..forked import Fork, undisturbed
from ..program import SHAPES, draw, run
from .scenarios import SCENARIOS, Contents, Scenario, leftovers


@dataclass(frozen=True)
class Ready:
    """A scenario's project before its command, and what is there after an undisturbed run."""

    name: str
    scenario: Scenario
    project: Path
    expected: Contents
    seconds: float
    """That a run takes when nothing else keeps the machine."""

    def done(self, place: Path) -> bool:
        """Whether what is never made over is there."""
        return bool(self.scenario.once) and (place / str(self.scenario.once)).exists()


def make_ready(name: str, trained: Path, place: Path) -> Ready:
    """Prepare a scenario on copies, below `place`, of a project with a `trained` network."""
    scenario, project = SCENARIOS[name], place / "project"
    shutil.copytree(trained, project)
    scenario.prepare(project)

    def run_on(whole: Path) -> float:
        shutil.copytree(project, whole)
        return undisturbed(whole, scenario.arguments, scenario.before).seconds

    seconds = min(run_on(place / f"whole-{number}") for number in range(3))
    return Ready(name, scenario, project, scenario.contents(place / "whole-0"), seconds)


def survived(ready: Ready, place: Path, seed: int) -> int:
    """How many kills a round on a copy at `place` took; asserts that it ended as undisturbed."""
    scenario, rng, kills = ready.scenario, random.Random(f"{ready.name} {seed}"), 0
    shutil.copytree(ready.project, place)
    while not ready.done(place):
        fork = Fork(place, scenario.arguments, scenario.before).go()
        # Ever later, so that one that keeps nothing on the way is let through on any machine.
        fork.wait(rng.uniform(0, (1 + kills / 4) * ready.seconds))
        fork.kill()
        ended = fork.end()
        if ended.code != -signal.SIGKILL:
            assert ended.code == 0, (ready.name, seed, ended)
            break
        kills += 1
    assert scenario.contents(place) == ready.expected, (ready.name, seed)
    assert leftovers(place) == [], (ready.name, seed)
    shutil.rmtree(place)
    return kills


def rounds(
    prepared: list[Ready], place: Path, first: int
) -> Generator[tuple[str, int, int], None, None]:
    """Scenario, seed and kills of one round after another, one scenario after another."""
    turns = ((prepared[turn % len(prepared)], turn) for turn in count(first))

    def made(turn: tuple[Ready, int]) -> tuple[str, int, int]:
        ready, seed = turn
        return ready.name, seed, survived(ready, place / f"round-{seed}", seed)

    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        while True:
            yield from pool.map(made, islice(turns, 4 * workers))


def main() -> None:
    """Go on with a tally until it holds as many kills as were asked for, and add it up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=5_000)
    parser.add_argument("--tally", type=Path, required=True)
    options = parser.parse_args()
    lines = options.tally.read_text().splitlines() if options.tally.exists() else []
    tally = [json.loads(line) for line in lines]
    with tempfile.TemporaryDirectory() as folder, options.tally.open("a") as out:
        trained = Path(folder, "trained")
        for shape in SHAPES:
            draw(trained / "labeled" / shape, shape, range(40))
        run(trained, "train", "labeled", "--epochs", 24, "--image-size", 16)
        prepared = [make_ready(name, trained, Path(folder, name)) for name in SCENARIOS]
        going = rounds(prepared, Path(folder), len(tally))
        while sum(row["kills"] for row in tally) < options.kills:
            tally.append(dict(zip(("command", "round", "kills"), next(going), strict=True)))
            print(json.dumps(tally[-1]), file=out, flush=True)
        going.close()
    by_command: Counter[str] = Counter()
    for row in tally:
        by_command[row["command"]] += row["kills"]
    told = [f"{name:12} {kills:6,}" for name, kills in by_command.most_common()]
    told.append(f"{'survived':12} {by_command.total():6,} kills in {len(tally):,} rounds")
    sys.stdout.write("\n".join(told) + "\n")


if __name__ == "__main__":
    main()
