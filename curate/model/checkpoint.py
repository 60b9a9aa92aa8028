"""Trained networks on disk: a directory named by the SHA-256 of its weights, refused if altered.

`<id>/model.safetensors` holds network and reference and, in its metadata, the SHA-256 of
`<id>/checkpoint.json`; so the id covers both files.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from curate.durable import sync_folder, temporary_beside, write_synced
from curate.errors import CheckpointRefused, StorageError, UsageError
from curate.model.backbones import build_network
from curate.model.discriminant import describe
from curate.model.network import TwoHeadNetwork
from curate.model.scores import COMBINED, LEARNED, Reference, Scores, Standard, tag_score
from curate.model.tensorfile import (
    NotTensorsError,
    header_bytes,
    metadata_of,
    pack,
    require_same,
    take_state,
    unpack,
)

WEIGHTS = "model.safetensors"
MANIFEST = "checkpoint.json"
FORMAT = 1
BANK = "bank"


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What is said of a network before it is saved."""

    kind: Literal["pretrained", "finetuned"]
    backbone: str
    image_size: int
    """Side of the square the network sees, in pixels."""
    classes: tuple[str, ...]
    parent: str | None
    """Id of the pre-trained checkpoint that a fine-tuned one started from."""
    snapshot: str
    """Id of the labeled images it was trained on."""
    recipe: str
    calibration: Mapping[str, tuple[float, ...]]
    """Scores of the calibration images: "held_out", and "canary" once fine-tuned."""
    standard: Standard = field(default_factory=dict)
    """Of the combined score; without one, images are tagged by the discrepancy alone (Eq. 6)."""
    pool: frozenset[str] = frozenset()
    """SHA-256 of the inbox images it was fine-tuned on."""
    bank: tuple[str, ...] = ()
    """SHA-256 of the labeled images that neighbours are sought among, in the order of the bank."""
    figures: Mapping[str, object] = field(default_factory=dict)
    """JSON values: what was measured when it was made."""

    def score(self, scores: Scores) -> Tensor:
        """The score (N,) that images are tagged by."""
        return tag_score(scores, self.standard)


@dataclass(frozen=True, kw_only=True)
class Checkpoint(Draft):
    """A saved network's manifest; `id` is the SHA-256 of its weights file."""

    id: str
    created: datetime


def save(
    folder: Path,
    network: TwoHeadNetwork,
    reference: Reference,
    draft: Draft,
    created: datetime,
) -> Checkpoint:
    """Write `<folder>/<id>/` whole or not at all; the same content again is fine.

    Raises StorageError when it cannot be written.
    """
    manifest = _manifest(draft, created)
    tensors = {**network.state_dict(), BANK: reference.bank.float()}
    if reference.discriminant is not None:
        tensors[LEARNED] = reference.discriminant.float()
    weights = pack(tensors, {MANIFEST: _digest(manifest)})
    made = _read(manifest, _digest(weights))
    try:
        _publish(folder / made.id, {WEIGHTS: weights, MANIFEST: manifest})
    except OSError as error:
        raise StorageError(folder, f"the checkpoint cannot be kept: {error.strerror}") from error
    return made


def load(path: Path) -> tuple[Checkpoint, TwoHeadNetwork, Reference]:
    """The checkpoint in the directory `path`: manifest, network (evaluation mode, CPU), reference.

    Everything is verified before it is used; raises CheckpointRefused with the reason.
    """
    weights, manifest = _content(path / WEIGHTS), _content(path / MANIFEST)
    if _digest(weights) != path.name:
        raise CheckpointRefused(path, f"{WEIGHTS} is not what it was when it was made")
    made = _verified(path, weights, manifest)
    try:
        tensors = unpack(weights)
        held = {name: tensors.pop(name) for name in (BANK, LEARNED) if name in tensors}
        network = build_network(made.backbone, None, len(made.classes), made.image_size).eval()
        _require_fit(network, made, held)
        take_state(network, tensors)
    except (NotTensorsError, UsageError) as error:
        raise CheckpointRefused(path, str(error)) from error
    return made, network, Reference(held[BANK], held.get(LEARNED))


def _require_fit(network: TwoHeadNetwork, made: Checkpoint, held: Mapping[str, Tensor]) -> None:
    """Raise NotTensorsError unless the reference is what such a network and standard go with."""
    rows = held.get(BANK, torch.empty(0)).shape[:1]
    expected = {BANK: torch.empty((*rows, network.head_1.in_features))}
    if LEARNED in made.standard:
        expected[LEARNED] = _description(network, made.image_size)
    require_same(expected, held)
    if not all(tensor.isfinite().all() for tensor in held.values()):
        raise NotTensorsError("not a network's: its reference holds what is no number")


def _description(network: TwoHeadNetwork, image_size: int) -> Tensor:
    """The shape (P,) of a description, without memory or time for what a stranger may ask of it."""
    shapes = copy.deepcopy(network).to("meta")
    image = torch.empty(1, 3, image_size, image_size, device="meta")
    try:
        return torch.empty(describe(shapes, image)[1].shape[1])
    except RuntimeError as error:
        raise NotTensorsError(f"for images of {image_size} pixels: {error}") from error


def read_manifest(path: Path) -> Checkpoint:
    """The manifest of the checkpoint in the directory `path`, without reading its weights.

    Raises CheckpointRefused when it is missing or not the one the weights were saved with.
    """
    try:
        header = header_bytes(path / WEIGHTS)
    except OSError as error:
        raise CheckpointRefused(path, f"{WEIGHTS}: {error.strerror}") from error
    return _verified(path, header, _content(path / MANIFEST))


def is_whole(path: Path) -> bool:
    """Whether the checkpoint in the directory `path` is what it was when it was made."""
    try:
        read_manifest(path)
        return _digest(_content(path / WEIGHTS)) == path.name
    except CheckpointRefused:
        return False


def _verified(path: Path, header: bytes, manifest: bytes) -> Checkpoint:
    try:
        expected = metadata_of(header).get(MANIFEST)
    except NotTensorsError as error:
        raise CheckpointRefused(path, f"{WEIGHTS} is {error}") from error
    if _digest(manifest) != expected:
        raise CheckpointRefused(path, f"{MANIFEST} is not what it was when it was made")
    try:
        return _read(manifest, path.name)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointRefused(path, f"{MANIFEST} cannot be read ({error})") from error


def _manifest(draft: Draft, created: datetime) -> bytes:
    facts: dict[str, Any] = {
        item.name: getattr(draft, item.name) for item in fields(Draft) if item.name != "pool"
    }
    facts |= {"format": FORMAT, "created": created.isoformat(), "pool": sorted(draft.pool)}
    return json.dumps(facts, sort_keys=True).encode()


def _read(manifest: bytes, identity: str) -> Checkpoint:
    facts: dict[str, Any] = json.loads(manifest)
    if (version := facts.pop("format")) != FORMAT:
        raise ValueError(f"format {version}, this curate knows {FORMAT}; update curate")
    facts["created"] = datetime.fromisoformat(facts["created"])
    facts["classes"] = tuple(facts["classes"])
    facts["pool"] = frozenset(facts["pool"])
    facts["bank"] = tuple(facts.get("bank", ()))
    facts["standard"] = _standard(facts["standard"])
    facts["calibration"] = {name: tuple(found) for name, found in facts["calibration"].items()}
    return Checkpoint(id=identity, **facts)


def _standard(found: dict[str, list[float]]) -> Standard:
    """Refuse what `combined` could not compute with: a manifest may come from a stranger."""
    if found and found.keys() - {LEARNED} != set(COMBINED):
        raise ValueError(f"a standard of {', '.join(sorted(found))}")
    standard = {name: (float(mean), float(deviation)) for name, (mean, deviation) in found.items()}
    if not all(math.isfinite(mean) and 0 < dev < math.inf for mean, dev in standard.values()):
        raise ValueError("a standard that is no number")
    return standard


def _publish(target: Path, files: Mapping[str, bytes]) -> None:
    if _holds(target, files):
        return
    temporary = temporary_beside(target)
    temporary.mkdir(parents=True)
    try:
        for name, content in files.items():
            write_synced(temporary / name, content)
        sync_folder(temporary)
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
        sync_folder(target.parent)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        if not _holds(target, files):
            raise


def _holds(target: Path, files: Mapping[str, bytes]) -> bool:
    try:
        return all((target / name).read_bytes() == content for name, content in files.items())
    except OSError:
        return False


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointRefused(path.parent, f"{path.name}: {error.strerror}") from error


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
