"""A device that is too small for a batch gets smaller ones; nothing else changes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from torch import Tensor

from curate.config import DecodeConfig, FinetuneConfig, GuardedRecipe, PaperRecipe, TrainConfig
from curate.errors import CurateError
from curate.finetune import finetune
from curate.images.decode import Decoder
from curate.ingest import ingest
from curate.model.network import TwoHeadNetwork
from curate.recipes.memory import in_memory
from curate.train import train
from curate.workspace import open_workspace

from .program import SHAPES, draw

ROOM = 16
"""Images that the device can be trained with at a time."""


@pytest.fixture
def small_device(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the batches that it was trained with."""
    real, sizes = TwoHeadNetwork.features, list[int]()

    def features(network: TwoHeadNetwork, images: Tensor) -> Tensor:
        if network.training:
            sizes.append(len(images))
            if len(images) > ROOM:
                raise torch.OutOfMemoryError("no room")
        return real(network, images)

    monkeypatch.setattr(TwoHeadNetwork, "features", features)
    return sizes


def test_half_is_tried_until_there_is_room() -> None:
    tried: list[int] = []

    def step(size: int) -> str:
        tried.append(size)
        if size > 20:
            raise torch.OutOfMemoryError("no room")
        return "done"

    assert in_memory(step, 128) == ("done", {"batch_size": 16})
    assert tried == [128, 64, 32, 16]
    assert in_memory(step, 20) == ("done", {})


def test_a_device_without_room_for_two_images_is_said() -> None:
    def step(size: int) -> None:
        raise torch.OutOfMemoryError("no room")

    with pytest.raises(CurateError, match=r"no room for batches of 3 images.*--device cpu"):
        in_memory(step, 6)


def test_training_goes_on_with_smaller_batches(tmp_path: Path, small_device: list[int]) -> None:
    for shape in SHAPES:
        draw(tmp_path / "labeled" / shape, shape, range(30))
    config = TrainConfig(epochs=1, image_size=32, batch_size=64, device="cpu")
    with (
        open_workspace(str(tmp_path / "store"), create=True) as workspace,
        Decoder(DecodeConfig(workers=1)) as decoder,
    ):
        trained = train(workspace, tmp_path / "labeled", config, decoder)
    assert trained.checkpoint.figures["batch_size"] == 16
    assert small_device[:3] == [63, 32, 16]
    assert set(small_device[2:]) == {16}


@pytest.mark.parametrize(
    "recipe",
    [
        PaperRecipe(epochs=1, margin=0.5, batch_size=64),
        GuardedRecipe(min_updates=2, max_updates=2, significance=1.0, batch_size=64),
    ],
)
def test_a_fine_tune_goes_on_with_smaller_batches(
    trained: Path, small_device: list[int], recipe: PaperRecipe | GuardedRecipe
) -> None:
    for kind in (*SHAPES, "noise"):
        draw(trained / "inbox", kind, range(5000, 5020))
    with (
        open_workspace(str(trained / ".curate"), create=False) as workspace,
        Decoder(DecodeConfig(workers=1)) as decoder,
    ):
        ingest(workspace, [str(trained / "inbox")], decoder)
        workspace.catalog.rates.set(0.1, datetime.now(UTC))
        result = finetune(workspace, FinetuneConfig(recipe=recipe, device="cpu", force=True))
    assert result.outcome in ("promoted", "rejected")
    assert result.figures["batch_size"] in (4, 8, 16)
    assert max(small_device[-2:]) <= ROOM
