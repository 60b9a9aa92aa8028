"""A watched inbox, turn by turn, on a clock that the test moves."""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirModifiedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileOpenedEvent,
    FileSystemEvent,
)
from watchdog.observers import Observer

from curate.catalog.query import Query
from curate.config import DecodeConfig, WatchConfig
from curate.images.decode import Decoder
from curate.images.paths import decode
from curate.ingest import Source
from curate.score import Scorer
from curate.watch import watch
from curate.watch.events import Arrived, Event, InboxGone, Reading
from curate.watch.hints import Hints, observed, topmost
from curate.watch.service import Watch
from curate.workspace import Workspace, hold, open_workspace

from ..program import picture, shut, wait_until

SETTLE, SCAN = 2.0, 60.0


class Inbox:
    """A watch over `root` whose turns are called by hand."""

    def __init__(
        self, workspace: Workspace, root: Path, decoder: Decoder, stack: ExitStack
    ) -> None:
        self.events: list[Event] = []
        self.workspace, self.root = workspace, root
        lease = stack.enter_context(hold(workspace, "watch", "the inbox"))
        self.service = Watch(
            workspace,
            Source(workspace, root, decoder),
            Scorer(workspace, torch.device("cpu")),
            WatchConfig(settle_seconds=SETTLE, scan_seconds=SCAN),
            [sys.executable, "-c", ""],
            lease,
            self.events.append,
        )

    def catalogued(self) -> list[str]:
        """The names of every sighting."""
        rows = self.workspace.catalog.iter_images(Query(), all_paths=True)
        return sorted(str(decode(row.path)) for row in rows)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(DecodeConfig(workers=1)) as made:
        yield made


@pytest.fixture
def inbox(tmp_path: Path, decoder: Decoder) -> Iterator[Inbox]:
    (tmp_path / "inbox").mkdir()
    with ExitStack() as stack:
        workspace = stack.enter_context(
            open_workspace(str(tmp_path / "store" / "catalog.db"), create=True)
        )
        yield Inbox(workspace, tmp_path / "inbox", decoder, stack)


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


class NoInstance:
    def __init__(self) -> None:
        raise OSError(errno.EMFILE, "Too many open files")


class NoWatch(Observer):  # type: ignore[misc, valid-type]
    def start(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


class Enough(Exception):
    """Ends a watch."""


@pytest.mark.parametrize("exhausted", [NoInstance, NoWatch])
def test_without_watches_the_inbox_is_polled(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, exhausted: type
) -> None:
    def end(event: Event) -> None:
        raise Enough

    monkeypatch.setattr("curate.watch.hints.Observer", exhausted)
    picture("disc", 1).save(inbox.root / "a.png")
    decoder, scorer = inbox.service.source.decoder, inbox.service.scorer
    with pytest.raises(Enough):
        watch(
            inbox.workspace,
            inbox.root,
            scorer,
            decoder,
            WatchConfig(settle_seconds=0),
            on_event=end,
        )
    assert [source.watch_mode for source in inbox.workspace.catalog.sources()] == ["poll"]


def test_without_events_the_scan_comes_sooner(inbox: Inbox) -> None:
    inbox.service.has_events = False
    inbox.service.turn(0.0)
    picture("disc", 1).save(inbox.root / "a.png")
    inbox.service.turn(4.9)
    assert inbox.service.waiting == 0
    inbox.service.turn(5.0)
    assert inbox.service.waiting == 1


def test_an_inbox_that_is_deleted_is_waited_for(inbox: Inbox) -> None:
    inbox.service.turn(0.0)
    with observed(inbox.service.hints, inbox.root):
        inbox.root.rmdir()
        wait_until(inbox.service.hints.arrived.is_set)
        inbox.service.turn(10.0)
    assert inbox.events == [InboxGone(inbox.root)]


def test_a_catalog_hidden_in_the_inbox_wakes_nobody(tmp_path: Path, decoder: Decoder) -> None:
    with ExitStack() as stack:
        workspace = stack.enter_context(open_workspace(str(tmp_path / ".curate"), create=True))
        inbox = Inbox(workspace, tmp_path, decoder, stack)
        hints = inbox.service.hints
        stack.enter_context(observed(hints, tmp_path))
        picture("disc", 1).save(tmp_path / "a.png")
        wait_until(hints.arrived.is_set)
        inbox.service.turn(0.0)
        inbox.service.turn(2.0)
        (tmp_path / "sub").mkdir()  # events come in order: what the catalog's commits raised is in
        directories: set[Path] = set()
        while tmp_path / "sub" not in directories:
            wait_until(hints.arrived.is_set)
            directories |= hints.take()
        assert directories <= {tmp_path, tmp_path / "sub"}
        inbox.service.turn(10.0)
        assert inbox.service.waiting == 0
        assert inbox.catalogued() == ["a.png"]


def test_a_hint_brings_a_scan_before_its_time(inbox: Inbox) -> None:
    inbox.service.turn(0.0)
    (inbox.root / "sub").mkdir()
    picture("disc", 1).save(inbox.root / "sub" / "a.png")
    inbox.service.turn(10.0)
    assert inbox.service.waiting == 0
    inbox.service.hints.hint(inbox.root / "sub")
    inbox.service.turn(10.0)
    assert inbox.service.waiting == 1


@pytest.mark.parametrize("hint", ["link", "link/deep", "deep/link"])
def test_a_hint_follows_no_link(inbox: Inbox, hint: str) -> None:
    private = inbox.root.parent / "private"
    (private / "deep").mkdir(parents=True)
    (inbox.root / "deep").mkdir()
    for folder in (private, private / "deep"):
        picture("disc", 1).save(folder / "secret.png")
    for link in (inbox.root / "link", inbox.root / "deep" / "link"):
        link.symlink_to(private)
    inbox.service.turn(0.0)
    inbox.service.hints.hint(inbox.root / hint)
    inbox.service.turn(10.0)
    assert inbox.service.waiting == 0


def test_a_link_that_takes_a_folders_place_is_not_followed(inbox: Inbox) -> None:
    for folder in (inbox.root / "d", inbox.root.parent / "private"):
        folder.mkdir()
        picture("disc", 1).save(folder / "secret.png")
    inbox.service.turn(0.0)
    assert inbox.service.waiting == 1
    shutil.rmtree(inbox.root / "d")
    (inbox.root / "d").symlink_to(inbox.root.parent / "private")
    inbox.service.turn(2.0)  # another file, so its time begins anew
    inbox.service.turn(4.0)
    assert inbox.service.waiting == 0
    assert inbox.catalogued() == []


def test_a_link_that_is_touched_is_not_followed(inbox: Inbox) -> None:
    outside = inbox.root.parent / "outside"
    outside.mkdir()
    picture("disc", 1).save(outside / "secret.png")
    link = inbox.root / "link"
    link.symlink_to(outside)
    inbox.service.turn(0.0)
    with observed(inbox.service.hints, inbox.root):
        os.utime(link, follow_symlinks=False)
        wait_until(inbox.service.hints.arrived.is_set)
    inbox.service.turn(10.0)
    assert inbox.service.waiting == 0


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


def test_too_many_hints_are_one() -> None:
    hints = Hints(Path("/inbox"))
    for number in range(1_001):
        hints.hint(Path(f"/inbox/{number}"))
    assert hints.take() == {Path("/inbox")}
    assert hints.take() == set()


def test_events_are_hints_only_at_what_a_scan_would_see() -> None:
    hints = Hints(Path("/inbox"))
    passed_over: list[FileSystemEvent] = [
        DirModifiedEvent("/"),
        DirCreatedEvent("/inbox.old"),
        FileCreatedEvent("/inbox/.curate/catalog.db"),
        DirModifiedEvent("/inbox/.curate"),
        FileCreatedEvent("/inbox/@eaDir/sub/thumb.jpg"),
        FileMovedEvent("/inbox/.trash/a.png", "/elsewhere/a.png"),
        FileOpenedEvent("/inbox/a/1.png"),
    ]
    for event in passed_over:
        hints.on_any_event(event)
    assert not hints.arrived.is_set()
    assert hints.take() == set()
    taken: list[FileSystemEvent] = [
        FileMovedEvent("/inbox/a/1.png", b"/inbox/b/.hidden"),
        DirCreatedEvent("/inbox/c"),
        DirDeletedEvent("/inbox"),
    ]
    for event in taken:
        hints.on_any_event(event)
    assert hints.arrived.is_set()
    assert hints.take() == {Path("/inbox/a"), Path("/inbox/b"), Path("/inbox/c"), Path("/inbox")}


def test_topmost() -> None:
    found = topmost({Path("/a/b"), Path("/a"), Path("/c/d"), Path("/ab")})
    assert found == [Path("/a"), Path("/ab"), Path("/c/d")]
