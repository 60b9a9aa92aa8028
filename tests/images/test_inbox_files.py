"""Which files count, and when they are settled. Time is passed in."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from curate.errors import InboxError
from curate.images.decode import FileStat
from curate.images.inbox import (
    InboxFile,
    StabilityTracker,
    check_inbox,
    ignored,
    restat,
    scan,
)


def names(root: Path) -> set[str]:
    return {str(file.path.relative_to(root)) for file in scan(root, unexpected)}


def unexpected(path: Path, error: OSError) -> None:
    raise AssertionError(path) from error


@pytest.mark.parametrize(
    "name",
    [
        ".hidden.jpg",
        "._photo.jpg",
        ".DS_Store",
        ".curate",
        "a.jpg.part",
        "a.crdownload",
        "a.TMP",
        "a.jpg~",
        "~$a.jpg",
        "Thumbs.db",
        "desktop.ini",
        "@eaDir",
        "__MACOSX",
        b"\xff.partial",
    ],
)
def test_ignored(name: str | bytes) -> None:
    assert ignored(name)


@pytest.mark.parametrize(
    "name", ["a.jpg", "a", "part", "tmp.png", "a.part.jpg", "notes.txt", b"\xff.jpg", "-", "~a.jpg"]
)
def test_not_ignored(name: str | bytes) -> None:
    assert not ignored(name)


def test_scan_finds_regular_files_of_any_suffix_and_depth(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 40)
    deep.mkdir(parents=True)
    for place in (tmp_path / "a.jpg", tmp_path / "notes.txt", deep / "b", tmp_path / ".c.jpg"):
        place.touch()
    (tmp_path / "@eaDir").mkdir()
    (tmp_path / "@eaDir" / "thumb.jpg").touch()
    assert names(tmp_path) == {"a.jpg", "notes.txt", "/".join(["d"] * 40 + ["b"])}


def test_scan_follows_no_link_and_opens_nothing_special(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "secret.jpg").touch()
    (root / "a.jpg").touch()
    (root / "folder.jpg").mkdir()
    (root / "link.jpg").symlink_to(outside / "secret.jpg")
    (root / "folder").symlink_to(outside)
    (root / "loop").symlink_to(root)
    (root / "broken").symlink_to("nowhere")
    os.mkfifo(root / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "socket.jpg"))
        assert names(root) == {"a.jpg"}


def test_scan_sees_names_of_any_bytes(tmp_path: Path) -> None:
    raw = [b"\xff\xfe.jpg", b"a\nb", b"\x1b[31m", b"[red]", b"=1+1", b"--help", b"n" * 255]
    for name in raw:
        (tmp_path / os.fsdecode(name)).touch()
    assert {os.fsencode(file.path.name) for file in scan(tmp_path, unexpected)} == set(raw)


def test_scan_tells_what_it_cannot_read_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("shut", "stale", "good"):
        (tmp_path / folder).mkdir()
        for name in ("bad.jpg", "fine.jpg"):
            (tmp_path / folder / name).touch()
    fail(monkeypatch, "scandir", tmp_path / "shut", errno.EACCES)
    fail(monkeypatch, "lstat", tmp_path / "good" / "bad.jpg", errno.EIO)
    fail_in_the_middle(monkeypatch, tmp_path / "stale", errno.ESTALE)
    errors: list[tuple[str, int | None]] = []
    files = list(scan(tmp_path, lambda path, e: errors.append((path.name, e.errno))))
    found = sorted(str(file.path.relative_to(tmp_path)) for file in files)
    assert sorted(errors) == [
        ("bad.jpg", errno.EIO),
        ("shut", errno.EACCES),
        ("stale", errno.ESTALE),
    ]
    assert found[0] == "good/fine.jpg"
    assert [name.partition("/")[0] for name in found[1:]] == ["stale"]


def fail(monkeypatch: pytest.MonkeyPatch, function: str, place: Path, number: int) -> None:
    """Let a function of os say error `number` of one path."""
    real = getattr(os, function)

    def failing(path: str) -> object:
        if path == os.fspath(place):
            raise OSError(number, os.strerror(number))
        return real(path)

    monkeypatch.setattr(os, function, failing)


def fail_in_the_middle(monkeypatch: pytest.MonkeyPatch, place: Path, number: int) -> None:
    """Let a folder's listing break off after its first entry."""
    real = os.scandir

    @contextmanager
    def breaking(path: str) -> Iterator[Iterator[os.DirEntry[str]]]:
        with real(path) as entries:
            yield broken(entries) if path == os.fspath(place) else entries

    def broken(entries: Iterator[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
        yield next(entries)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "scandir", breaking)


def test_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    assert list(scan(tmp_path / "gone", unexpected)) == []


def test_folder_that_vanishes_during_the_scan(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.jpg").touch()
    files = scan(tmp_path, unexpected)
    first = next(files)
    (other,) = {"a", "b"} - {first.path.parent.name}
    (tmp_path / other / "x.jpg").unlink()
    (tmp_path / other).rmdir()
    assert list(files) == []


def test_stat_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"12345")
    os.utime(path, ns=(0, 7))
    status = path.stat()
    assert list(scan(tmp_path, unexpected)) == [
        InboxFile(path, FileStat(5, 7, status.st_ctime_ns, status.st_ino), status.st_dev)
    ]


def test_restat_drops_what_is_gone(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(b"1")
    files = sorted(scan(tmp_path, unexpected), key=lambda file: file.path)
    (tmp_path / "a").write_bytes(b"22")
    (tmp_path / "b").unlink()
    (tmp_path / "c").unlink()
    (tmp_path / "c").symlink_to("a")
    assert [(file.path.name, file.stat.size) for file in restat(files)] == [("a", 2)]


def seen(name: str, size: int = 1) -> InboxFile:
    return InboxFile(Path("/inbox") / name, FileStat(size, 0, 0, 0), 0)


def test_settled_after_the_settle_time() -> None:
    tracker = StabilityTracker(2.0)
    tracker.observe(seen("a"), 10.0)
    tracker.observe(seen("b"), 11.0)
    assert tracker.settled(11.9) == []
    assert tracker.next_due(11.9) == 12.0
    assert tracker.due(12.0) == [seen("a")]
    assert tracker.settled(12.0) == [seen("a")]
    assert tracker.waiting() == 1
    assert tracker.next_due(12.0) == 13.0
    assert tracker.next_due(14.0) == 14.0
    assert tracker.settled(14.0) == [seen("b")]
    assert tracker.next_due(14.0) is None


def test_growing_file_is_not_settled() -> None:
    tracker = StabilityTracker(2.0)
    for second in range(10):
        tracker.observe(seen("a", size=second), float(second))
        assert tracker.settled(float(second)) == []
    tracker.observe(seen("a", size=9), 10.5)
    assert tracker.settled(10.9) == []
    assert tracker.settled(11.0) == [seen("a", size=9)]


@pytest.mark.parametrize(
    "stat", [FileStat(1, 1, 0, 0), FileStat(1, 0, 1, 0), FileStat(1, 0, 0, 1), FileStat(2, 0, 0, 0)]
)
def test_any_change_starts_the_time_anew(stat: FileStat) -> None:
    tracker = StabilityTracker(2.0)
    tracker.observe(seen("a"), 0.0)
    tracker.observe(InboxFile(Path("/inbox/a"), stat, 0), 1.5)
    assert tracker.settled(2.0) == []
    assert [file.stat for file in tracker.settled(3.5)] == [stat]


def test_an_inbox_may_lie_beside_a_catalog_file(tmp_path: Path) -> None:
    """With --catalog ./catalog.db the catalog's folder is the working directory."""
    for name in ("inbox", "checkpoints"):
        (tmp_path / "project" / name).mkdir(parents=True)
    check_inbox(tmp_path / "project" / "inbox", tmp_path / "project")
    with pytest.raises(InboxError, match="own folder"):
        check_inbox(tmp_path / "project" / "checkpoints", tmp_path / "project")


def test_check_inbox(tmp_path: Path) -> None:
    inbox, catalog = tmp_path / "inbox", tmp_path / ".curate"
    inbox.mkdir()
    catalog.mkdir()
    (tmp_path / "file").touch()
    check_inbox(inbox, catalog)
    check_inbox(tmp_path, catalog)  # hidden, so never scanned
    check_inbox(inbox, None)


@pytest.mark.parametrize(
    ("inbox", "catalog", "message"),
    [
        ("nowhere", ".curate", "no such folder"),
        ("file", ".curate", "a file"),
        (".curate/checkpoints", ".curate", "lies in the catalog's own folder"),
        ("link", ".curate", "lies in the catalog's own folder"),
        ("shop", "shop", "lies in the catalog's own folder"),
        ("shop", "shop/catalog", "holds the catalog"),
    ],
)
def test_places_that_are_no_inbox(tmp_path: Path, inbox: str, catalog: str, message: str) -> None:
    for folder in (".curate/checkpoints", "shop/catalog"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / ".curate")
    with pytest.raises(InboxError, match=message) as caught:
        check_inbox(tmp_path / inbox, tmp_path / catalog)
    assert caught.value.path == tmp_path / inbox
    assert caught.value.exit_code == 2
