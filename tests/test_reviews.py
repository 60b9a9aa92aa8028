"""Words that come back from spreadsheets and from Label Studio."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from curate.catalog.query import Query, parse
from curate.errors import UsageError
from curate.export import export
from curate.export.manifests import ManifestFormat
from curate.images.decode import Decoder
from curate.ingest import ingest
from curate.reviews import Imported, import_reviews
from curate.workspace import Workspace

from .program import draw


@pytest.fixture
def hashes(tmp_path: Path, workspace: Workspace, decoder: Decoder) -> list[str]:
    """Three images in the catalog, by their names."""
    draw(tmp_path / "inbox", "disc", range(3))
    ingest(workspace, [str(tmp_path / "inbox")], decoder)
    rows = sorted(workspace.catalog.iter_images(Query()), key=lambda row: row.path)
    return [row.sha256 for row in rows]


def edit(place: Path, *changes: tuple[str, str, str]) -> Path:
    """Change (hash, tag, label) of rows in a manifest, as text."""
    lines = place.read_text().splitlines()
    for sha256, tag, label in changes:
        at = next(n for n, line in enumerate(lines) if sha256 in line)
        if place.suffix == ".csv":
            lines[at] = lines[at].replace(f"{sha256},pending,,,,", f"{sha256},{tag},,,{label},")
        else:
            row = json.loads(lines[at]) | {"tag": tag, "label": label}
            lines[at] = json.dumps(row)
    place.write_text("\n".join(lines) + "\n")
    return place


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_manifest_goes_out_and_comes_back(
    tmp_path: Path, workspace: Workspace, hashes: list[str], suffix: ManifestFormat
) -> None:
    place = tmp_path / f"out.{suffix}"
    export(workspace, Query(), place, suffix)
    assert import_reviews(workspace, place, "ann") == Imported(0, 0)
    label = "'=1+1" if suffix == "csv" else "=1+1"
    edit(place, (hashes[0], "ood", ""), (hashes[1], "id", label))
    assert import_reviews(workspace, place, "ann") == Imported(2, 0)
    expected = [(hashes[0], "ood", None), (hashes[1], "id", "=1+1")]
    assert sorted(workspace.catalog.reviews.standing()) == sorted(expected)
    assert len(workspace.catalog.reviews.undo("ann", workspace.catalog.sources()[0].added_at)) == 2


@pytest.mark.parametrize(
    ("tag", "label", "word"),
    [
        ("ood", "dog", ("id", "dog")),
        ("pending", "dog", ("id", "dog")),
        ("", "dog", ("id", "dog")),
        ("id", "dog", ("id", "dog")),
        ("id", "cat", ("id", None)),
        ("OOD", "cat", None),
    ],
)
def test_a_new_class_means_id_whatever_the_tag_was(
    tmp_path: Path, workspace: Workspace, hashes: list[str], tag: str, label: str, word: Any
) -> None:
    """Of an image that was ood, and cat by what it looks most like."""
    for name, row in (("old", "ood,cat"), ("new", f"{tag},{label}")):
        (tmp_path / name).write_text(f"sha256,tag,label\n{hashes[0]},{row}\n")
    import_reviews(workspace, tmp_path / "new", "ann", tmp_path / "old")
    standing = workspace.catalog.reviews.standing()
    assert standing == ([(hashes[0], *word)] if word else [])


def test_a_new_class_beside_a_new_tag_of_ood_means_ood(
    tmp_path: Path, workspace: Workspace, hashes: list[str]
) -> None:
    (tmp_path / "old").write_text(f"sha256,tag,label\n{hashes[0]},id,cat\n")
    (tmp_path / "new").write_text(f"sha256,tag,label\n{hashes[0]},ood,dog\n")
    import_reviews(workspace, tmp_path / "new", "ann", tmp_path / "old")
    assert workspace.catalog.reviews.standing() == [(hashes[0], "ood", None)]


def test_after_another_word_the_manifest_as_exported_is_asked_for(
    tmp_path: Path, workspace: Workspace, hashes: list[str]
) -> None:
    for name in ("old.csv", "new.csv"):
        export(workspace, Query(), tmp_path / name, "csv")
    edit(tmp_path / "new.csv", (hashes[0], "ood", ""))
    now = workspace.catalog.sources()[0].added_at
    workspace.catalog.reviews.add([(hashes[1], "ood", None)], "ben", now)
    with pytest.raises(UsageError, match="--original"):
        import_reviews(workspace, tmp_path / "new.csv", "ann")
    made = import_reviews(workspace, tmp_path / "new.csv", "ann", tmp_path / "old.csv")
    assert made == Imported(1, 0)
    assert {row.sha256 for row in workspace.catalog.iter_images(parse("tag:ood"))} == {*hashes[:2]}


def test_after_another_rate_the_manifest_as_exported_is_asked_for(
    tmp_path: Path, workspace: Workspace, hashes: list[str]
) -> None:
    export(workspace, Query(), tmp_path / "new.csv", "csv")
    edit(tmp_path / "new.csv", (hashes[0], "ood", ""))
    workspace.catalog.rates.set(0.1, datetime.now(UTC))
    with pytest.raises(UsageError, match="alarm rate"):
        import_reviews(workspace, tmp_path / "new.csv", "ann")


def task(sha256: str, *annotations: dict[str, Any]) -> dict[str, Any]:
    """A task as Label Studio exports it."""
    return {"id": 1, "data": {"sha256": sha256}, "annotations": list(annotations)}


def annotation(updated: str, cancelled: bool = False, **choices: str) -> dict[str, Any]:
    """An annotation with one choice of each control."""
    result = [
        {
            "from_name": name.removeprefix("of_"),
            "to_name": "image",
            "type": "choices",
            "value": {"choices": [value]},
        }
        for name, value in choices.items()
    ]
    told = {"completed_by": 7, "was_cancelled": cancelled, "updated_at": updated}
    return told | {"result": result}


def test_label_studio_s_last_word_counts(
    tmp_path: Path, workspace: Workspace, hashes: list[str]
) -> None:
    tasks = [
        task(
            hashes[0],
            annotation("2026-01-02", verdict="ood", of_class="disc"),
            annotation("2026-01-01", verdict="id"),
        ),
        task(hashes[1], annotation("2026-01-01", of_class="disc")),
        task(hashes[2], annotation("2026-01-01", cancelled=True, verdict="ood")),
        task("0" * 64, annotation("2026-01-01", verdict="ood")),
    ]
    (tmp_path / "ls.json").write_text(json.dumps(tasks))
    assert import_reviews(workspace, tmp_path / "ls.json", "ann") == Imported(2, 1)
    expected = [(hashes[0], "ood", None), (hashes[1], "id", "disc")]
    assert sorted(workspace.catalog.reviews.standing()) == sorted(expected)


def test_label_studio_s_older_words_do_not_take_back_what_was_said_here(
    tmp_path: Path, workspace: Workspace, hashes: list[str]
) -> None:
    told = [(hashes[0], "id", "disc"), (hashes[1], "id", "disc")]
    workspace.catalog.reviews.add(told, "ben", datetime(2026, 1, 2, 12, tzinfo=UTC))
    tasks = [
        task(hashes[0], annotation("2026-01-02T13:59:00+02:00", verdict="ood")),
        task(hashes[1], annotation("2026-01-02T12:01:00Z", verdict="ood")),
        task(hashes[2], annotation("2026-01-01", verdict="ood")),
    ]
    (tmp_path / "ls.json").write_text(json.dumps(tasks))
    assert import_reviews(workspace, tmp_path / "ls.json", "ann") == Imported(2, 0, older=1)
    assert sorted(workspace.catalog.reviews.standing()) == sorted(
        [told[0], (hashes[1], "ood", None), (hashes[2], "ood", None)]
    )


def test_label_studio_s_other_controls_say_nothing(
    tmp_path: Path, workspace: Workspace, hashes: list[str]
) -> None:
    judged = annotation("2026-01-01", verdict="ood")
    judged["result"] += [
        {"type": "relation", "from_id": "a", "to_id": "b"},
        {"from_name": "note", "type": "textarea", "value": {"text": ["blurred"]}},
        {"from_name": "of_class", "type": "choices", "value": {"choices": []}},
    ]
    (tmp_path / "ls.json").write_text(json.dumps([task(hashes[0], judged)]))
    assert import_reviews(workspace, tmp_path / "ls.json", "ann") == Imported(1, 0)
    assert workspace.catalog.reviews.standing() == [(hashes[0], "ood", None)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no manifest|nothing"),
        ("a,b\n1,2\n", "no export of Label Studio"),
        ('[{"id": 1}]', "not JSON-MIN"),
        ("[", "not JSON-MIN"),
        ('{"path": 1}\n', "no export of Label Studio"),
        ("sha256,tag,label\nx,maybe,\n", "use id or ood"),
        ("sha256,tag,label\nx,id,a/b\n", "no name of a class"),
        ("sha256,tag,label\nx,id\n", "no export of Label Studio"),
        ('{"sha256": "x", "tag": "", "label": ""}\n{"sha256": "y"}\n', "no export of Label Studio"),
        ('{"sha256": ' + "[" * 100_000, "no export of Label Studio"),
        ("[" * 100_000, "not JSON-MIN"),
        ("sha256,tag,label,first_seen\nx,id,,yesterday\n", "a time that is none"),
        ("sha256,tag,label,first_seen\nx,id,,0001-01-01T00:00:00+23:00\n", "a time that is none"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, workspace: Workspace, hashes: list[str], text: str, reason: str
) -> None:
    (tmp_path / "x").write_text(text)
    if not text:
        assert import_reviews(workspace, tmp_path / "x", "ann") == Imported(0, 0)
        return
    with pytest.raises(UsageError, match=reason):
        import_reviews(workspace, tmp_path / "x", "ann")
    assert workspace.catalog.reviews.standing() == []


def test_what_cannot_be_read_is_refused(tmp_path: Path, workspace: Workspace) -> None:
    (tmp_path / "x").write_bytes(b"\xff\xfe")
    for name, reason in (("x", "UTF-8"), ("none", "No such file")):
        with pytest.raises(UsageError, match=reason):
            import_reviews(workspace, tmp_path / name, "ann")
