"""The images of an update: the same whenever and in whatever order they are asked for."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from torch import Tensor

from curate.images.augmentation import draw
from curate.recipes import batches
from curate.recipes.batches import AHEAD, Batches

CPU = torch.device("cpu")
CUDA = torch.device("cuda")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def pictures(count: int = 30) -> list[Tensor]:
    """Pixels (N, 3, 16, 16) and labels (N,) that say which image they are of."""
    labels = torch.arange(count)
    return [labels.to(torch.uint8)[:, None, None, None].expand(-1, 3, 16, 16), labels]


def numbers(pixels: Tensor) -> Tensor:
    """Which image each is."""
    return pixels[:, 0, 0, 0].long()


def test_the_rows_of_all_tensors_belong_together() -> None:
    made = Batches(pictures(), 7, CPU)
    taken = [made.take(number, 10) for number in range(3)]
    assert all(torch.equal(numbers(pixels), labels) for pixels, labels in taken)
    assert torch.equal(torch.cat([labels for _, labels in taken]).sort().values, torch.arange(30))


def test_only_given_rows_are_taken() -> None:
    pixels, labels = Batches(pictures(), 7, CPU, torch.tensor([3, 5])).take(2, 8)
    assert set(labels.tolist()) == {3, 5}
    assert torch.equal(numbers(pixels), labels)


def noise(count: int = 30) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (count, 3, 16, 16)
    return [torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)]


def test_images_are_augmented_by_the_number_of_their_update() -> None:
    plain, changed = Batches(noise(), 7, CPU), Batches(noise(), 7, CPU, compressed=0.5)
    again = Batches(noise(), 7, CPU, compressed=0.5)
    again.take(0, 30)
    assert torch.equal(changed.take(3, 30)[0], again.take(3, 30)[0])
    assert not torch.equal(changed.take(3, 30)[0], plain.take(3, 30)[0])
    # Of one image alone, so that nothing but the number can make a difference.
    single = Batches(noise(), 7, CPU, torch.tensor([0]), compressed=0.0)
    one, other = (single.take(number, 30)[0] for number in (3, 4))
    assert not torch.equal(one, other)


def test_batches_made_ahead_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Batches([*noise(), torch.arange(30)], 7, CPU, compressed=0.5)
    wanted = [plain.take(number, 8) for number in range(20)]
    threads = set()

    def drawn(*arguments: Any) -> list[Tensor]:
        threads.add(threading.get_ident())
        return draw(*arguments)

    monkeypatch.setattr(batches, "_makes_ahead", lambda device: True)
    monkeypatch.setattr(batches, "draw", drawn)
    ahead = Batches([*noise(), torch.arange(30)], 7, CPU, compressed=0.5)
    for number, (pixels, labels) in enumerate(wanted):
        found = ahead.take(number, 8)
        assert torch.equal(found[0], pixels)
        assert torch.equal(found[1], labels)
        assert len(ahead._coming) == AHEAD
    assert threads
    assert threading.get_ident() not in threads


def test_an_error_in_a_batch_made_ahead_reaches_its_update(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def drawn(*_: object) -> list[Tensor]:
        raise MemoryError("no room")

    monkeypatch.setattr(batches, "_makes_ahead", lambda device: True)
    made = Batches(noise(), 7, CPU, compressed=0.5)
    asked.append(len(made.take(0, 8)))
    monkeypatch.setattr(batches, "draw", drawn)
    with pytest.raises(MemoryError, match="no room"):
        asked.extend(len(made.take(number, 8)) for number in range(1, 9))


@needs_cuda
@pytest.mark.parametrize("compressed", [None, 0.0, 0.5])
def test_a_gpu_gets_what_a_processor_gets(compressed: float | None) -> None:
    smooth = torch.arange(30 * 256).view(30, 1, 16, 16).expand(-1, 3, -1, -1) // 32
    tensors = [smooth.to(torch.uint8), torch.arange(30)]
    here, there = (Batches(tensors, 7, where, compressed=compressed) for where in (CPU, CUDA))
    for number in range(20):
        found, wanted = there.take(number, 8), here.take(number, 8)
        assert {part.device.type for part in found} == {"cuda"}
        assert torch.equal(found[1].cpu(), wanted[1])
        far = ((found[0].cpu().int() - wanted[0].int()).abs() > 1).float().mean()
        # A coefficient on the border of two steps changes its whole block.
        assert far < (0.03 if compressed else 1e-9)
