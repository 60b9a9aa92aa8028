"""What lies under a path: files of any name are read whole, what is no file is never opened."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from curate.config import DecodeConfig
from curate.images import worker
from curate.images.decode import DecodedImage, Decoder, Passing

from .files import only, png, unreadable


def test_relative_and_strange_names(
    decoder: Decoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (b"\xff\xfe.png", b"a\nb\x1b[31m", b"[red]", b"--help", b"x" * 251 + b".png"):
        Path(os.fsdecode(name)).write_bytes(png())
        assert isinstance(only(decoder, Path(os.fsdecode(name))), DecodedImage), name


def test_what_is_no_file(decoder: Decoder, tmp_path: Path, good: Path) -> None:
    link, pipe, folder = tmp_path / "link.png", tmp_path / "pipe.png", tmp_path / "folder.jpg"
    link.symlink_to(good)
    os.mkfifo(pipe)
    folder.mkdir()
    assert only(decoder, link) == unreadable(link, "a symbolic link")
    assert only(decoder, pipe) == unreadable(pipe, "a named pipe")
    assert only(decoder, folder) == unreadable(folder, "a folder")
    assert only(decoder, Path(os.devnull)) == unreadable(Path(os.devnull), "a device")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        assert only(decoder, tmp_path / "s") == unreadable(tmp_path / "s", "a socket")


def test_below_the_root_no_link_is_followed(decoder: Decoder, tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root / "deep" / "er", outside / "er"):
        folder.mkdir(parents=True)
        (folder / "a.png").write_bytes(png())
    (tmp_path / "link").symlink_to(root)
    for place in (root, tmp_path / "link"):
        assert isinstance(below(decoder, place, "deep/er/a.png"), DecodedImage)
    (root / "deep").rename(root / "was")
    (root / "deep").symlink_to(outside)
    (root / "was" / "out").symlink_to(outside / "er")
    for name in ("deep/er/a.png", "was/out/a.png", "was/er/a.png/a.png"):
        assert below(decoder, root, name) == Passing("it vanished")
    assert isinstance(only(decoder, root / "deep" / "er" / "a.png"), DecodedImage)


def below(decoder: Decoder, root: Path, name: str) -> object:
    [(_, result)] = decoder.map([root / name], root)
    return result


def test_folders_without_end_leave_no_descriptor_open(decoder: Decoder, tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 40)
    deep.mkdir(parents=True)
    (deep / "a.png").write_bytes(png())
    for _ in range(20):
        assert below(decoder, tmp_path, "d/none/a.png") == Passing("it vanished")
        assert isinstance(below(decoder, tmp_path, f"{'d/' * 40}a.png"), DecodedImage)


def test_sparse_terabyte_and_empty(decoder: Decoder, tmp_path: Path) -> None:
    huge, empty = tmp_path / "huge.png", tmp_path / "empty.png"
    with huge.open("wb") as file:
        file.truncate(1 << 40)
    empty.touch()
    began = time.monotonic()
    reason = "1,099,511,627,776 bytes; at most 50,000,000"
    assert only(decoder, huge) == unreadable(huge, reason)
    assert time.monotonic() - began < 1
    assert only(decoder, empty) == unreadable(empty, "an empty file")


@pytest.mark.skipif(not os.getuid(), reason="root may read everything")
def test_mode_000(decoder: Decoder, good: Path) -> None:
    good.chmod(0)
    assert only(decoder, good) == unreadable(good, "cannot be read: Permission denied")


def test_vanished(decoder: Decoder, tmp_path: Path) -> None:
    assert only(decoder, tmp_path / "nothing.png") == Passing("it vanished")


def grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def touched(path: Path) -> None:
    os.utime(path, ns=(7, 7))


@pytest.mark.parametrize("change", [grown, cut, touched])
@pytest.mark.parametrize("when", ["before its first byte", "after its last"])
def test_changed_while_read(
    good: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], when: str
) -> None:
    """Whatever is decoded is one whole state of the file."""
    read = worker._read

    def overtaken(file: int, count: int) -> bytes:
        if when == "before its first byte":
            change(good)
        data = read(file, count)
        if when == "after its last":
            change(good)
        return data

    monkeypatch.setattr(worker, "_read", overtaken)
    answer = worker.look_at(os.fsencode(good.parent), os.fsencode(good.name), DecodeConfig())
    assert answer == ({"kind": "passing", "reason": "it changed while it was read"}, b"")
