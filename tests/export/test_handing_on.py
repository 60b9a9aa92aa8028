"""Copies with and without metadata, links, what is new, dry runs, and going on after a kill."""

from __future__ import annotations

import csv
import hashlib
import os
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from curate.catalog.query import Query, parse
from curate.copies import Manner
from curate.durable import temporary_beside
from curate.errors import UsageError
from curate.export import Format, Options, Planned, export, plan, stream
from curate.export.manifests import BATCH, plain, write_csv
from curate.export.rows import COLUMNS, COPY_COLUMNS
from curate.tagging import tag

from ..program import abandoned
from .conftest import SECRET, Filled


def rows_of(place: Path) -> list[dict[str, str]]:
    with (place / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("keep", [True, False])
def test_the_manifest_holds_the_hash_of_the_original_and_of_the_copy(
    filled: Filled, tmp_path: Path, keep: bool
) -> None:
    options = Options(manner=Manner(keep_metadata=keep))
    export(filled.workspace, Query(), tmp_path / "out", "imagefolder", options)
    rows = rows_of(tmp_path / "out")
    assert [tuple(row) for row in rows] == [COPY_COLUMNS] * 5
    for row in rows:
        copy = tmp_path / "out" / row["file_name"]
        assert digest(copy) == row["file_sha256"]
        assert (SECRET.encode() in copy.read_bytes()) == keep
        assert (row["file_sha256"] == row["sha256"]) == keep
    assert {row["sha256"] for row in rows} == set(filled.hashes.values())


@pytest.mark.parametrize("format", ["imagefolder", "hf", "labelstudio"])
def test_links_are_the_originals(filled: Filled, tmp_path: Path, format: Format) -> None:
    for link in ("hardlink", "symlink"):
        place = tmp_path / link
        export(filled.workspace, Query(), place, format, Options(manner=Manner(link)))
        made = [path for path in place.rglob("*") if path.parent != place and not path.is_dir()]
        assert {path.stat().st_ino for path in made} == {
            path.stat().st_ino for path in filled.inbox.iterdir()
        }
        assert {path.is_symlink() for path in made} == {link == "symlink"}


def test_a_link_that_cannot_be_made_is_told_of(
    filled: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(UsageError, match="leave out --link"):
        export(filled.workspace, Query(), tmp_path / "o", "hf", Options(manner=Manner("hardlink")))
    assert not list(tmp_path.glob("o*"))


@pytest.mark.parametrize("format", ["csv", "parquet", "webdataset"])
def test_what_holds_no_files_holds_no_links(filled: Filled, tmp_path: Path, format: Format) -> None:
    options = Options(manner=Manner("symlink"))
    with pytest.raises(UsageError, match="leave out --link"):
        export(filled.workspace, Query(), tmp_path / f"o.{format}", format, options)


@pytest.mark.parametrize("format", ["imagefolder", "webdataset"])
def test_what_cannot_be_stripped_is_not_copied(
    filled: Filled, tmp_path: Path, format: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curate.copies.strip", lambda kind, data: None if kind == "GIF" else data)
    made = export(filled.workspace, Query(), tmp_path / "out", format)
    assert (made.rows, made.missing) == (5, ())
    assert made.unstripped == (str(filled.inbox / "e.e.gif"),)
    (left,) = (row for row in rows_of(tmp_path / "out") if not row["file_name"])
    assert left["sha256"] == filled.hashes["e.e.gif"]
    assert [row.sha256 for row in filled.workspace.catalog.iter_images(parse("exported:no"))] == [
        filled.hashes["e.e.gif"]
    ]


def test_new_is_what_no_finished_export_has_handed_on(filled: Filled, tmp_path: Path) -> None:
    new = parse("exported:no")
    assert export(filled.workspace, parse("tag:id"), tmp_path / "a.csv", "csv").rows == 3
    assert plan(filled.workspace, new, tmp_path / "b.csv", "csv").rows == 2
    (filled.inbox / "d").unlink()
    made = export(filled.workspace, new, tmp_path / "b", "imagefolder")
    assert (made.rows, len(made.missing)) == (2, 1)
    again = export(filled.workspace, new, tmp_path / "c.jsonl", "jsonl")
    assert again.rows == 1
    assert export(filled.workspace, new, tmp_path / "d.jsonl", "jsonl").rows == 0
    assert export(filled.workspace, parse("exported:yes"), tmp_path / "e.csv", "csv").rows == 5


def test_a_stream_of_what_is_new_hands_it_on_and_a_look_does_not(filled: Filled) -> None:
    class Gone(StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    everything, new = Query(), parse("exported:no")
    assert stream(filled.workspace, everything, "csv", False, StringIO()) == 5
    with pytest.raises(BrokenPipeError):
        stream(filled.workspace, new, "csv", False, Gone())
    assert stream(filled.workspace, new, "jsonl", False, StringIO()) == 5
    assert stream(filled.workspace, new, "jsonl", False, StringIO()) == 0


def test_a_failed_export_has_handed_nothing_on(filled: Filled, tmp_path: Path) -> None:
    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(filled.workspace, Query(), tmp_path / "a.csv", "csv", on_rows=stop)
    assert plan(filled.workspace, parse("exported:no"), tmp_path / "a.csv", "csv").rows == 5
    assert not list(tmp_path.glob("a.csv*"))


@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet"])
def test_a_dry_run_tells_the_size_of_a_manifest(
    filled: Filled, tmp_path: Path, format: Format
) -> None:
    place = tmp_path / f"out.{format}"
    told = plan(filled.workspace, Query(), place, format)
    assert not list(tmp_path.glob("out*"))
    export(filled.workspace, Query(), place, format)
    assert told == Planned(5, 0, place.stat().st_size)


def test_a_dry_run_tells_copies_and_bytes(filled: Filled, tmp_path: Path) -> None:
    (filled.inbox / "d").unlink()
    size = sum(path.stat().st_size for path in filled.inbox.iterdir())
    assert plan(filled.workspace, Query(), tmp_path / "out", "hf") == Planned(5, 4, size)
    assert not list(tmp_path.glob("out*"))


class Killed(BaseException):
    """Stands for a kill: what is there stays."""


def interrupted(filled: Filled, place: Path, format: Format, after: int, **options: Any) -> Path:
    """The folder that an export left when it ended after so many rows."""

    def stop(done: int) -> None:
        if done == after:
            raise Killed

    with pytest.raises(Killed):
        export(filled.workspace, Query(), place, format, Options(**options), stop)
    (left,) = place.parent.glob(f"{place.name}.tmp-*")
    return left.rename(abandoned(place))


@pytest.mark.parametrize("format", ["imagefolder", "hf", "fiftyone", "coco", "labelstudio"])
def test_a_killed_export_goes_on(filled: Filled, tmp_path: Path, format: Format) -> None:
    left = interrupted(filled, tmp_path / "out", format, 3)
    copies = {path.name: path for path in left.glob("*/*")}
    assert len(copies) >= 3
    damaged, *kept = sorted(copies)
    copies[damaged].write_bytes(b"torn")
    (left / "old").mkdir()
    (left / "old" / "x.png").write_bytes(b"of a row that is gone")
    before = {name: copies[name].stat().st_ino for name in kept}
    made = export(filled.workspace, Query(), tmp_path / "out", format)
    assert (made.rows, made.missing) == (5, ())
    after = {path.name: path.stat().st_ino for path in (tmp_path / "out").glob("*/*")}
    assert {name: after[name] for name in kept} == before
    export(filled.workspace, Query(), tmp_path / "whole", format)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert not list(tmp_path.glob("*.tmp-*"))


def contents(place: Path) -> dict[str, bytes]:
    """Every file but what names the folder itself."""
    return {
        str(path.relative_to(place)): path.read_bytes().replace(place.name.encode(), b"")
        for path in place.rglob("*")
        if path.is_file()
    }


def test_a_killed_webdataset_keeps_its_whole_shards(filled: Filled, tmp_path: Path) -> None:
    left = interrupted(filled, tmp_path / "out", "webdataset", 4, shard_size=2)
    (first, second) = sorted(left.glob("shard-*.tar"))
    second.write_bytes(second.read_bytes()[:-8000])
    inode = first.stat().st_ino
    export(filled.workspace, Query(), tmp_path / "out", "webdataset", Options(shard_size=2))
    assert (tmp_path / "out" / first.name).stat().st_ino == inode
    export(filled.workspace, Query(), tmp_path / "whole", "webdataset", Options(shard_size=2))
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_shard_whose_rows_say_something_else_by_now_is_written_anew(
    filled: Filled, tmp_path: Path
) -> None:
    interrupted(filled, tmp_path / "out", "webdataset", 4, shard_size=2)
    first = next(filled.workspace.catalog.iter_images(Query()))
    tag(filled.workspace, [first.sha256], "ood", None, "ann")
    export(filled.workspace, Query(), tmp_path / "out", "webdataset", Options(shard_size=2))
    export(filled.workspace, Query(), tmp_path / "whole", "webdataset", Options(shard_size=2))
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_what_was_made_on_other_terms_is_not_kept(filled: Filled, tmp_path: Path) -> None:
    left = interrupted(filled, tmp_path / "out", "hf", 3)
    assert len(list(left.glob("images/*"))) >= 3
    options = Options(manner=Manner(keep_metadata=True))
    export(filled.workspace, Query(), tmp_path / "out", "hf", options)
    for path in (tmp_path / "out").glob("images/*"):
        assert SECRET.encode() in path.read_bytes()


def test_what_lives_is_not_taken_over(filled: Filled, tmp_path: Path) -> None:
    mine = temporary_beside(tmp_path / "out")
    mine.mkdir()
    export(filled.workspace, Query(), tmp_path / "out", "hf")
    assert mine.is_dir()


def test_two_images_that_begin_alike_keep_their_own_copies(
    filled: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curate.export.copying.PREFIX", 0)
    made = export(filled.workspace, Query(), tmp_path / "out", "hf")
    assert made.missing == ()
    assert len(list((tmp_path / "out" / "images").iterdir())) == 5


def test_cells_come_back_as_they_were(tmp_path: Path) -> None:
    texts = ["=1+1", "'=1+1", "''@x", "plain", "'quoted'", "-", "\tx", "it's"]
    with (tmp_path / "x.csv").open("w+", newline="") as file:
        rows = [dict.fromkeys(COLUMNS, None) | {"label": text} for text in texts]
        write_csv(rows, file)
        file.seek(0)
        cells = [row["label"] for row in csv.DictReader(file)]
    assert not any(cell.startswith(("=", "-", "@", "\t")) for cell in cells)
    assert [plain(cell) for cell in cells] == texts
    assert len(texts) < BATCH
