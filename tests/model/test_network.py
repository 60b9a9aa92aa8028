"""The two-head network and its batched forward pass."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from curate.errors import UsageError
from curate.model.backbones import build_network
from curate.model.device import autocast, choose_device, memory_format, training_autocast
from curate.model.inference import features, predict
from curate.model.network import TwoHeadNetwork
from curate.model.scores import Reference, neighbours, score_logits

CPU = torch.device("cpu")


class Means(nn.Module):
    """Channel means."""

    def forward(self, images: Tensor) -> Tensor:
        means: Tensor = images.mean((2, 3))
        return means


class Crowded(nn.Module):
    """Channel means on a device that holds two images at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(len(images))
        if len(images) > 2:
            raise torch.OutOfMemoryError("too many")
        means: Tensor = images.mean((2, 3))
        return means


def test_pixels_are_scaled_and_normalised_by_hand() -> None:
    network = TwoHeadNetwork(Means(), 3, 2, (0.5, 0.2, 0.0), (0.5, 0.1, 2.0))
    white = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    assert network.features(white).tolist()[0] == pytest.approx([1.0, 8.0, 0.5])
    assert network.features(white.float() / 255).tolist()[0] == pytest.approx([1.0, 8.0, 0.5])


def test_logits_are_two_linear_heads_on_the_same_features(tiny: TwoHeadNetwork) -> None:
    found = torch.tensor([[1.0, 2.0, 3.0]])
    rows, bias = tiny.head_2.weight.tolist(), tiny.head_2.bias.tolist()
    by_hand = [row[0] + 2 * row[1] + 3 * row[2] + b for row, b in zip(rows, bias, strict=True)]
    assert tiny.logits(found)[1][0].tolist() == pytest.approx(by_hand, abs=1e-6)
    assert (tiny.head_1.weight != tiny.head_2.weight).all()


def test_heads_stay_in_single_precision(tiny: TwoHeadNetwork) -> None:
    found = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.bfloat16)
    assert tiny.logits(found)[0].dtype == torch.float32


@pytest.mark.parametrize("name", ["small-resnet", "densenet-bc-100-12"])
def test_autocast_does_not_reach_the_pooling(name: str, pixels: Tensor) -> None:
    torch.manual_seed(0)
    network = build_network(name, None, 4).eval()
    images = pixels.repeat_interleave(2, 2).repeat_interleave(2, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = network.features(images)
    assert found.dtype == torch.float32
    assert (found != found.bfloat16()).any(), "rounded before it came here"


def test_what_a_backbone_gives_in_half_precision_goes_on_in_single(tiny: TwoHeadNetwork) -> None:
    tiny.backbone = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert tiny.features(torch.ones(2, 3, 2, 2)).dtype == torch.float32


def test_normalisation_travels_with_the_weights(tiny: TwoHeadNetwork) -> None:
    assert tiny.state_dict()["mean"].flatten().tolist() == pytest.approx([0.5, 0.4, 0.3])
    assert "std" not in dict(tiny.named_parameters())


@pytest.mark.parametrize("batch_size", [1, 3, 10, 99])
def test_the_batch_size_changes_nothing(
    tiny: TwoHeadNetwork, pixels: Tensor, batch_size: int
) -> None:
    tiny.eval()
    with torch.no_grad():
        whole = score_logits(*tiny(pixels))
    scores = predict(tiny, pixels, CPU, batch_size)
    assert scores.discrepancy.tolist() == pytest.approx(whole.discrepancy.tolist(), abs=1e-6)
    assert scores.label.tolist() == whole.label.tolist()


def test_prediction_is_in_evaluation_mode_and_leaves_training_mode_on(
    tiny: TwoHeadNetwork, pixels: Tensor
) -> None:
    before = {name: tensor.clone() for name, tensor in tiny.state_dict().items()}
    tiny.train()
    first = predict(tiny, pixels, CPU)
    assert tiny.training
    assert all((tensor == before[name]).all() for name, tensor in tiny.state_dict().items())
    assert predict(tiny.eval(), pixels, CPU).energy.tolist() == first.energy.tolist()
    assert not tiny.training


def test_batches_may_come_one_by_one(tiny: TwoHeadNetwork, pixels: Tensor) -> None:
    def stream() -> Iterator[Tensor]:
        yield pixels[:4]
        yield pixels[4:]

    whole = predict(tiny, pixels, CPU)
    assert predict(tiny, stream(), CPU).energy.tolist() == pytest.approx(whole.energy.tolist())
    assert len(predict(tiny, pixels[:0], CPU)) == 0


def test_the_bank_gives_neighbour_distances(tiny: TwoHeadNetwork, pixels: Tensor) -> None:
    found = features(tiny, pixels, CPU, batch_size=3)
    assert found.shape == (10, 3)
    assert predict(tiny, pixels, CPU).knn.isnan().all()
    scores = predict(tiny, pixels, CPU, reference=Reference(found[:1]))
    near = neighbours(found, found[:1])
    assert scores.knn.tolist() == pytest.approx(near.distance.tolist(), abs=1e-5)
    assert scores.nearest.tolist() == near.rows.tolist()
    assert scores.knn[0].item() == pytest.approx(0.0, abs=1e-5)


def test_features_can_be_trained_on(tiny: TwoHeadNetwork, pixels: Tensor) -> None:
    found = features(tiny, pixels, CPU)
    tiny.head_1(found).sum().backward()
    assert tiny.head_1.weight.grad is not None
    assert tiny.head_1.weight.grad[0].tolist() == pytest.approx(found.sum(0).tolist(), rel=1e-4)


def test_a_batch_that_does_not_fit_is_halved_until_it_does(pixels: Tensor) -> None:
    backbone = Crowded()
    network = TwoHeadNetwork(backbone, 3, 2, (0.0,) * 3, (1.0,) * 3)
    scores = predict(network, pixels[:5], CPU, batch_size=5)
    assert backbone.seen == [5, 3, 2, 1, 2]
    alone = [predict(network, pixels[i : i + 1], CPU).energy.item() for i in range(5)]
    assert scores.energy.tolist() == pytest.approx(alone, abs=1e-6)


def test_one_image_that_does_not_fit_is_an_error(pixels: Tensor) -> None:
    class Full(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            raise torch.OutOfMemoryError("none left")

    network = TwoHeadNetwork(Full(), 3, 2, (0.0,) * 3, (1.0,) * 3)
    with pytest.raises(torch.OutOfMemoryError):
        predict(network, pixels[:4], CPU)


def test_devices_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == CPU
    for name in ("cuda", "cuda:1", "mps"):
        with pytest.raises(UsageError, match=f"no device '{name}'"):
            choose_device(name)
    with pytest.raises(UsageError, match="no device is called 'gpu'"):
        choose_device("gpu")


def test_devices_that_are_there_are_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto").type == "cuda"
    assert choose_device("cuda:1").index == 1
    with pytest.raises(UsageError, match="cuda:2"):
        choose_device("cuda:2")


def test_scores_never_hang_on_what_a_cpu_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    with autocast(CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


@pytest.mark.parametrize(
    ("capabilities", "groups", "expected"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, 1, torch.bfloat16),
        ({"avx512_bf16": False, "amx_bf16": True}, 1, torch.bfloat16),
        ({"avx512_bf16": True}, 4, torch.float32),
        ({"avx512_f": True}, 1, torch.float32),
    ],
)
def test_training_multiplies_in_bfloat16_where_the_cpu_does(
    monkeypatch: pytest.MonkeyPatch,
    capabilities: dict[str, bool],
    groups: int,
    expected: torch.dtype,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    backbone = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1, groups=groups), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    network = TwoHeadNetwork(backbone, 4, 3, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0))
    pixels = torch.rand(2, 3, 2, 2)
    with training_autocast(network):
        assert backbone[0](pixels).dtype == expected
        assert {logits.dtype for logits in network(pixels)} == {torch.float32}


def test_a_torch_that_does_not_say_trains_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    with training_autocast(nn.Conv2d(1, 1, 1)):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_layouts() -> None:
    assert memory_format(CPU) == torch.channels_last
    assert memory_format(torch.device("mps")) == torch.contiguous_format
    assert memory_format(torch.device("cuda")) == torch.channels_last


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_the_processor(pixels: Tensor) -> None:
    from curate.model.backbones import build_backbone

    torch.manual_seed(0)
    network = TwoHeadNetwork(*build_backbone("small-resnet", None), 4, (0.5,) * 3, (0.25,) * 3)
    images = pixels.repeat_interleave(8, 2).repeat_interleave(8, 3)
    bank = features(network, images, CPU)
    here = predict(network, images, CPU, reference=Reference(bank))
    there = predict(network, images, torch.device("cuda"), batch_size=4, reference=Reference(bank))
    assert there.discrepancy.tolist() == pytest.approx(here.discrepancy.tolist(), abs=0.02)
    assert there.knn.tolist() == pytest.approx(here.knn.tolist(), abs=0.02)
