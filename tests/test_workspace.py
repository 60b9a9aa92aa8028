"""Where the stores lie, and what is swept when they are opened."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from curate.errors import HeldByAnother, NoCatalog, StorageError, UsageError
from curate.workspace import hold, locate, open_workspace


def test_the_nearest_catalog_above_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoCatalog, match="curate train LABELED"), open_workspace(None, create=False):
        pass
    with open_workspace(None, create=True):
        pass
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert locate(None, create=True) == (
        tmp_path / ".curate",
        tmp_path / ".curate" / "catalog.db",
    )


def test_a_place_may_be_a_file_or_a_folder(tmp_path: Path) -> None:
    assert locate(str(tmp_path / "x.db"), create=True) == (tmp_path, tmp_path / "x.db")
    assert locate(str(tmp_path), create=True) == (tmp_path, tmp_path / "catalog.db")


def test_only_the_temporary_files_of_the_dead_are_swept(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host = socket.gethostname()
    with open_workspace(str(tmp_path), create=True):
        pass
    places = (tmp_path / "catalog.db.before-v2", tmp_path / "checkpoints" / "name")
    for place in places:
        place.with_name(f"{place.name}.tmp-{host}-{gone.pid}").mkdir()
        place.with_name(f"{place.name}.tmp-{host}-{os.getpid()}").write_text("x")
        place.with_name(f"{place.name}.tmp-elsewhere-{gone.pid}").write_text("x")
    with open_workspace(str(tmp_path), create=True):
        pass
    for place in places:
        left = sorted(path.name.split("tmp-")[1] for path in place.parent.glob("*.tmp-*"))
        assert left == sorted([f"elsewhere-{gone.pid}", f"{host}-{os.getpid()}"])


def test_what_a_stranger_named_like_a_temporary_file_is_not_swept(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    upload = tmp_path / "inbox" / f"a.jpg.tmp-{socket.gethostname()}-{gone.pid}"
    upload.parent.mkdir()
    upload.write_text("x")
    with open_workspace(str(tmp_path / "catalog.db"), create=True):
        pass
    assert upload.exists()


def test_a_place_that_may_not_be_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shut(_: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "is_file", shut)
    with (
        pytest.raises(StorageError, match="Permission denied; check its permissions"),
        open_workspace(None, create=True),
    ):
        pass


def test_an_empty_place_is_no_place() -> None:
    with pytest.raises(UsageError, match="--catalog is empty"):
        locate("", create=True)


def test_a_lease_has_one_holder(tmp_path: Path) -> None:
    with open_workspace(str(tmp_path), create=True) as workspace:
        with hold(workspace, "finetune", "the fine-tune") as first:
            with (
                pytest.raises(HeldByAnother, match=f"held by process {os.getpid()}"),
                hold(workspace, "finetune", "the fine-tune"),
            ):
                pass
            assert first.fence == 1
        with hold(workspace, "finetune", "the fine-tune") as second:
            assert second.fence == 2
