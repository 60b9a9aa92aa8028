"""The checkpoints of a workspace, loaded when first asked, and what they say of catalogued images.

Loading torch takes seconds and half a gigabyte; what only queues work does without this room.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch

from curate.catalog.store import NewScore
from curate.images.transforms import load_pixels
from curate.model import checkpoint as checkpoints
from curate.model.calibration import p_values
from curate.model.checkpoint import Checkpoint
from curate.model.device import choose_device
from curate.model.inference import predict
from curate.model.network import TwoHeadNetwork
from curate.model.scores import Reference, Scores, disagreement
from curate.workspace import Workspace


class Networks:
    """Networks by their checkpoint's id; those that were used lately are at hand."""

    def __init__(self, workspace: Workspace, device: str) -> None:
        """`device` is a name for `choose_device`."""
        self._workspace = workspace
        self._device = choose_device(device)
        self._loaded: dict[str, tuple[Checkpoint, TwoHeadNetwork, Reference]] = {}

    def scored(
        self, checkpoint_id: str, batches: Iterable[Sequence[str]]
    ) -> Iterator[list[NewScore]]:
        """The catalog's rows of images scored with one checkpoint, by batches of their hashes.

        While the network is at one batch, the previews of the next are read: two are in memory.
        """
        made, network, reference = self._load(checkpoint_id)
        read = partial(load_pixels, self._workspace.previews, size=made.image_size)
        for hashes, pixels in _read_ahead(batches, read):
            scores = predict(network, pixels, self._device, reference=reference)
            yield score_rows(made, hashes, scores)

    def keep(self, checkpoint_ids: Collection[str]) -> None:
        """Forget all networks but those of `checkpoint_ids`."""
        self._loaded = {name: kept for name, kept in self._loaded.items() if name in checkpoint_ids}

    def _load(self, checkpoint_id: str) -> tuple[Checkpoint, TwoHeadNetwork, Reference]:
        if checkpoint_id not in self._loaded:
            self._loaded[checkpoint_id] = checkpoints.load(
                self._workspace.checkpoints / checkpoint_id
            )
        return self._loaded[checkpoint_id]


def _read_ahead(
    batches: Iterable[Sequence[str]], read: Callable[[Sequence[str]], torch.Tensor]
) -> Iterator[tuple[Sequence[str], torch.Tensor]]:
    """Each batch with its pixels; the next is asked for and read in a thread of its own."""
    wanted = iter(batches)

    def following() -> tuple[Sequence[str], torch.Tensor] | None:
        hashes = next(wanted, None)
        return None if hashes is None else (hashes, read(hashes))

    with ThreadPoolExecutor(1, thread_name_prefix="previews") as thread:
        coming = thread.submit(following)
        while (batch := coming.result()) is not None:
            coming = thread.submit(following)
            yield batch


def score_rows(made: Checkpoint, hashes: Sequence[str], scores: Scores) -> list[NewScore]:
    """The catalog's rows for `scores` of the images `hashes`, each with its p-value.

    An image that was in the fine-tune's pool is read against the canaries, which were treated as
    it was; any other against the calibration images that were held out.
    """
    read_against = ["canary" if name in made.pool else "held_out" for name in hashes]
    score, apart = made.score(scores), disagreement(scores, made.standard)
    p = {name: p_values(score, torch.tensor(made.calibration[name])) for name in set(read_against)}
    near = scores.nearest.tolist()
    return [
        NewScore(
            sha256=name,
            score=float(score[i]),
            discrepancy=float(scores.discrepancy[i]),
            msp=float(scores.msp[i]),
            energy=float(scores.energy[i]),
            knn=float(scores.knn[i]),
            disagreement=float(apart[i]),
            label=made.classes[int(scores.label[i])],
            confidence=float(scores.confidence[i]),
            p_value=float(p[against][i]),
            calibration=against,
            nearest=" ".join(str(row) for row in near[i] if row >= 0),
        )
        for i, (name, against) in enumerate(zip(hashes, read_against, strict=True))
    ]
