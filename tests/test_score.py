"""The queue of images to score: no batch waits for its previews, and what comes late is scored."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event

import pytest
import torch
from torch import Tensor

from curate import networks, score
from curate.images.decode import Decoder
from curate.images.previews import Previews
from curate.images.transforms import load_pixels
from curate.ingest import ingest
from curate.model.inference import predict
from curate.model.network import TwoHeadNetwork
from curate.model.scores import Reference, Scores
from curate.score import Scorer
from curate.workspace import Workspace, open_workspace

from .program import draw

PATIENCE_SECONDS = 60


@pytest.fixture
def waiting(
    trained: Path, decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workspace]:
    """Twelve images to score, in batches of four."""
    monkeypatch.setattr(score, "BATCH", 4)
    draw(trained / "inbox", "disc", range(12))
    with open_workspace(str(trained / ".curate"), create=False) as workspace:
        ingest(workspace, [os.fspath(trained / "inbox")], decoder)
        yield workspace


def unscored(workspace: Workspace) -> int:
    return workspace.catalog.pending_count(str(workspace.catalog.models.active("detector")))


def test_the_next_previews_are_read_while_the_network_is_at_a_batch(
    waiting: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = [Event(), Event(), Event()]
    reads, passes = iter(begun), iter(begun[1:])

    def read(previews: Previews, hashes: Sequence[str], size: int) -> Tensor:
        next(reads).set()
        return load_pixels(previews, hashes, size)

    def forward(
        network: TwoHeadNetwork, pixels: Tensor, device: torch.device, reference: Reference
    ) -> Scores:
        following = next(passes, None)
        assert following is None or following.wait(PATIENCE_SECONDS)
        return predict(network, pixels, device, reference=reference)

    monkeypatch.setattr(networks, "load_pixels", read)
    monkeypatch.setattr(networks, "predict", forward)
    assert Scorer(waiting, "cpu").score_active() == 12
    assert unscored(waiting) == 0


def test_what_is_queued_meanwhile_is_scored_too_wherever_its_hash_lies(
    waiting: Workspace, decoder: Decoder
) -> None:
    inbox = waiting.folder.parent / "inbox"
    came: list[int] = []

    def more(done: int) -> None:
        if not came:
            draw(inbox, "disc", range(100, 130))
            came.append(ingest(waiting, [os.fspath(inbox)], decoder).images)

    assert Scorer(waiting, "cpu").score_active(more) == 12 + 30
    assert came == [30]
    assert unscored(waiting) == 0
