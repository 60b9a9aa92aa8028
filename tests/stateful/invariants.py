"""What must hold after every step, whatever the steps were."""

from __future__ import annotations

import io
import math
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from curate.catalog.store import NewScore
from curate.doctor import examine
from curate.images.decode import Decoder
from curate.images.transforms import load_pixels
from curate.model import checkpoint as checkpoints
from curate.model.checkpoint import Checkpoint
from curate.model.inference import predict
from curate.model.network import TwoHeadNetwork
from curate.model.scores import Reference
from curate.networks import score_rows
from curate.workspace import Workspace

from .contents import is_readable
from .disk import Disk
from .model import Model
from .rows import Rows

FIGURES = ("score", "discrepancy", "msp", "energy", "knn", "confidence")


def check_images(rows: Rows, disk: Disk, model: Model) -> None:
    """Nothing is forgotten, nothing is known that never was, and each preview shows its image."""
    assert model.images <= rows.images.keys(), "an image is forgotten"
    assert model.sightings <= set(rows.sightings), "a sighting is forgotten"
    for path, sha256 in rows.sightings:
        name = str(Path(path).relative_to(disk.root))
        assert (name, sha256) in disk.lain, "a content is said to have lain where it never did"
    files = {disk.path(name) for name, _ in disk.lain}
    assert {path for _, path in rows.unreadable} <= files, "what was never a file is recorded"
    assert {sha256 for _, sha256 in rows.sightings} == rows.images.keys()
    for sha256, row in rows.images.items():
        found = _looked_at(disk.kept[sha256], rows.previews[sha256])
        assert found == (row["format"], row["width"], row["height"], True), sha256
        assert row["bytes"] == len(disk.kept[sha256])
        assert is_readable(disk.kept[sha256]) is not False, "a broken file is catalogued"
    model.images, model.sightings = set(rows.images), set(rows.sightings)


def check_scores(rows: Rows, model: Model, workspace: Workspace, oracle: Oracle) -> None:
    """Each score is what its network says of its image; what is not scored is queued."""
    for (network, sha256), row in rows.scores.items():
        expected = oracle.score(network, sha256, workspace)
        assert row["label"] == expected.label
        assert row["calibration"] == expected.calibration
        for name in FIGURES:
            said = getattr(expected, name)
            assert math.isclose(row[name], said, rel_tol=1e-4, abs_tol=1e-4), name
        p_value = oracle.p_value(network, row["score"], row["calibration"])
        assert math.isclose(row["p_value"], p_value)
    for role, network in (("classifier", model.classifier), ("detector", model.detector)):
        assert rows.active(role) == network, role
        for sha256 in rows.images:
            scored, queued = (network, sha256) in rows.scores, (network, sha256) in rows.pending
            assert scored != queued, "an image is scored and queued, or neither"
    assert rows.networks == model.networks


def check_tags(rows: Rows, model: Model, workspace: Workspace) -> None:
    """Tags follow from reviews, p-values and the rate; every review is on its content."""
    assert rows.tags.keys() == rows.images.keys()
    assert workspace.catalog.rates.current() == model.rate
    for sha256, row in rows.tags.items():
        score = rows.scores.get((model.detector, sha256))
        assert row["tag"] == model.tag(sha256, score["p_value"] if score else None)
        said = model.verdict(sha256)
        reviewer, (verdict, class_name) = said or (None, (None, None))
        assert (row["verdict"], row["reviewed_by"]) == (verdict, reviewer)
        label = rows.scores.get((model.classifier, sha256))
        assert row["label"] == (class_name or (label and label["label"]))
    counts, tags = workspace.catalog.counts(), Counter(row["tag"] for row in rows.tags.values())
    assert (counts.id, counts.ood, counts.pending) == (tags["id"], tags["ood"], tags["pending"])
    judged = {name for step in model.steps for name in step.said}
    standing = {name: found[1] for name in judged if (found := model.verdict(name))}
    assert {name: (word, of) for name, word, of in workspace.catalog.reviews.standing()} == standing
    assert set(workspace.catalog.unlabeled()) == rows.images.keys() - standing.keys()
    assert judged <= rows.images.keys()


def check_house(workspace: Workspace, decoder: Decoder, deep: bool) -> None:
    """The databases are sound, and no lease is held but that of our watch."""
    found = list(examine(workspace, decoder, deep=deep))
    assert [finding for finding in found if finding.state == "broken"] == []
    assert {lease.name for lease in workspace.catalog.leases.list()} == {"watch"}


def check_caught_up(rows: Rows, disk: Disk, shut: str | None = None) -> None:
    """Every upload that lies there is catalogued as what it is, or unreadable with a reason."""
    sightings, root = set(rows.sightings), disk.root.as_uri()
    broken = {path: row for (source, path), row in rows.unreadable.items() if source == root}
    for name, sha256 in disk.uploads().items():
        path, readable = str(disk.root / name), is_readable(disk.kept[sha256])
        seen = (path, sha256) in sightings and path not in broken
        refused = path in broken and bool(broken[path]["reason"])
        if refused and name != shut:
            assert broken[path]["size"] == len(disk.kept[sha256]), "refused as it was before"
        if name == shut:
            readable = False
        assert seen or refused if readable is None else (seen if readable else refused), name


def check_ingested(rows: Rows, disk: Disk, name: str) -> None:
    """A file that was named to the program is catalogued as what it is, or has its reason."""
    sha256, path = disk.now[name], disk.path(name)
    seen = (path, sha256) in rows.sightings
    refused = any(found == path for _, found in rows.unreadable)
    readable = is_readable(disk.kept[sha256])
    assert seen or refused if readable is None else (seen if readable else refused), name


def check_scored(rows: Rows, model: Model) -> None:
    """Nothing waits for a network in service; nor for another, but after a killed fine-tune."""
    serving = {model.classifier, model.detector}
    waiting = {network for network, _ in rows.pending}
    assert not waiting & serving
    assert model.candidate_left or not waiting


def check_swept(folder: Path) -> None:
    """No temporary file is left."""
    assert [str(path) for path in folder.rglob("*.tmp-*")] == []


@cache
def _looked_at(content: bytes, preview: bytes) -> tuple[str | None, int, int, bool]:
    """Format and size of a file, and whether the preview shows the same pixels."""
    with Image.open(io.BytesIO(content)) as image, Image.open(io.BytesIO(preview)) as shown:
        same = np.array_equal(np.asarray(image.convert("RGB")), np.asarray(shown.convert("RGB")))
        return image.format, image.width, image.height, same


class Oracle:
    """What each network says of each image, asked for it alone; both never change."""

    def __init__(self) -> None:
        self._loaded: dict[str, tuple[Checkpoint, TwoHeadNetwork, Reference]] = {}
        self._said: dict[tuple[str, str], NewScore] = {}

    def score(self, network: str, sha256: str, workspace: Workspace) -> NewScore:
        """The row that a score must be."""
        if network not in self._loaded:
            self._loaded[network] = checkpoints.load(workspace.checkpoints / network)
        if (network, sha256) not in self._said:
            made, asked, reference = self._loaded[network]
            pixels = load_pixels(workspace.previews, [sha256], made.image_size)
            scores = predict(asked, pixels, torch.device("cpu"), reference=reference)
            (self._said[network, sha256],) = score_rows(made, [sha256], scores)
        return self._said[network, sha256]

    def p_value(self, network: str, score: float, calibration: str) -> float:
        """How many calibration scores are as large, the score's own among them."""
        held = torch.tensor(self._loaded[network][0].calibration[calibration]).tolist()
        return float((1 + sum(one >= score for one in held)) / (1 + len(held)))
