"""Tasks for Label Studio: what the model says as predictions, and the form in which people judge.

https://labelstud.io/guide/predictions and /guide/storage (local files).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from urllib.parse import quote_from_bytes
from xml.sax.saxutils import quoteattr

from curate.durable import finish, write_synced
from curate.export.rows import Record

MOST_TASKS = 10_000
"""In one file: more is slow to import."""
CONFIGURATION = "labeling-config.xml"
VERDICT, CLASS = "verdict", "class"
"""The names of the two choices; columns have others, so that a task's data keeps them all."""


def write_tasks(
    rows: Iterable[Record], folder: Path, name: str, classes: Sequence[str] = ()
) -> int:
    """Write `tasks-00001.json` and on, and the labeling configuration; returns how many rows.

    Images are asked for as local files below the folder that `name` lies in, which is to be Label
    Studio's LOCAL_FILES_DOCUMENT_ROOT.
    """
    known, count, left, number = dict.fromkeys(classes), 0, iter(rows), 0
    while some := list(islice(left, MOST_TASKS)):
        count, number = count + len(some), number + 1
        known |= dict.fromkeys(str(row["label"]) for row in some if row["label"] is not None)
        with (folder / f"tasks-{number:05}.json").open("w", encoding="utf-8") as out:
            json.dump([_task(row, name) for row in some if row["file_name"]], out, indent=1)
            finish(out)
    write_synced(folder / CONFIGURATION, _configuration(known).encode())
    return count


def _task(row: Record, name: str) -> Record:
    place = quote_from_bytes(os.fsencode(f"{name}/{row['file_name']}"))
    data = row | {"image": f"/data/local-files/?d={place}"}
    return {"data": data, "predictions": _predictions(row)}


def _predictions(row: Record) -> list[Record]:
    """What the row says now; nothing before the first score."""
    if row["tag"] == "pending":
        return []
    result = [_choice(VERDICT, str(row["tag"]))]
    if row["tag"] == "id" and row["label"] is not None:
        result.append(_choice(CLASS, str(row["label"])))
    model = str(row["checkpoint"] or "review")[:12]
    return [{"model_version": model, "score": row["confidence"], "result": result}]


def _choice(control: str, value: str) -> Record:
    shown = {"from_name": control, "to_name": "image", "type": "choices"}
    return {"id": control, **shown, "value": {"choices": [value]}}


def _configuration(classes: Iterable[str]) -> str:
    options = "\n".join(f"    <Choice value={quoteattr(name)}/>" for name in classes)
    return f"""<View>
  <Image name="image" value="$image"/>
  <Choices name="{VERDICT}" toName="image" choice="single-radio" required="true">
    <Choice value="id"/>
    <Choice value="ood"/>
  </Choices>
  <Choices name="{CLASS}" toName="image" choice="single-radio"
      visibleWhen="choice-selected" whenTagName="{VERDICT}" whenChoiceValue="id">
{options}
  </Choices>
</View>
"""
