"""A watched inbox, turn by turn, on a clock that the test moves."""

from __future__ import annotations

import dataclasses
import errno
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from curate.config import WatchConfig
from curate.images.inbox import scan
from curate.score import Scorer
from curate.watch import watch
from curate.watch.events import Arrived, FinetuneStarted, InboxGone, Reading
from curate.workspace import Lease

from ..program import draw, picture, shut
from .inbox import SCAN, Inbox

GONE = 2**22 + 1
"""A process that cannot be: Linux numbers them below."""


def test_a_file_is_read_only_once_it_has_settled(inbox: Inbox) -> None:
    whole = inbox.root / "whole.png"
    picture("disc", 1).save(whole)
    content = whole.read_bytes()
    whole.write_bytes(content[:100])
    inbox.service.turn(0.0)
    whole.write_bytes(content)
    inbox.service.turn(2.0)
    assert inbox.catalogued() == []
    inbox.service.turn(3.9)
    assert inbox.catalogued() == []
    inbox.service.turn(4.0)
    assert inbox.catalogued() == ["whole.png"]
    assert [event.ingested.unreadable for event in inbox.events if isinstance(event, Arrived)] == [
        0
    ]


def test_how_far_a_backlog_is_read_is_told(inbox: Inbox) -> None:
    for number in range(3):
        picture("disc", number).save(inbox.root / f"{number}.png")
    inbox.service.config = dataclasses.replace(inbox.service.config, batch=2)
    inbox.service.turn(0.0)
    inbox.service.turn(2.0)
    told = [
        (e.done, e.total) if isinstance(e, Reading) else e.ingested.images
        for e in inbox.events
        if isinstance(e, Reading | Arrived)
    ]
    assert told == [(1, 3), (2, 3), 2, (3, 3), 1]


def test_a_known_file_is_not_opened_again_and_an_overwritten_one_is(inbox: Inbox) -> None:
    picture("disc", 1).save(inbox.root / "a.png")
    inbox.service.turn(0.0)
    inbox.service.turn(2.0)
    inbox.service.turn(100.0)
    assert inbox.service.waiting == 0
    picture("disc", 2).save(inbox.root / "a.png")
    inbox.service.turn(200.0)
    inbox.service.turn(202.0)
    assert inbox.catalogued() == ["a.png", "a.png"]
    assert inbox.workspace.catalog.counts().images == 2


def test_what_others_have_queued_is_scored_after_each_scan_of_the_whole(inbox: Inbox) -> None:
    waiting = [0, 3, 5]
    scorer = SimpleNamespace(score_active=lambda told: waiting.pop())
    inbox.service.scorer = cast("Scorer", scorer)
    for moment in (0.0, 1.0, SCAN - 1.0, SCAN, SCAN + 1.0, 2 * SCAN):
        inbox.service.turn(moment)
    assert [e.scored for e in inbox.events if isinstance(e, Arrived)] == [5, 3]
    assert (inbox.service.total.scored, waiting) == (8, [])


def test_without_events_the_scan_comes_sooner(inbox: Inbox) -> None:
    inbox.service.has_events = False
    inbox.service.turn(0.0)
    picture("disc", 1).save(inbox.root / "a.png")
    inbox.service.turn(4.9)
    assert inbox.service.waiting == 0
    inbox.service.turn(5.0)
    assert inbox.service.waiting == 1


def test_without_any_hint_the_scan_finds_it(inbox: Inbox) -> None:
    inbox.service.turn(0.0)
    picture("disc", 1).save(inbox.root / "a.png")
    inbox.service.turn(SCAN - 1)
    assert inbox.service.waiting == 0
    inbox.service.turn(SCAN)
    assert inbox.service.waiting == 1


def test_a_file_that_vanishes_is_left_out(inbox: Inbox) -> None:
    picture("disc", 1).save(inbox.root / "a.png")
    inbox.service.turn(0.0)
    os.unlink(inbox.root / "a.png")
    inbox.service.turn(2.0)
    assert inbox.catalogued() == []
    assert inbox.service.waiting == 0


def test_an_inbox_that_goes_away_is_waited_for(inbox: Inbox) -> None:
    picture("disc", 1).save(inbox.root / "a.png")
    inbox.service.turn(0.0)
    inbox.service.turn(2.0)
    inbox.service.root_changed()
    inbox.root.rename(inbox.root.with_name("gone"))
    inbox.service.turn(70.0)
    assert InboxGone(inbox.root) in inbox.events
    inbox.root.with_name("gone").rename(inbox.root)
    assert inbox.service.root_changed()
    assert inbox.catalogued() == ["a.png"]


def test_more_files_than_may_wait_are_taken_one_part_after_the_other(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curate.images.inbox.MOST_WAITING", 3)
    draw(inbox.root, "disc", range(7))
    (inbox.root / "sub").mkdir()
    inbox.service.turn(0.0)
    inbox.service.hints.hint(inbox.root / "sub")
    for now, known in ((1.0, 0), (2.0, 3), (3.0, 3), (5.0, 6), (6.0, 6), (8.0, 7)):
        inbox.service.turn(now)
        assert inbox.service.waiting <= 3
        assert len(inbox.catalogued()) == known
    assert not inbox.service.left_over


def test_files_that_never_settle_keep_no_others_out(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curate.images.inbox.MOST_WAITING", 3)
    draw(inbox.root, "disc", range(7))
    growing = next(scan(inbox.root, lambda path, error: None)).path
    for now in range(0, 20, 2):
        with growing.open("ab") as file:
            file.write(b"more")
        inbox.service.turn(float(now))
    assert len(inbox.catalogued()) == 6
    assert growing.name not in inbox.catalogued()


def test_once_takes_more_files_than_may_wait(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curate.images.inbox.MOST_WAITING", 3)
    draw(inbox.root, "disc", range(7))
    once = WatchConfig(settle_seconds=0, once=True)
    inbox.lease.release()
    service = inbox.service
    watched = watch(inbox.workspace, inbox.root, service.scorer, service.source.decoder, once)
    assert (watched.ingested.images, watched.left) == (7, 0)


def test_an_inbox_has_one_name(inbox: Inbox) -> None:
    (inbox.root.parent / "link").symlink_to(inbox.root)
    picture("disc", 1).save(inbox.root / "a.png")
    source, once = inbox.service.source, WatchConfig(settle_seconds=0, once=True)
    for name in ("link", "store/../inbox"):
        found = inbox.root.parent / name
        watched = watch(inbox.workspace, found, inbox.service.scorer, source.decoder, once)
        assert watched.ingested.known_content == 0
    assert [row.root_uri for row in inbox.workspace.catalog.sources()] == [inbox.root.as_uri()]


def test_a_folder_that_cannot_be_read_is_told_of_once(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture("disc", 1).save(inbox.root / "a.png")
    with monkeypatch.context() as patched:
        shut(patched, inbox.root / "shut")
        inbox.service.turn(0.0)
        inbox.service.turn(2.0)
        inbox.service.hints.hint(inbox.root / "shut")
        inbox.service.turn(10.0)
        inbox.service.turn(100.0)
        told = [(inbox.root / "shut", "cannot be read: Permission denied")]
        assert refused(inbox) == told
        assert inbox.service.total.ingested.unreadable == 1
        assert inbox.catalogued() == ["a.png"]
    inbox.service.turn(200.0)
    (inbox.root / "shut").rmdir()
    shut(monkeypatch, inbox.root / "shut")
    inbox.service.turn(300.0)
    assert refused(inbox) == 2 * told


def refused(inbox: Inbox) -> list[tuple[Path, str]]:
    """What the watch has told that it could not read."""
    return [
        e for event in inbox.events if isinstance(event, Arrived) for e in event.ingested.reasons
    ]


def test_an_inbox_on_a_dead_mount_is_waited_for(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.stat

    def stale(path: Path, **options: bool) -> os.stat_result:
        if path == inbox.root:
            raise OSError(errno.ESTALE, "Stale file handle")
        return real(path, **options)

    monkeypatch.setattr(os, "stat", stale)
    inbox.service.turn(0.0)
    assert inbox.events == [InboxGone(inbox.root)]


def test_a_fine_tune_that_was_stopped_falls_due_once_at_each_start(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture("disc", 1).save(inbox.root / "a.png")
    inbox.service.turn(0.0)
    inbox.service.turn(2.0)
    serving = ("a network", datetime.now(UTC))
    monkeypatch.setattr(inbox.workspace.catalog.models, "active_since", lambda role: serving)
    runs = inbox.workspace.catalog.runs
    for _ in range(2):
        watch = inbox.start(finetune_images=1)
        watch.turn(10.0)
        watch.stop_child()
        runs.start("guarded", GONE, socket.gethostname(), datetime.now(UTC))
        for now in (20.0, 30.0, 40.0):
            watch.turn(now)
    assert inbox.events.count(FinetuneStarted(1)) == 2
    came = runs.start("guarded", os.getpid(), socket.gethostname(), datetime.now(UTC))
    runs.finish(came, "rejected", "no better", {}, 1, None, datetime.now(UTC))
    inbox.start(finetune_images=1).turn(10.0)
    assert inbox.events.count(FinetuneStarted(1)) == 2


@pytest.mark.parametrize("stall", [0.0, 1e6])
def test_once_waits_for_files_to_settle_under_its_lease(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, stall: float
) -> None:
    """On a clock that goes on by `stall` whenever it is looked at."""
    clock, waits, renewals = [0.0], list[float](), list[int]()

    def monotonic() -> float:
        clock[0] += stall
        return clock[0] - stall

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        assert len(renewals) >= len(waits)
        clock[0] += seconds

    monkeypatch.setattr("curate.watch.time", SimpleNamespace(monotonic=monotonic, sleep=sleep))
    monkeypatch.setattr(Lease, "renew", lambda lease: renewals.append(1))
    picture("disc", 1).save(inbox.root / "a.png")
    config = WatchConfig(once=True, settle_seconds=100, scan_seconds=SCAN)
    source, scorer = inbox.service.source, inbox.service.scorer
    watched = watch(inbox.workspace, inbox.root, scorer, source.decoder, config)
    assert (watched.ingested.images, watched.left) == (1, 0)
    assert waits == [60, 40] if stall == 0 else waits == [60]
