"""The images of an update: the same whenever and in whatever order they are asked for."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor

from curate.recipes import batches
from curate.recipes.batches import AHEAD, Batches

CPU = torch.device("cpu")
CUDA = torch.device("cuda")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def pictures(count: int = 30) -> list[Tensor]:
    """Pixels (N, 1) and labels (N,) that say which image they are of."""
    return [torch.arange(count).to(torch.uint8)[:, None], torch.arange(count)]


def test_the_rows_of_all_tensors_belong_together() -> None:
    made = Batches(pictures(), 7, CPU)
    taken = [made.take(number, 10) for number in range(3)]
    assert all(torch.equal(pixels[:, 0].long(), labels) for pixels, labels in taken)
    assert torch.equal(torch.cat([labels for _, labels in taken]).sort().values, torch.arange(30))


def test_only_given_rows_are_taken_and_augmented_by_their_number() -> None:
    rows = torch.tensor([3, 5])
    made = Batches(pictures(), 7, CPU, rows, lambda pixels, number: pixels + 10 * number)
    pixels, labels = made.take(2, 8)
    assert set(labels.tolist()) == {3, 5}
    assert torch.equal(pixels[:, 0].long(), labels + 20)


def test_batches_made_ahead_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Batches(pictures(), 7, CPU, augmented=lambda pixels, number: pixels + number)
    wanted = [plain.take(number, 8) for number in range(20)]
    threads = set()

    def augmented(pixels: Tensor, number: int) -> Tensor:
        threads.add(threading.get_ident())
        return pixels + number

    monkeypatch.setattr(batches, "_makes_ahead", lambda device: True)
    ahead = Batches(pictures(), 7, CPU, augmented=augmented)
    for number, (pixels, labels) in enumerate(wanted):
        found = ahead.take(number, 8)
        assert torch.equal(found[0], pixels)
        assert torch.equal(found[1], labels)
        assert len(ahead._coming) == AHEAD
    assert threading.get_ident() not in threads


def test_an_error_in_a_batch_made_ahead_reaches_its_update(monkeypatch: pytest.MonkeyPatch) -> None:
    def augmented(pixels: Tensor, number: int) -> Tensor:
        if number == 2:
            raise MemoryError("no room")
        return pixels

    monkeypatch.setattr(batches, "_makes_ahead", lambda device: True)
    made = Batches(pictures(), 7, CPU, augmented=augmented)
    made.take(0, 8)
    made.take(1, 8)
    with pytest.raises(MemoryError, match="no room"):
        made.take(2, 8)


@needs_cuda
def test_a_gpu_gets_what_a_processor_gets() -> None:
    here, there = Batches(pictures(), 7, CPU), Batches(pictures(), 7, CUDA)
    for number in range(20):
        found = there.take(number, 8)
        assert {part.device.type for part in found} == {"cuda"}
        assert all(map(torch.equal, here.take(number, 8), [part.cpu() for part in found]))
