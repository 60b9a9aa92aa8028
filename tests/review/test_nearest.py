"""The neighbours that the page shows are those that the network really compares with."""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path

from curate.review.nearest import nearest
from curate.workspace import open_workspace

from ..program import SHAPES, draw, run


def test_an_image_that_was_learned_from_lies_nearest_to_itself(trained: Path) -> None:
    with open_workspace(str(trained / ".curate"), create=False) as workspace:
        models = workspace.catalog.models
        row = models.get(str(models.active("classifier"))[:12])
        learned = [r for r in models.snapshot_images(row.snapshot_id) if r.split == "train"]
    inbox, first = trained / "inbox", learned[0]
    inbox.mkdir()
    shutil.copy(trained / "labeled" / first.path, inbox / "again.png")
    other = draw(inbox, SHAPES[0], range(7_000, 7_001))[0]
    run(trained, "ingest", "inbox")
    with open_workspace(str(trained / ".curate"), create=False) as workspace:
        found = nearest(workspace, first.sha256)
        assert found[0] == (first.sha256, first.class_name)
        assert len({name for name, _ in found}) == 3
        known = {row.sha256: row.class_name for row in learned}
        for name, label in nearest(workspace, sha256(other.read_bytes()).hexdigest()):
            assert label == known[name]
        assert nearest(workspace, "0" * 64) == []
