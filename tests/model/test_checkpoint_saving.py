"""Checkpoints on their way to the disk: whole or not at all, and never read without bounds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from curate.errors import StorageError
from curate.model import tensorfile
from curate.model.checkpoint import save
from curate.model.network import TwoHeadNetwork

from .test_checkpoint import CREATED, DRAFT, REFERENCE


def test_a_failed_save_leaves_nothing_and_says_where(
    tmp_path: Path, tiny: TwoHeadNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device") as caught:
        save(tmp_path, tiny, REFERENCE, DRAFT, CREATED)
    assert caught.value.exit_code == 6
    assert os.listdir(tmp_path) == []


def test_files_and_folder_are_on_the_disk_before_the_name_is(
    tmp_path: Path, tiny: TwoHeadNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    synced, renamed = os.fsync, Path.rename

    def fsync(descriptor: int) -> None:
        name = Path(os.readlink(f"/proc/self/fd/{descriptor}")).name
        steps.append("temporary" if ".tmp-" in name else name)
        synced(descriptor)

    def rename(path: Path, target: Path) -> Path:
        steps.append("rename")
        assert path.name.startswith(f"{target.name}.tmp-")
        assert f"-{os.getpid()}-" in path.name
        return renamed(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", rename)
    save(tmp_path, tiny, REFERENCE, DRAFT, CREATED)
    assert steps == [
        "model.safetensors",
        "checkpoint.json",
        "temporary",
        "rename",
        tmp_path.name,
    ]


def test_a_header_is_never_read_further_than_the_format_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorfile, "HEADER_LIMIT", 16)
    (tmp_path / "x").write_bytes(b"\xff" * 8 + b"a" * 100)
    assert tensorfile.header_bytes(tmp_path / "x") == b"\xff" * 8 + b"a" * 16
