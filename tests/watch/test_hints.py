"""What events hint at: only what a scan would see, and nothing depends on them."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest
from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirModifiedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
)
from watchdog.observers import Observer

from curate.config import WatchConfig
from curate.images.decode import Decoder
from curate.watch import watch
from curate.watch.events import Event, InboxGone
from curate.watch.hints import Hints, observed, topmost
from curate.workspace import open_workspace

from ..program import picture, wait_until
from .inbox import Inbox


class Enough(Exception):
    """Ends a watch."""


@pytest.mark.parametrize(("step", "code"), [("__init__", errno.EMFILE), ("start", errno.ENOSPC)])
def test_without_watches_the_inbox_is_polled(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, step: str, code: int
) -> None:
    def exhausted(observer: object) -> None:
        raise OSError(code, os.strerror(code))

    def end(event: Event) -> None:
        raise Enough

    monkeypatch.setattr(Observer, step, exhausted)
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


def test_an_inbox_that_is_deleted_is_waited_for(inbox: Inbox) -> None:
    inbox.service.turn(0.0)
    inbox.events.clear()  # of the scan that found nothing yet
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


def test_reading_a_file_is_no_hint(inbox: Inbox) -> None:
    picture("disc", 1).save(inbox.root / "a.png")
    (inbox.root / "sub").mkdir()
    hints = inbox.service.hints
    with observed(hints, inbox.root):
        (inbox.root / "a.png").read_bytes()
        os.listdir(inbox.root)
        (inbox.root / "sub" / "deep").mkdir()  # events come in order
        wait_until(hints.arrived.is_set)
        assert hints.take() <= {inbox.root / "sub", inbox.root / "sub" / "deep"}


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
