"""Copies of the images, and beside them what one tool or another reads about them.

Every folder but Hugging Face's has a `manifest.csv` of all rows; rows whose original is gone have
no `file_name`, and are in none of the other files.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from curate.copies import MANIFEST, class_folder
from curate.durable import finish
from curate.export.manifests import listed, write_jsonl
from curate.export.rows import COPY_COLUMNS, Record
from curate.export.tasks import write_tasks


@dataclass(frozen=True)
class Place:
    """Where a folder's files are written, the name it will have, and the classes of the network."""

    folder: Path
    name: str
    classes: Sequence[str] = ()


Writer = Callable[[Iterable[Record], Place], int]


@dataclass(frozen=True)
class Layout:
    """Into which folder a copy goes, and what writes the files beside the copies."""

    folder_of: Callable[[Record], str]
    write: Writer


def write_manifest_only(rows: Iterable[Record], place: Place) -> int:
    """`manifest.csv` alone, for torchvision, timm and Keras, which go by the folders' names."""
    return sum(1 for _ in _listed(rows, place))


def write_hf(rows: Iterable[Record], place: Place) -> int:
    """`metadata.jsonl` with `file_name` first, as Hugging Face's ImageFolder reads it.

    It takes the columns' types from the first 10 MB, so a row goes to the head where no other has
    told something in one of its columns yet.
    """
    count, told = 0, set[str]()
    with (
        (place.folder / "metadata.jsonl").open("w", encoding="utf-8") as out,
        TemporaryFile("w+", encoding="utf-8") as others,
    ):
        for row in rows:
            if row["file_name"]:
                tells = {name for name, value in row.items() if value is not None}
                first = {"file_name": row["file_name"]}
                count += write_jsonl([first | row], others if tells <= told else out)
                told |= tells
        others.seek(0)
        shutil.copyfileobj(others, out)
        finish(out)
    return count


def write_fiftyone(rows: Iterable[Record], place: Place) -> int:
    """`labels.json` for FiftyOne's FiftyOneImageClassificationDataset.

    An image has the label of its class, none when it is not ID; its row is in the attributes.
    """
    with (place.folder / "labels.json").open("w", encoding="utf-8") as out:
        out.write('{"labels": {')
        count, separator = 0, ""
        for row in _listed(rows, place):
            count += 1
            if row["file_name"]:
                name = Path(str(row["file_name"])).stem
                out.write(f"{separator}{json.dumps(name)}: {json.dumps(_target(row))}")
                separator = ",\n"
        out.write("}}\n")
        finish(out)
    return count


def _target(row: Record) -> Record | None:
    """What FiftyOne makes a Classification of; attributes may not be named as its fields are."""
    if _class_of(row) is None:
        return None
    fields = {name: row[name] for name in ("label", "confidence")}
    return fields | {"attributes": {name: row[name] for name in row if name not in fields}}


def write_coco(rows: Iterable[Record], place: Place) -> int:
    """`annotations.json` of COCO: a class is a category, an ID image one annotation of all of it.

    OOD images have no annotation. The columns stand with each image, `first_seen` among them.
    """
    numbers = {name: number for number, name in enumerate(place.classes, 1)}
    with (
        (place.folder / "annotations.json").open("w", encoding="utf-8") as out,
        TemporaryFile("w+", encoding="utf-8") as annotations,
    ):
        out.write('{"images": [')
        count, separator = 0, ""
        for count, row in enumerate(_listed(rows, place), 1):
            if row["file_name"]:
                out.write(separator + json.dumps(row | {"id": count}))
                separator = ",\n"
                _annotate(row, count, numbers, annotations)
        out.write('],\n"annotations": [')
        annotations.seek(0)
        for number, line in enumerate(annotations):
            out.write((",\n" if number else "") + line.rstrip("\n"))
        categories = [{"id": number, "name": name} for name, number in numbers.items()]
        out.write(f'],\n"categories": {json.dumps(categories)}}}\n')
        finish(out)
    return count


def _annotate(row: Record, number: int, classes: dict[str, int], out: IO[str]) -> None:
    """The annotation of an ID image: its number is the image's."""
    name = _class_of(row)
    if name is None:
        return
    width, height = int(str(row["width"])), int(str(row["height"]))
    made = {
        "id": number,
        "image_id": number,
        "category_id": classes.setdefault(name, len(classes) + 1),
        "bbox": [0, 0, width, height],
        "area": width * height,
        "iscrowd": 0,
        "score": row["confidence"],
    }
    out.write(json.dumps(made) + "\n")


def _write_labelstudio(rows: Iterable[Record], place: Place) -> int:
    return write_tasks(_listed(rows, place), place.folder, place.name, place.classes)


def _class_of(row: Record) -> str | None:
    return str(row["label"]) if row["tag"] == "id" and row["label"] is not None else None


def _listed(rows: Iterable[Record], place: Place) -> Iterator[Record]:
    """The rows, each in `manifest.csv` by then; the file is whole when they end."""
    with (place.folder / MANIFEST).open("w", encoding="utf-8", newline="") as out:
        yield from listed(rows, out, COPY_COLUMNS)
        finish(out)


LAYOUTS: dict[str, Layout] = {
    "imagefolder": Layout(class_folder, write_manifest_only),
    "hf": Layout(lambda _: "images", write_hf),
    "fiftyone": Layout(lambda _: "data", write_fiftyone),
    "labelstudio": Layout(lambda _: "images", _write_labelstudio),
    "coco": Layout(lambda _: "images", write_coco),
}
