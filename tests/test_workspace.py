"""Where the stores lie, and what is swept when they are opened."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from curate.durable import maker_of, temporary_beside
from curate.errors import HeldByAnother, NoCatalog, StorageError, UsageError
from curate.workspace import hold, locate, open_workspace

from .program import abandoned


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
    host = socket.gethostname()
    with open_workspace(str(tmp_path), create=True):
        pass
    for place in (tmp_path / "catalog.db.before-v2", tmp_path / "checkpoints" / "name"):
        dead, ours = abandoned(place), temporary_beside(place)
        elsewhere = dead.with_name(dead.name.replace(f"tmp-{host}", "tmp-elsewhere"))
        dead.mkdir()
        ours.write_text("x")
        elsewhere.write_text("x")
        with open_workspace(str(tmp_path), create=True):
            pass
        assert set(place.parent.glob("*.tmp-*")) == {ours, elsewhere}


@pytest.mark.parametrize("token", ["12345678", "0123abcd"])
def test_a_temporary_name_tells_its_maker(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda count: token)
    monkeypatch.setattr("socket.gethostname", lambda: "host-7-of-9")
    made = temporary_beside(Path("a", "catalog.db"))
    assert maker_of(made) == (os.getpid(), "host-7-of-9")
    assert maker_of(made.with_name(f"{made.name}-journal")) == (os.getpid(), "host-7-of-9")
    assert maker_of(Path("a.tmp-x-1")) is None


def test_what_a_stranger_named_like_a_temporary_file_is_not_swept(tmp_path: Path) -> None:
    upload = abandoned(tmp_path / "inbox" / "a.jpg")
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
