"""Each thing that can be amiss is found, said, and mended where that is safe."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from curate.config import DecodeConfig
from curate.doctor import Finding, examine
from curate.images.decode import Decoder
from curate.images.previews import Previews
from curate.status import ROLES
from curate.workspace import Workspace, open_workspace

from .kernel import LOCKS
from .program import draw, picture, run

HELD, MISSING = ([name for name in LOCKS if LOCKS[name] is held] for held in (True, False))
LIMITS = [
    ", ".join(["limits hold: memory, written files, core dumps, open files", *HELD]),
    *([f"no limit here: {', '.join(MISSING)}"] if MISSING else []),
]


@pytest.fixture(scope="module")
def project_once(trained_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with twelve uploads, tagged."""
    folder = tmp_path_factory.mktemp("doctor") / "project"
    shutil.copytree(trained_once, folder)
    draw(folder / "inbox" / "new", "disc", range(5000, 5012))
    run(folder, "ingest", "inbox")
    return folder


@pytest.fixture
def project(project_once: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change; its inbox is still where it was."""
    folder = tmp_path / "project"
    shutil.copytree(project_once, folder)
    return folder


def found(project: Path, decoder: Decoder, **options: bool) -> list[Finding]:
    with open_workspace(str(project / ".curate"), create=False) as workspace:
        return list(examine(workspace, decoder, **options))


def amiss(project: Path, decoder: Decoder, **options: bool) -> list[tuple[str, str, str]]:
    """What is not as it should be, but for limits that this kernel cannot keep."""
    return [
        (finding.check, finding.state, finding.message)
        for finding in found(project, decoder, **options)
        if finding.state != "ok" and finding.message not in LIMITS
    ]


def change(file: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(statement, values)
        connection.commit()


@pytest.mark.parametrize("deep", [False, True])
def test_a_whole_project_is_well(project: Path, decoder: Decoder, deep: bool) -> None:
    seen = found(project, decoder, deep=deep)
    assert {finding.state for finding in seen if finding.check != "decoder"} == {"ok"}
    assert {finding.check for finding in seen} == {
        "catalog",
        "previews",
        "networks",
        "counts",
        "inbox",
        "events",
        "disk",
        "decoder",
    }
    limits = [finding.message for finding in seen if finding.check == "decoder"]
    assert limits == LIMITS


def test_the_command_says_it_and_exits_so(project: Path) -> None:
    shown = run(project, "doctor").stdout
    assert "1, as they were made" in shown
    assert json.loads(run(project, "doctor", "--json").stdout)[0] == {
        "check": "catalog",
        "state": "ok",
        "message": "whole",
        "advice": "",
    }
    change(project / ".curate" / "previews.db", "DELETE FROM previews")
    told = run(project, "doctor", code=1).stdout
    assert "132 missing" in told
    assert "try --fix" in told
    run(project, "doctor", "--fix")
    run(project, "doctor", "--deep")


def test_lost_previews_are_made_again_where_the_original_is_still_the_same(
    project: Path, project_once: Path, decoder: Decoder
) -> None:
    with open_workspace(str(project / ".curate"), create=False) as workspace:
        before = dict(previews(workspace))
    inbox = project_once / "inbox" / "new"
    kept = [path.read_bytes() for path in (inbox / "disc-5000.png", inbox / "disc-5001.png")]
    change(project / ".curate" / "previews.db", "DELETE FROM previews")
    assert amiss(project, decoder) == [("previews", "broken", "132 missing")]
    try:
        (inbox / "disc-5000.png").unlink()
        shutil.copy(inbox / "disc-5002.png", inbox / "disc-5001.png")
        assert amiss(project, decoder, mend=True) == [
            ("previews", "mended", "130 made again from their originals"),
            ("previews", "broken", "2 missing"),
        ]
    finally:
        for number, content in enumerate(kept):
            (inbox / f"disc-500{number}.png").write_bytes(content)
    assert amiss(project, decoder, mend=True) == [
        ("previews", "mended", "2 made again from their originals")
    ]
    with open_workspace(str(project / ".curate"), create=False) as workspace:
        assert dict(previews(workspace)) == before


def previews(workspace: Workspace) -> dict[str, bytes]:
    return workspace.previews.get_many(list(workspace.previews.hashes()))


def test_no_link_is_followed_to_an_original(
    project: Path, project_once: Path, decoder: Decoder, tmp_path: Path
) -> None:
    new = project_once / "inbox" / "new"
    change(project / ".curate" / "previews.db", "DELETE FROM previews")
    shutil.move(new, tmp_path / "elsewhere")
    new.symlink_to(tmp_path / "elsewhere")
    try:
        assert ("previews", "broken", "12 missing") in amiss(project, decoder, mend=True)
    finally:
        new.unlink()
        shutil.move(tmp_path / "elsewhere", new)


def test_previews_without_a_row_are_counted_and_kept(project: Path, decoder: Decoder) -> None:
    with open_workspace(str(project / ".curate"), create=False) as workspace:
        workspace.previews.add([("0" * 64, b"x"), ("f" * 64, b"y")])
    seen = [f.message for f in found(project, decoder, mend=True) if f.check == "previews"]
    assert seen == ["the file is whole", "2 that no row needs (kept, in case one comes)"]


def torn(preview: bytes) -> bytes:
    return preview[: len(preview) // 2]


def another(preview: bytes) -> bytes:
    """A picture that opens as well."""
    stream = io.BytesIO()
    picture("noise", 1).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("damaged", [torn, another])
def test_a_damaged_preview_is_found_when_asked_deeply_and_made_again(
    project: Path, decoder: Decoder, damaged: Callable[[bytes], bytes]
) -> None:
    with open_workspace(str(project / ".curate"), create=False) as workspace:
        name = next(iter(workspace.catalog.contents()))
        preview = workspace.previews.get_many([name])[name]
        change(
            workspace.previews.path,
            "UPDATE previews SET bytes = ? WHERE sha256 = ?",
            damaged(preview),
            name,
        )
        assert amiss(project, decoder) == []
        broken = ("previews", "broken", f"damaged one: {name}")
        assert amiss(project, decoder, deep=True) == [broken]
        again = "1 damaged, made again from their originals"
        assert amiss(project, decoder, deep=True, mend=True) == [("previews", "mended", again)]
        assert workspace.previews.get_many([name]) == {name: preview}
        (active,) = {workspace.catalog.models.active(role) for role in ROLES}
        assert workspace.catalog.pending(str(active), 10) == [name]
        assert workspace.catalog.counts().pending == 1
        assert amiss(project, decoder, deep=True) == []


@pytest.mark.parametrize(("damaged", "queued"), [(torn, False), (another, True)])
def test_a_kill_while_a_preview_is_made_again_leaves_no_score_of_another_picture(
    project: Path,
    decoder: Decoder,
    monkeypatch: pytest.MonkeyPatch,
    damaged: Callable[[bytes], bytes],
    queued: bool,
) -> None:
    """Scores of one that does not open were made before, and queued it would stop a watch."""

    def killed(self: Previews, items: object) -> None:
        raise KeyboardInterrupt

    with open_workspace(str(project / ".curate"), create=False) as workspace:
        name = next(iter(workspace.catalog.contents()))
        preview = workspace.previews.get_many([name])[name]
        spoil = "UPDATE previews SET bytes = ? WHERE sha256 = ?"
        change(workspace.previews.path, spoil, damaged(preview), name)
        monkeypatch.setattr(Previews, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            list(examine(workspace, decoder, deep=True, mend=True))
        (active,) = {workspace.catalog.models.active(role) for role in ROLES}
        assert workspace.catalog.pending(str(active), 10) == ([name] if queued else [])


@pytest.mark.parametrize("file", ["model.safetensors", "checkpoint.json"])
@pytest.mark.parametrize("gone", [False, True])
def test_a_damaged_network_is_found(project: Path, decoder: Decoder, file: str, gone: bool) -> None:
    (checkpoint,) = (project / ".curate" / "checkpoints").iterdir()
    if gone:
        (checkpoint / file).unlink()
    else:
        content = bytearray((checkpoint / file).read_bytes())
        content[-2] ^= 1
        (checkpoint / file).write_bytes(content)
    damaged = f"damaged one: {checkpoint.name[:12]}"
    assert amiss(project, decoder) == [("networks", "broken", damaged)]


def test_a_catalog_without_networks_is_told_what_to_do(
    workspace: Workspace, decoder: Decoder
) -> None:
    seen = [finding for finding in examine(workspace, decoder) if finding.state != "ok"]
    assert [(f.check, f.state, f.advice) for f in seen] == [
        ("networks", "warning", "run `curate train LABELED`")
    ]


def test_forgotten_images_are_queued_again(project: Path, decoder: Decoder) -> None:
    file = project / ".curate" / "catalog.db"
    change(file, "DELETE FROM score WHERE sha256 IN (SELECT sha256 FROM score LIMIT 5)")
    (name,) = (path.name[:12] for path in (project / ".curate" / "checkpoints").iterdir())
    counts, broken = amiss(project, decoder)
    assert (broken, counts[:2]) == (
        ("queue", "broken", f"5 not queued for {name}"),
        ("counts", "broken"),
    )
    counts, mended = amiss(project, decoder, mend=True)
    assert (mended, counts[:2]) == (
        ("queue", "mended", f"5 images wait for {name} again"),
        ("counts", "mended"),
    )
    assert amiss(project, decoder) == []
    run(project, "ingest", "inbox")
    counts = json.loads(run(project, "status", "--json").stdout)["counts"]
    assert (counts["pending"], counts["images"]) == (0, 12)


def test_a_count_that_is_wrong_is_found_and_counted_anew(project: Path, decoder: Decoder) -> None:
    file = project / ".curate" / "catalog.db"
    change(file, "UPDATE total SET number = number + 2 WHERE what = 'image'")
    change(file, "DELETE FROM tally WHERE rowid = (SELECT min(rowid) FROM tally)")
    with open_workspace(str(project / ".curate"), create=False) as workspace:
        name = next(iter(workspace.catalog.contents()))
        workspace.catalog.reviews.add([(name, "ood", None)], "ann", datetime.now(UTC))
        workspace.catalog.models.score_again([name])
    run(project, "ingest", "inbox")
    (name, state, said), *others = amiss(project, decoder)
    assert (name, state, others) == ("counts", "broken", [])
    assert said.startswith("wrong ones: ")
    assert "total of image: 14 for 12" in said
    assert amiss(project, decoder, mend=True) == [("counts", "mended", "2 counted anew")]
    assert amiss(project, decoder) == []


def test_a_row_that_refers_to_nothing_is_found(project: Path, decoder: Decoder) -> None:
    change(
        project / ".curate" / "catalog.db",
        "DELETE FROM image WHERE sha256 = (SELECT min(sha256) FROM image)",
    )
    fault, counts = amiss(project, decoder)
    assert fault[:2] == ("catalog", "broken")
    assert "a row of sighting refers to none of image" in fault[2]
    assert counts[:2] == ("counts", "broken")


def test_a_damaged_page_is_found(project: Path, decoder: Decoder) -> None:
    file = project / ".curate" / "catalog.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        index = "SELECT rootpage FROM sqlite_master WHERE name = 'score_by_p_value'"
        (page,) = connection.execute(index).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    content = bytearray(file.read_bytes())
    # The last entry of the page, which lies at its beginning, gets another value.
    first = int.from_bytes(content[(page - 1) * size + 5 : (page - 1) * size + 7])
    content[(page - 1) * size + first + 20] ^= 1
    file.write_bytes(content)
    seen = [finding[:2] for finding in amiss(project, decoder, deep=True)]
    assert seen == [("catalog", "broken"), ("counts", "broken")]


def test_an_inbox_that_is_gone_or_polled_is_said(
    project: Path, project_once: Path, decoder: Decoder
) -> None:
    file = project / ".curate" / "catalog.db"
    change(file, "UPDATE source SET watch_mode = 'poll'")
    inbox = project_once / "inbox"
    assert amiss(project, decoder) == [("inbox", "warning", f"{inbox} is looked at without events")]
    change(file, "UPDATE source SET root_uri = 'file:///nowhere/at/all'")
    assert amiss(project, decoder) == [("inbox", "warning", "/nowhere/at/all is not there")]


def test_little_room_is_said(
    project: Path, decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Little:
        free = 200_000_000

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Little)
    assert amiss(project, decoder) == [("disk", "warning", "0.2 GB free")]


def test_limits_that_do_not_hold_are_said(
    project: Path, decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Decoder, "limits", lambda _: {"memory": False, "open files": True})
    assert amiss(project, decoder) == [("decoder", "warning", "no limit here: memory")]


def test_on_postgresql(trained: Path, database: str, tmp_path: Path) -> None:
    run(trained, "backup", "kept")
    home = tmp_path / "home"
    home.mkdir()
    run(home, "restore", trained / "kept", "--catalog", database)
    seen: list[dict[str, Any]] = json.loads(
        run(home, "doctor", "--deep", "--json", "--catalog", database).stdout
    )
    assert {finding["state"] for finding in seen if finding["check"] != "decoder"} == {"ok"}


def test_a_worker_says_its_limits_once_it_runs() -> None:
    with Decoder(DecodeConfig(workers=1)) as fresh:
        limits = fresh.limits()
        assert {name for name in limits if not limits[name]} == set(MISSING)
        assert len(fresh.pids) == 1
