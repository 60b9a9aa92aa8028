"""The losses against the paper's equations, written out in float64 one image at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from curate.model.loss import (
    discrepancy,
    entropy,
    excess_discrepancy_loss,
    supervised_loss,
    unsupervised_loss,
)

CLASSES = [2, 3, 10]
STEP = 1e-5

Rows = Sequence[Sequence[float]]


def softmax(row: Sequence[float]) -> list[float]:
    top = max(row)
    powers = [math.exp(value - top) for value in row]
    return [power / sum(powers) for power in powers]


def entropy_of(row: Sequence[float]) -> float:
    return -sum(p * math.log(p) for p in softmax(row))


def mean_discrepancy(rows_1: Rows, rows_2: Rows) -> float:
    pairs = list(zip(rows_1, rows_2, strict=True))
    return sum(entropy_of(one) - entropy_of(two) for one, two in pairs) / len(pairs)


def eq_2(rows_1: Rows, rows_2: Rows, labels: Sequence[int]) -> float:
    both = zip(rows_1, rows_2, labels, strict=True)
    return -sum(math.log(softmax(a)[y]) + math.log(softmax(b)[y]) for a, b, y in both) / len(labels)


def eq_5(rows_1: Rows, rows_2: Rows, margin: float) -> float:
    return max(margin - mean_discrepancy(rows_1, rows_2), 0.0)


def excess(unlabeled: tuple[Rows, Rows], labeled: tuple[Rows, Rows], share: float) -> float:
    target = 0.8 * share * math.log(len(unlabeled[0][0]))
    raised = mean_discrepancy(*unlabeled) - (1 - share) * mean_discrepancy(*labeled)
    return max(target - raised, 0.0)


def drawn(seed: int, classes: int, rows: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(rows, classes, generator=generator, dtype=torch.float64)


def rows_of(tensor: Tensor) -> list[list[float]]:
    rows: list[list[float]] = tensor.tolist()
    return rows


def gradient(loss: Tensor, logits: Tensor) -> Tensor:
    return torch.autograd.grad(loss, logits)[0]


@pytest.mark.parametrize("classes", CLASSES)
def test_entropy_and_discrepancy_follow_their_definitions(classes: int) -> None:
    one, two = drawn(1, classes), drawn(2, classes)
    by_hand = [entropy_of(row) for row in rows_of(one)]
    assert entropy(one).tolist() == pytest.approx(by_hand, abs=1e-6)
    pairs = zip(rows_of(one), rows_of(two), strict=True)
    assert discrepancy(one, two).tolist() == pytest.approx(
        [entropy_of(a) - entropy_of(b) for a, b in pairs], abs=1e-6
    )


def test_entropy_is_in_nats_over_the_classes() -> None:
    assert entropy(torch.zeros(2, 10)).tolist() == pytest.approx([math.log(10)] * 2, abs=1e-6)
    coin = torch.tensor([[math.log(3.0), 0.0]])
    assert entropy(coin).item() == pytest.approx(0.562335, abs=1e-6)


@pytest.mark.parametrize("classes", CLASSES)
def test_the_supervised_loss_is_equation_2(classes: int) -> None:
    one, two, labels = drawn(1, classes), drawn(2, classes), [0, 1, 1, 0]
    found = supervised_loss(one, two, torch.tensor(labels)).item()
    assert found == pytest.approx(eq_2(rows_of(one), rows_of(two), labels), abs=1e-6)


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("margin", [0.0, 0.4, 1.2])
def test_the_unsupervised_loss_is_equation_5(classes: int, margin: float) -> None:
    one, two = drawn(1, classes), drawn(2, classes)
    found = unsupervised_loss(one, two, margin).item()
    assert found == pytest.approx(eq_5(rows_of(one), rows_of(two), margin), abs=1e-6)


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("share", [0.02, 0.5, 1.0])
def test_the_excess_loss_is_its_equation(classes: int, share: float) -> None:
    unlabeled, labeled = (drawn(1, classes), drawn(2, classes)), (drawn(3, classes, 3),) * 2
    found = excess_discrepancy_loss(unlabeled, labeled, share).item()
    flat = (rows_of(unlabeled[0]), rows_of(unlabeled[1])), (rows_of(labeled[0]),) * 2
    assert found == pytest.approx(excess(*flat, share), abs=1e-6)


def test_the_excess_loss_at_values_worked_out_by_hand() -> None:
    even, sure = torch.zeros(2, 2), torch.tensor([[1e4, 0.0]] * 2)
    # d of (even, sure) is ln 2, d of (even, even) is 0; target is 0.8 * 0.5 * ln 2.
    assert excess_discrepancy_loss((even, even), (even, even), 0.5).item() == pytest.approx(
        0.4 * math.log(2), abs=1e-6
    )
    assert excess_discrepancy_loss((even, even), (even, sure), 0.5).item() == pytest.approx(
        0.9 * math.log(2), abs=1e-6
    )
    assert excess_discrepancy_loss((even, sure), (even, sure), 0.5).item() == 0.1 * 0
    assert excess_discrepancy_loss((even, sure), (even, sure), 0.2, reach=1.5).item() == (
        pytest.approx(0.1 * math.log(2), abs=1e-6)
    )


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("head", [0, 1])
@pytest.mark.parametrize("name", ["eq_2", "eq_5", "excess"])
def test_gradients_match_finite_differences_of_the_equations(
    classes: int, head: int, name: str
) -> None:
    heads = [drawn(1, classes), drawn(2, classes)]
    labels, other = [0, 1, 1, 0], drawn(3, classes, 3)
    heads[head].requires_grad_()
    losses: dict[str, Callable[[], Tensor]] = {
        "eq_2": lambda: supervised_loss(heads[0], heads[1], torch.tensor(labels)),
        "eq_5": lambda: unsupervised_loss(heads[0], heads[1], 9.0),
        "excess": lambda: excess_discrepancy_loss((other, other), (heads[0], heads[1]), 0.3, 9.0),
    }
    exact = gradient(losses[name](), heads[head])
    rows = [rows_of(heads[0].detach()), rows_of(heads[1].detach())]

    def reference() -> float:
        if name == "eq_2":
            return eq_2(rows[0], rows[1], labels)
        if name == "eq_5":
            return eq_5(rows[0], rows[1], 9.0)
        return 0.7 * mean_discrepancy(rows[0], rows[1]) + 9 * 0.3 * math.log(classes)

    for i in range(len(rows[head])):
        for k in range(classes):
            start = rows[head][i][k]
            rows[head][i][k] = start + STEP
            above = reference()
            rows[head][i][k] = start - STEP
            slope = (above - reference()) / (2 * STEP)
            rows[head][i][k] = start
            assert exact[i, k].item() == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize("classes", CLASSES)
def test_a_step_on_unlabeled_images_raises_h_p1_and_lowers_h_p2(classes: int) -> None:
    one, two = drawn(1, classes).requires_grad_(), drawn(2, classes).requires_grad_()
    loss = unsupervised_loss(one, two, 5.0)
    moved_1 = one - 0.1 * gradient(loss, one)
    moved_2 = two - 0.1 * gradient(unsupervised_loss(one, two, 5.0), two)
    assert (entropy(moved_1) > entropy(one)).all()
    assert (entropy(moved_2) < entropy(two)).all()


def test_the_excess_loss_pushes_labeled_images_the_other_way() -> None:
    one, two = drawn(1, 3).requires_grad_(), drawn(2, 3).requires_grad_()
    even = torch.zeros(2, 3, dtype=torch.float64)
    loss = excess_discrepancy_loss((even, even), (one, two), 0.1, 9.0)
    moved = one - 0.1 * gradient(loss, one)
    assert (entropy(moved) < entropy(one)).all()


def test_past_the_margin_the_loss_and_its_gradient_are_zero() -> None:
    even = torch.zeros(3, 10, requires_grad=True)
    sure = torch.eye(10)[:3].mul(100.0).requires_grad_()
    loss = unsupervised_loss(even, sure, 1.2)
    assert loss.item() == 0.0
    assert gradient(loss, even).abs().max().item() == 0.0
    assert excess_discrepancy_loss((even, sure), (even, even), 0.5).item() == 0.0


@pytest.mark.parametrize("size", [1e4, -1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_losses_and_gradients_stay_finite_at_extreme_logits(
    size: float, dtype: torch.dtype
) -> None:
    far = torch.zeros(2, 3, dtype=dtype)
    far[:, 0], far[:, 1] = size, -size
    one, two = far.clone().requires_grad_(), far.flip(1).clone().requires_grad_()
    labels = torch.tensor([0, 2])
    losses = [
        supervised_loss(one, two, labels),
        unsupervised_loss(one, two, 5.0),
        excess_discrepancy_loss((one, two), (one, two), 0.5, 9.0),
    ]
    for loss in losses:
        assert loss.dtype == torch.float32
        slopes = torch.autograd.grad(loss, [one, two], retain_graph=True)
        assert torch.isfinite(loss)
        assert all(torch.isfinite(slope).all() for slope in slopes)


def test_autocast_does_not_cost_the_losses_their_precision() -> None:
    one, two = drawn(1, 10).float(), drawn(2, 10).float()
    exact = unsupervised_loss(one, two, 5.0).item()
    with torch.autocast("cpu", torch.bfloat16):
        assert unsupervised_loss(one, two, 5.0).item() == pytest.approx(exact, abs=1e-6)
