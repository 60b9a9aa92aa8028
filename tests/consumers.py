"""What `tests/consumers.sh` asks of FiftyOne and of Label Studio's SDK, each in its environment.

For Label Studio, tasks are checked against the labeling configuration by its own code, and come
back as its JSON export would have them, with each prediction accepted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def fiftyone(folder: Path) -> None:
    """Load with the importer of FiftyOneImageClassificationDataset; no database is needed."""
    from fiftyone.utils.data.importers import FiftyOneImageClassificationDatasetImporter

    importer = FiftyOneImageClassificationDatasetImporter(dataset_dir=str(folder))
    with importer:
        samples = list(importer)
    found = [(Path(path), label) for path, _, label in samples]
    assert found
    assert all(path.is_file() for path, _ in found)
    classes = {label.label for _, label in found if label is not None}
    sys.stdout.write(f"FiftyOne: {len(found)} samples of {', '.join(sorted(classes))}\n")


def labelstudio(folder: Path) -> None:
    """Check configuration and tasks, and write what people would have exported."""
    from label_studio_sdk.label_interface import LabelInterface

    form = LabelInterface((folder / "labeling-config.xml").read_text())
    form.validate()
    tasks = [task for file in folder.glob("tasks-*.json") for task in json.loads(file.read_text())]
    assert tasks
    for task in tasks:
        assert form.validate_task(
            {"data": task["data"]}
        )  # with predictions it calls itself wrongly
        assert all(form.validate_prediction(made) for made in task["predictions"])
    judged = [
        {"data": task["data"], "annotations": [{"was_cancelled": False, "result": made["result"]}]}
        for task in tasks
        for made in task["predictions"]
    ]
    Path("tasks-judged.json").write_text(json.dumps(judged))
    sys.stdout.write(f"Label Studio: {len(tasks)} tasks fit their configuration\n")


if __name__ == "__main__":
    {"fiftyone": fiftyone, "labelstudio": labelstudio}[sys.argv[1]](Path(sys.argv[2]))
