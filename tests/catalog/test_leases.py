"""A lease has one holder, who keeps it while alive; runs of the dead are recorded as failed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from curate.catalog.engine import make_engine, write
from curate.catalog.processes import is_running, started
from curate.catalog.store import Catalog
from curate.catalog.tables import Lease
from curate.errors import HeldByAnother

from .cases import NOW, AddCheckpoint, Place, after

HOST = socket.gethostname()
ME = os.getpid()


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives until its input ends."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def take(catalog: Catalog, pid: int, host: str = HOST, **age: float) -> int:
    return catalog.leases.acquire("watch", "the inbox", pid, host, after(**age), 60)


def test_one_holder_at_a_time(catalog: Catalog) -> None:
    assert take(catalog, ME) == 1
    with pytest.raises(HeldByAnother) as caught:
        take(catalog, ME)
    assert (caught.value.what, caught.value.pid, caught.value.host) == ("the inbox", ME, HOST)
    assert catalog.leases.acquire("finetune", "the fine-tune", ME, HOST, NOW, 60) == 1
    catalog.leases.release("watch", 1)
    assert take(catalog, ME) == 2


def test_on_this_host_the_dead_lose_it_at_once(
    catalog: Catalog, child: subprocess.Popen[bytes]
) -> None:
    take(catalog, child.pid)
    with pytest.raises(HeldByAnother):
        take(catalog, ME, seconds=59)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_running(child.pid, HOST, "") is False, "a zombie has ended"
    assert take(catalog, ME) == 2


def test_one_that_sleeps_past_its_end_loses_it(catalog: Catalog) -> None:
    take(catalog, ME)
    assert take(catalog, ME, seconds=60) == 2
    with pytest.raises(HeldByAnother):
        catalog.leases.renew("watch", 1, after(seconds=61), 60)


def test_a_pid_that_passed_to_another_process_holds_nothing(catalog: Catalog, place: Place) -> None:
    take(catalog, ME)
    engine = make_engine(place)
    with write(engine) as connection:
        connection.execute(update(Lease).values(process_started="another boot/1"))
    engine.dispose()
    assert take(catalog, ME) == 2


def test_on_another_host_it_lasts_until_it_expires(catalog: Catalog) -> None:
    take(catalog, 1, "there")
    with pytest.raises(HeldByAnother):
        take(catalog, ME, seconds=59)
    catalog.leases.renew("watch", 1, after(seconds=59), 60)
    with pytest.raises(HeldByAnother):
        take(catalog, ME, seconds=118)
    assert take(catalog, ME, seconds=119) == 2
    with pytest.raises(HeldByAnother):
        catalog.leases.renew("watch", 1, after(seconds=120), 60)
    catalog.leases.release("watch", 1)
    assert catalog.leases.holder("watch", after(seconds=120)), "an old fence releases nothing"


def test_who_holds_what(catalog: Catalog) -> None:
    assert catalog.leases.holder("watch", NOW) is None
    take(catalog, 7, "there")
    catalog.leases.acquire("finetune", "the fine-tune", ME, HOST, NOW, 60)
    assert [row.name for row in catalog.leases.list(NOW)] == ["finetune", "watch"]
    assert catalog.leases.list(after(seconds=60)) == ()
    holder = catalog.leases.holder("watch", NOW)
    assert holder is not None
    assert (holder.what, holder.fence, holder.pid, holder.host) == ("the inbox", 1, 7, "there")
    catalog.leases.release("watch", 1)
    assert catalog.leases.holder("watch", NOW) is None


def test_a_process_is_told_by_its_start() -> None:
    fields = Path(f"/proc/{ME}/stat").read_text().rpartition(")")[2].split()
    assert started(ME).endswith(f"/{fields[19]}")
    assert is_running(ME, HOST, started(ME)) is True
    assert is_running(ME, HOST, "other/1") is False
    assert is_running(ME, "there", "") is None
    assert is_running(2**22 + 1, HOST, "") is False


def test_a_run_is_recorded_at_both_ends(catalog: Catalog, checkpoint: AddCheckpoint) -> None:
    tuned = checkpoint("tuned")
    first = catalog.runs.start("guarded", ME, HOST, NOW)
    running = catalog.runs.latest()
    assert running is not None
    assert (running.run_id, running.outcome, running.ended_at) == (first, None, None)
    catalog.runs.finish(first, "promoted", "better", {"a": 0.5}, 12, tuned, after(hours=1))
    second = catalog.runs.start("paper", ME, HOST, after(hours=2))
    newest, oldest = catalog.runs.list()
    assert newest.run_id == second
    assert (oldest.outcome, oldest.reason, oldest.figures) == ("promoted", "better", {"a": 0.5})
    assert (oldest.images, oldest.checkpoint_id, oldest.ended_at) == (12, tuned, after(hours=1))
    assert (oldest.recipe, oldest.pid, oldest.host) == ("guarded", ME, HOST)


def test_runs_of_the_dead_failed(catalog: Catalog, child: subprocess.Popen[bytes]) -> None:
    dead = catalog.runs.start("guarded", child.pid, HOST, NOW)
    alive = catalog.runs.start("guarded", ME, HOST, NOW)
    child.kill()
    child.wait()
    assert catalog.runs.abandon(after(hours=1)) == 1
    runs = {run.run_id: run for run in catalog.runs.list()}
    assert (runs[dead].outcome, runs[dead].ended_at) == ("failed", after(hours=1))
    assert runs[dead].reason == "the process ended before the run was finished"
    assert runs[alive].outcome is None


def test_a_run_that_was_stopped_came_to_no_end(catalog: Catalog) -> None:
    assert catalog.runs.latest_ended() is None
    ended = catalog.runs.start("guarded", ME, HOST, NOW)
    assert catalog.runs.latest_ended() is None
    catalog.runs.finish(ended, "skipped", "no OOD share", {}, 12, None, after(hours=1))
    catalog.runs.start("guarded", 2**22 + 1, HOST, after(hours=2))
    assert catalog.runs.abandon(after(hours=3)) == 1
    catalog.runs.start("guarded", ME, HOST, after(hours=4))
    found = catalog.runs.latest_ended()
    assert found is not None
    assert found.run_id == ended


def test_a_run_elsewhere_lives_while_its_lease_is_renewed(catalog: Catalog) -> None:
    catalog.runs.start("guarded", 7, "there", NOW)
    catalog.leases.acquire("finetune", "the fine-tune", 7, "there", NOW, 60)
    assert catalog.runs.abandon(after(seconds=59)) == 0
    assert catalog.runs.abandon(after(seconds=61)) == 1
