"""Every format loaded by the tool that it is for."""

from __future__ import annotations

import hashlib
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet
import pytest
import webdataset
from PIL import Image
from pycocotools.coco import COCO
from torchvision.datasets import ImageFolder

from curate.catalog.query import Query, parse
from curate.export import Format, Options, export
from curate.export.folders import Place, write_hf
from curate.export.rows import COLUMNS, COPY_COLUMNS

from .conftest import NOW, SECRET, WORDS, Filled

# Both leave files open that they read from, for the garbage collector to close.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is asked of the network, nothing kept in the home folder."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def made(filled: Filled, format: Format, query: str = "", **options: Any) -> Path:
    """The export of a query."""
    place = filled.inbox.parent / (f"out.{format}" if format == "parquet" else "out")
    export(filled.workspace, parse(query), place, format, Options(**options))
    return place


def test_parquet_by_pyarrow(filled: Filled) -> None:
    place = made(filled, "parquet")
    table = pyarrow.parquet.read_table(place)
    assert tuple(table.column_names) == COLUMNS
    rows = {row["sha256"]: row for row in table.to_pylist()}
    row = rows[filled.hashes["b.png"]]
    assert (row["tag"], row["label"], row["width"]) == ("id", "cup & saucer", 32)
    assert (row["reviewed_at"], row["score"]) == (NOW, None)
    assert str(table.schema.field("score").type) == "double"
    export(filled.workspace, Query(), place, "parquet")  # goes over its own


def test_imagefolder_by_torchvision(filled: Filled) -> None:
    place = made(filled, "imagefolder", "tag:id")
    found = ImageFolder(str(place))
    assert found.classes == ["cup & saucer", "disc"]
    assert sorted(found.targets) == [0, 1, 1]
    assert found[0][0].size == (32, 32)


def test_imagefolder_keeps_ood_out_of_the_classes(filled: Filled) -> None:
    place = made(filled, "imagefolder")
    folders = {path.parent.name for path in place.glob("*/*")}
    assert folders == {"disc", "cup & saucer", "_ood", "_pending"}
    (ood,) = (place / "_ood").iterdir()
    assert ood.name == f"{filled.hashes['d'][:12]}-d.png"


@pytest.mark.parametrize("query", ["", "tag:ood"])
def test_hf_by_datasets(filled: Filled, query: str) -> None:
    place = made(filled, "hf", query)
    with (place / "metadata.jsonl").open() as lines:
        assert list(json.loads(next(lines))) == ["file_name", *COLUMNS, "file_sha256"]
    found = datasets.load_dataset(str(place), split="train")
    rows = {row["sha256"]: row for row in found}
    assert len(rows) == (1 if query else 5)
    row = rows[filled.hashes["d"]]
    assert (row["tag"], row["image"].size) == ("ood", (32, 32))


def test_hf_has_the_types_of_all_columns_in_its_first_rows(tmp_path: Path) -> None:
    """`datasets` takes them from 10 MB of rows; with other ones a later row cannot be read."""
    columns = dict.fromkeys(("sha256", "score", "label"))
    rows: list[dict[str, Any]] = [
        columns | {"file_name": f"images/{number}.png", "sha256": "0" * 3_000}
        for number in range(4_000)
    ]
    rows[-2]["score"], rows[-1]["label"] = 0.5, "cup"
    (tmp_path / "images").mkdir()
    for row in rows:
        (tmp_path / row["file_name"]).touch()
    assert write_hf(iter(rows), Place(tmp_path, "out")) == len(rows)
    assert (tmp_path / "metadata.jsonl").stat().st_size > 10 << 20
    found = datasets.load_dataset(str(tmp_path), split="train").remove_columns("image")
    assert len(found) == len(rows)
    assert [value for value in found["score"] if value is not None] == [0.5]
    assert [value for value in found["label"] if value is not None] == ["cup"]


def test_webdataset(filled: Filled) -> None:
    place = made(filled, "webdataset", shard_size=2)
    shards = sorted(str(path) for path in place.glob("shard-*.tar"))
    assert [Path(name).name for name in shards] == [f"shard-{n:06}.tar" for n in range(3)]
    samples = list(webdataset.WebDataset(shards, shardshuffle=False))
    found = {json.loads(sample["json"])["sha256"]: sample for sample in samples}
    assert found.keys() == set(filled.hashes.values())
    for name, suffix in (("a.jpg", "jpg"), ("=c.webp", "webp"), ("d", "png"), ("e.e.gif", "gif")):
        sample = found[filled.hashes[name]]
        row = json.loads(sample["json"])
        assert tuple(row) == COPY_COLUMNS
        assert hashlib.sha256(sample[suffix]).hexdigest() == row["file_sha256"]
        assert SECRET.encode() not in sample[suffix]


def test_webdataset_is_the_same_bytes_again(filled: Filled) -> None:
    first = (made(filled, "webdataset") / "shard-000000.tar").read_bytes()
    again = filled.inbox.parent / "again"
    export(filled.workspace, Query(), again, "webdataset")
    assert (again / "shard-000000.tar").read_bytes() == first


def test_coco_by_pycocotools(filled: Filled) -> None:
    place = made(filled, "coco")
    found = COCO(str(place / "annotations.json"))
    categories = {row["name"]: row["id"] for row in found.loadCats(found.getCatIds())}
    assert categories.keys() == {"disc", "cup & saucer"}
    assert len(found.getImgIds()) == 5
    discs = found.loadImgs(found.getImgIds(catIds=[categories["disc"]]))
    assert {row["sha256"] for row in discs} == {filled.hashes["a.jpg"], filled.hashes["=c.webp"]}
    assert all((place / row["file_name"]).is_file() for row in discs)
    annotations = found.loadAnns(found.getAnnIds())
    assert len(annotations) == 3
    assert {(tuple(row["bbox"]), row["area"]) for row in annotations} == {((0, 0, 32, 32), 1024)}


def test_fiftyone_is_as_its_importer_reads_it(filled: Filled) -> None:
    place = made(filled, "fiftyone")
    labels = json.loads((place / "labels.json").read_text())["labels"]
    files = {path.stem: path for path in (place / "data").iterdir()}
    assert labels.keys() == files.keys()
    by_hash = {name[:12]: target for name, target in labels.items()}
    disc = by_hash[filled.hashes["a.jpg"][:12]]
    assert (disc["label"], disc["attributes"]["tag"]) == ("disc", "id")
    assert disc["attributes"].keys().isdisjoint(disc)
    assert by_hash[filled.hashes["d"][:12]] is None


def test_labelstudio_tasks_and_configuration(filled: Filled) -> None:
    place = made(filled, "labelstudio")
    (file,) = place.glob("tasks-*.json")
    tasks = {task["data"]["sha256"]: task for task in json.loads(file.read_text())}
    task = tasks[filled.hashes["b.png"]]
    choices = [part["value"]["choices"] for part in task["predictions"][0]["result"]]
    assert choices == [["id"], ["cup & saucer"]]
    assert tasks[filled.hashes["e.e.gif"]]["predictions"] == []
    root = ElementTree.parse(place / "labeling-config.xml").getroot()  # noqa: S314
    names = {tag.get("name"): tag for tag in root}
    assert [tag.get("value") for tag in names["class"]] == ["disc", "cup & saucer"]
    for part in task["predictions"][0]["result"]:
        assert names[part["from_name"]].get("toName") == part["to_name"] == "image"
    served = task["data"]["image"].removeprefix("/data/local-files/?d=")
    with Image.open(filled.inbox.parent / served) as image:
        assert image.size == (32, 32)


def test_labelstudio_files_hold_no_more_tasks_than_it_likes(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curate.export.tasks.MOST_TASKS", 2)
    files = sorted(made(filled, "labelstudio").glob("tasks-*.json"))
    assert [len(json.loads(file.read_text())) for file in files] == [2, 2, 1]
    assert len(WORDS) == 5
