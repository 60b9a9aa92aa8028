"""The steps of both recipes on a network small enough to follow, and their interruption."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from curate.config import GuardedRecipe, PaperRecipe, TrainConfig
from curate.errors import UsageError
from curate.model.candidates import Candidates
from curate.model.loss import discrepancy, supervised_loss
from curate.model.network import TwoHeadNetwork
from curate.model.split import LabeledSplit
from curate.recipes.pretraining import epochs_between_saves, pretrain
from curate.recipes.runs import (
    Diverged,
    Run,
    Update,
    newest_weight,
    run_guarded,
    run_paper,
    take_in,
)
from curate.recipes.steps import step_a, step_b

SIDE, CLASSES = 4, 5
PAPER_LOSSES = [3.19109, 1.20593, 3.30386, 1.20299, 3.24439, 1.20111]
GUARDED_LOSSES = [3.21172, 0.25961, 3.21459, 0.25585, 3.31361, 0.25520]


def tiny_network(classes: int = CLASSES) -> TwoHeadNetwork:
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 8), nn.ReLU())
    return TwoHeadNetwork(backbone, 8, classes, (0.0,) * 3, (1.0,) * 3)


def images(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (count, 3, SIDE, SIDE)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def candidates(unlabeled: int = 30, share: float = 0.2) -> Candidates:
    return Candidates(torch.arange(0, 40, 4), torch.arange(unlabeled), share, 0.0)


def a_run(tmp_path: Path, unlabeled: int = 30, stop_at: int | None = None) -> Run:
    labels = torch.arange(40) % CLASSES
    labeled = LabeledSplit(images(40, 1), labels, tuple(str(n) for n in range(40)))

    def on_update(update: Update) -> None:
        if update.number == stop_at:
            raise KeyboardInterrupt

    return Run(labeled, images(unlabeled, 2), 7, tmp_path / "run.safetensors", on_update)


def sgd(network: nn.Module, rate: float = 0.1) -> torch.optim.SGD:
    return torch.optim.SGD(network.parameters(), lr=rate)


def sup_loss(network: TwoHeadNetwork, pixels: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    logits_1, logits_2 = network(pixels)
    return supervised_loss(logits_1, logits_2, labels)


def test_step_a_is_one_gradient_step_on_eq_2() -> None:
    network, expected = tiny_network(), tiny_network()
    pixels, labels = images(6, 3), torch.arange(6) % CLASSES
    loss = step_a(network, sgd(network), pixels, labels)
    wanted = sup_loss(expected, pixels, labels)
    torch.autograd.backward(wanted)
    assert loss.item() == pytest.approx(wanted.item())
    for got, before in zip(network.parameters(), expected.parameters(), strict=True):
        assert before.grad is not None
        assert torch.allclose(got, before - 0.1 * before.grad)


def test_step_a_with_detach_moves_the_extractor_by_the_first_head_alone() -> None:
    network, expected = tiny_network(), tiny_network()
    pixels, labels = images(6, 3), torch.arange(6) % CLASSES
    step_a(network, sgd(network), pixels, labels, detach=True)
    torch.autograd.backward(nn.functional.cross_entropy(expected(pixels)[0], labels))
    got, before = extractor(network), extractor(expected)
    assert before.grad is not None
    assert torch.allclose(got, before - 0.1 * before.grad)


def extractor(network: TwoHeadNetwork) -> nn.Parameter:
    return dict(network.named_parameters())["backbone.1.weight"]


def test_step_b_raises_the_discrepancy_of_the_unlabeled() -> None:
    network = tiny_network()
    pixels, labels, unlabeled = images(6, 3), torch.arange(6) % CLASSES, images(6, 4)
    before = discrepancy(*network(unlabeled)).mean()
    supervised, unsupervised = step_b(
        network, sgd(network, 0.01), pixels, labels, unlabeled, margin=1.2
    ).tolist()
    assert unsupervised == pytest.approx(1.2 - before.item())
    assert supervised == pytest.approx(sup_loss(tiny_network(), pixels, labels).item())
    assert discrepancy(*network(unlabeled)).mean() > before


def test_paper_takes_ten_epochs_of_steps(tmp_path: Path) -> None:
    # 40 labeled images in batches of 16 are 3 mini-batches an epoch.
    recipe = PaperRecipe(batch_size=16, learning_rate=0.01)
    assert run_paper(tiny_network(), recipe, a_run(tmp_path)) == 30


@pytest.mark.parametrize("classes", [2, 3])
def test_paper_refuses_a_margin_out_of_reach(tmp_path: Path, classes: int) -> None:
    with pytest.raises(UsageError, match=f"cannot be reached with {classes} classes"):
        run_paper(tiny_network(classes), PaperRecipe(), a_run(tmp_path))


@pytest.mark.parametrize("unlabeled", [1, 3, 200])
def test_guarded_takes_an_inbox_of_any_size(tmp_path: Path, unlabeled: int) -> None:
    recipe, run = (
        GuardedRecipe(min_updates=3, max_updates=5, batch_size=8),
        a_run(tmp_path, unlabeled),
    )
    assert 3 <= run_guarded(tiny_network(), recipe, candidates(unlabeled), run) <= 5


def endless(**options: float | None) -> GuardedRecipe:
    """A recipe that the number of passes does not end."""
    return replace(GuardedRecipe(learning_rate=0.05, passes=10**6), **options)  # type: ignore[arg-type]


def test_guarded_makes_so_many_passes_over_the_candidates_within_its_bounds(tmp_path: Path) -> None:
    # 4 passes over 30 candidates in batches of 8 are 15 updates.
    recipe = GuardedRecipe(passes=4, batch_size=8, min_updates=2, max_updates=20, reach=99)
    for bounds, wanted in (({}, 15), ({"min_updates": 17}, 17), ({"max_updates": 11}, 11)):
        run = a_run(tmp_path / str(wanted))
        assert run_guarded(tiny_network(), replace(recipe, **bounds), candidates(), run) == wanted


def test_guarded_stops_once_its_aim_is_met(tmp_path: Path) -> None:
    recipe = endless(min_updates=10, max_updates=4000, reach=0.3)
    updates = run_guarded(tiny_network(), recipe, candidates(share=0.6), a_run(tmp_path))
    assert 10 <= updates < 4000


@pytest.mark.parametrize("share", [0.0, 0.6])
def test_without_a_reach_no_update_is_pushed_and_none_is_spared(
    tmp_path: Path, share: float
) -> None:
    recipe, pushes = endless(min_updates=10, max_updates=40, reach=None), []
    one, other = tiny_network(), tiny_network()
    run = replace(a_run(tmp_path), on_update=lambda update: pushes.append(update.unsupervised))
    assert run_guarded(one, recipe, candidates(share=share), run) == 40
    assert pushes == [0.0] * 40
    run_guarded(other, recipe, candidates(share=share), replace(run, unlabeled=images(30, 9)))
    for ours, theirs in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_an_interrupted_run_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    recipe = GuardedRecipe(min_updates=130, max_updates=130)
    whole, parts = tiny_network(), tiny_network()
    run_guarded(whole, recipe, candidates(), a_run(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        run_guarded(parts, recipe, candidates(), a_run(tmp_path / "parts", stop_at=77))
    resumed = tiny_network()
    seen: list[int] = []
    run = a_run(tmp_path / "parts")
    run_guarded(
        resumed,
        recipe,
        candidates(),
        Run(run.labeled, run.unlabeled, 7, run.progress, lambda u: seen.append(u.number)),
    )
    assert seen[0] == 51
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("device", "updates", "epochs"),
    [("cpu", 3, 1), ("cpu", 5_000, 1), ("cuda", 390, 3), ("cuda", 5_000, 1)],
)
def test_short_epochs_on_a_gpu_are_not_all_kept(device: str, updates: int, epochs: int) -> None:
    assert epochs_between_saves(torch.device(device), updates) == epochs


def test_the_weights_of_the_average_by_hand() -> None:
    found = [newest_weight(updates) for updates in (0, 1, 10, 90, 1_990, 9_990)]
    assert found == pytest.approx([1, 10 / 11, 1 / 2, 1 / 10, 1 / 200, 1 / 1_000])


def test_two_thirds_of_the_average_are_the_last_tenth() -> None:
    weights: list[float] = []
    for updates in range(1_000):
        newest = newest_weight(updates)
        weights = [weight * (1 - newest) for weight in weights] + [newest]
    # Each update leaves n / (n + 10) to the others: (900 ... 909) / (1,000 ... 1,009), or 0.35.
    assert sum(weights[900:]) == pytest.approx(1 - math.perm(909, 10) / math.perm(1_009, 10))
    assert sum(weights[900:]) == pytest.approx(0.65, abs=0.01)


def test_an_average_takes_in_parameters_and_buffers_by_hand() -> None:
    average, network = nn.BatchNorm1d(1), nn.BatchNorm1d(1)
    for name, tensor in network.state_dict().items():
        tensor.fill_({"weight": 3.0, "bias": -1.0, "running_mean": 4.0}.get(name, 10.0))
    take_in(average, network, 1 / 2)
    assert [tensor.item() for tensor in average.state_dict().values()] == [2, -0.5, 2, 5.5, 10]
    take_in(average, network, 1.0)
    for name, tensor in network.state_dict().items():
        assert torch.equal(average.state_dict()[name], tensor)


def test_a_guarded_run_ends_in_its_average(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[nn.Module, float]] = []

    def watched(average: nn.Module, network: nn.Module, weight: float) -> None:
        take_in(average, network, weight)
        taken.append((average, weight))

    monkeypatch.setattr("curate.recipes.runs.take_in", watched)
    network = tiny_network()
    recipe = GuardedRecipe(min_updates=3, max_updates=3, batch_size=8)
    run_guarded(network, recipe, candidates(), a_run(tmp_path))
    assert [weight for _, weight in taken] == pytest.approx([1, 10 / 11, 10 / 12])
    for name, tensor in taken[-1][0].state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor)


def test_averaging_reads_nothing_back_from_the_device() -> None:
    # On the device "meta" tensors have no values, so that reading one raises.
    with torch.device("meta"):
        average, network = tiny_network(), tiny_network()
    take_in(average, network, newest_weight(5))


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    network = tiny_network()
    network.head_1.weight.data.fill_(math.inf)
    with pytest.raises(Diverged, match="update 1"):
        run_guarded(network, GuardedRecipe(), candidates(), a_run(tmp_path))


@pytest.mark.parametrize("classes", [2, 3])
def test_few_classes_are_pushed_as_far_as_they_go(tmp_path: Path, classes: int) -> None:
    # ln 2 and ln 3 are all that d can reach; the aim is 0.8 of that at a share of 1.
    network, run = tiny_network(classes), a_run(tmp_path)
    labeled = LabeledSplit(run.labeled.pixels, run.labeled.labels % classes, run.labeled.hashes)
    run = Run(labeled, run.unlabeled, 7, run.progress, run.on_update)
    recipe = endless(min_updates=10, max_updates=2000)
    assert run_guarded(network, recipe, candidates(share=1.0), run) < 2000
    excess = discrepancy(*network(run.unlabeled)).mean()
    assert excess.item() == pytest.approx(0.8 * math.log(classes), abs=0.25 * math.log(classes))


def test_a_hundred_to_one_leaves_the_rare_class_known(tmp_path: Path) -> None:
    rare, common = images(3, 5) // 4, 255 - images(300, 6) // 4
    labels = torch.tensor([1] * 3 + [0] * 300)
    labeled = LabeledSplit(torch.cat([rare, common]), labels, tuple(str(n) for n in range(303)))
    network = tiny_network(2)
    config = TrainConfig(epochs=40, image_size=SIDE, batch_size=16, learning_rate=0.05)
    pretrain(network, labeled, labeled, config, tmp_path / "train.safetensors")
    run = Run(labeled, images(30, 2), 7, tmp_path / "run.safetensors", lambda _: None)
    chosen = Candidates(torch.arange(60), torch.arange(30), 0.3, 0.0)
    run_guarded(network, GuardedRecipe(min_updates=60, max_updates=60, batch_size=16), chosen, run)
    logits_1, logits_2 = network.eval()(labeled.pixels)
    assert (logits_1 + logits_2).argmax(1).tolist() == labels.tolist()


def losses(tmp_path: Path, recipe: GuardedRecipe | PaperRecipe) -> list[float]:
    seen: list[float] = []
    run = a_run(tmp_path)
    run = Run(
        run.labeled,
        run.unlabeled,
        7,
        run.progress,
        lambda update: seen.extend((update.supervised, update.unsupervised)),
    )
    if isinstance(recipe, PaperRecipe):
        run_paper(tiny_network(), recipe, run)
    else:
        run_guarded(tiny_network(), recipe, candidates(), run)
    return seen


def test_the_same_seed_gives_the_losses_that_it_always_gave(tmp_path: Path) -> None:
    paper = PaperRecipe(epochs=1, batch_size=16, learning_rate=0.01)
    guarded = GuardedRecipe(min_updates=3, max_updates=3, batch_size=8, compressed=0.0)
    assert losses(tmp_path / "paper", paper) == pytest.approx(PAPER_LOSSES, abs=2e-5)
    assert losses(tmp_path / "guarded", guarded) == pytest.approx(GUARDED_LOSSES, abs=2e-5)


def test_images_are_encoded_anew_in_both_trainings(tmp_path: Path) -> None:
    guarded = GuardedRecipe(min_updates=3, max_updates=3, batch_size=8)
    plain = losses(tmp_path / "plain", replace(guarded, compressed=0.0))
    assert losses(tmp_path / "encoded", guarded) != pytest.approx(plain, abs=1e-3)
    found, labeled = [], a_run(tmp_path).labeled
    for compressed in (0.5, 0.0):
        config = TrainConfig(epochs=1, batch_size=8, compressed=compressed)
        progress = tmp_path / f"{compressed}.progress"
        pretrain(tiny_network(), labeled, labeled, config, progress, lambda e: found.append(e.loss))
    assert found[0] != pytest.approx(found[1], abs=1e-3)


def test_what_people_called_ood_is_pushed(tmp_path: Path) -> None:
    told, losses = images(20, 9), list[float]()
    recipe = GuardedRecipe(batch_size=16, min_updates=60, max_updates=60, learning_rate=0.05)

    def mean_discrepancy(reviewed: torch.Tensor | None) -> float:
        network, folder = tiny_network(), tmp_path / str(reviewed is None)
        folder.mkdir()
        run = replace(a_run(folder), reviewed=reviewed, on_update=noted)
        run_guarded(network, recipe, candidates(share=0.0), run)
        network.eval()
        with torch.no_grad():
            return float(discrepancy(*network(told)).mean())

    def noted(update: Update) -> None:
        losses.append(update.unsupervised)

    assert mean_discrepancy(told) > mean_discrepancy(None) + 0.2
    # The margin is what the heads can differ by, times the reach: a new network's lie at about 0.
    assert losses[0] == pytest.approx(0.8 * math.log(CLASSES), abs=0.3)
    assert losses[60] < 0.1, "without reviews and without OOD nothing is pushed"
