"""What was typed in: whole, possible, and as the paper's other pages quote it."""

from __future__ import annotations

import itertools

import pytest

from examples.paper.published import METRICS, amounts, detection, selections

DENSE, WIDE = "densenet-bc-100-12", "wrn-28-10"
OODS = ("TINc", "TINr", "LSUNc", "LSUNr", "iSUN")
BLOCKS = list(itertools.product((DENSE, WIDE), ("cifar10", "cifar100"), OODS))
REAL = [(DENSE, name, ood) for name in ("food101", "fashion") for ood in ("TINc", "LSUNc")]
IMPOSSIBLE = (DENSE, "cifar100", "LSUNr", "odin")


@pytest.mark.parametrize("method", ["odin", "eloc", "ours"])
@pytest.mark.parametrize("line", BLOCKS + REAL)
def test_every_cell_is_there_and_possible(line: tuple[str, str, str], method: str) -> None:
    figures = detection(*line, method)
    if (line[2], method) == ("iSUN", "eloc"):
        assert figures == {}
        return
    assert tuple(figures) == METRICS
    assert all(0 <= figure <= 100 for figure in figures.values())
    # At 95 % TPR the mean of both errors is (5 + FPR) / 2; the smallest cannot be above it.
    most = (5 + figures["fpr95_id_positive"]) / 2 + 0.1
    assert (figures["detection_error"] <= most) == ((*line, method) != IMPOSSIBLE)


@pytest.mark.parametrize(
    ("line", "auroc"),
    [
        ((DENSE, "cifar100", "TINr", "msp"), 71.6),
        ((DENSE, "cifar100", "TINr", "odin"), 90.7),
        ((DENSE, "cifar100", "TINr", "eloc"), 96.2),
        ((DENSE, "cifar100", "TINr", "ours"), 99.6),
        ((WIDE, "cifar100", "iSUN", "odin"), 93.3),
        ((WIDE, "cifar10", "LSUNc", "ours"), 100.0),
        ((DENSE, "fashion", "TINc", "odin"), 86.4),
    ],
)
def test_single_figures(line: tuple[str, str, str, str], auroc: float) -> None:
    assert detection(*line)["auroc"] == auroc


def test_what_the_paper_has_not_is_empty() -> None:
    assert detection(DENSE, "cifar10", "SVHN", "ours") == {}
    assert detection(DENSE, "cifar10", "TINr", "knn") == {}
    assert detection(DENSE, "cifar10", "TINr", "msp") == {}


def test_table_3_starts_at_table_2_and_ends_at_500_ood_images() -> None:
    found = amounts()
    assert len(found) == 8
    start = detection(DENSE, "cifar100", "TINc", "ours")["detection_error"]
    assert found[9000, 9000]["detection_error"] == start == 0.7
    assert found[9000, 500] == {
        "detection_error": 3.8,
        "id_discrepancy": 1.08,
        "ood_discrepancy": 3.40,
    }


def test_table_4_by_what_is_fine_tuned_on_and_tested() -> None:
    assert selections()["TINc", "LSUNc"]["detection_error"] == 0.5
    assert selections()["LSUNc", "TINc"]["ood_discrepancy"] == 2.39
    assert ("TINc+LSUNc", "TINc+LSUNc") in selections()
