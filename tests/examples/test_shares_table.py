"""What is made of finished runs: the tables' figures and the plot's dots, by hand."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from curate.errors import UsageError
from examples.paper.shares_plot import plot
from examples.paper.shares_table import lower_bound, table

METHODS = ("discrepancy", "msp", "energy", "knn")


def test_the_table_by_hand() -> None:
    figures = dict.fromkeys(METHODS, 0.5)
    made = [
        {
            "ood": "far",
            "share": 0.1,
            "part": 1.0,
            "seed": seed,
            "recipe": recipe,
            "outcome": outcome,
            "fresh": figures
            | {"score": auroc, "recall": 0.25, "alarms": 0.05, "energy": 0.75 + seed / 10}
            | {"alarms_inside": auroc < 0.8},
            "inbox_images": {"alarms_inside": True},
        }
        for seed, recipe, outcome, auroc in (
            (0, "frozen", "skipped", 0.6),
            (1, "frozen", "skipped", 0.7),
            (0, "guarded", "promoted", 0.8),
            (1, "guarded", "rejected", 0.7),
        )
    ]
    lines = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines_of(made)]
    assert lines[2][:8] == ["far", "10.0%", "100%", "2", "65.0", "", "", "75.0"]
    assert lines[2][-2:] == ["energy 80.0", "1 promoted, 1 rejected"]
    # Differences 0.2, 0 and 0.05, -0.15: standard error 0.1, the quantile is 6.314.
    assert lines[6] == ["far", "10.0%", "100%", "+10.0 (-53.1)", "", "", "-5.0 (-68.1)"]
    assert "frozen 4 of 4, control 0 of 0, paper 0 of 0, guarded 3 of 4." in lines[8][0]


def lines_of(rows: list[dict[str, Any]]) -> list[str]:
    return table(rows).splitlines()


@pytest.mark.parametrize("count", [2, 3, 10])
def test_the_bound_is_that_of_a_paired_t_test(count: int) -> None:
    numpy, stats = pytest.importorskip("numpy"), pytest.importorskip("scipy.stats")
    found = numpy.random.default_rng(count).normal(0.01, 0.02, count)
    interval = stats.t.interval(0.9, count - 1, found.mean(), stats.sem(found))
    assert lower_bound(found.tolist()) == pytest.approx(interval[0], abs=1e-5)


def test_one_run_bounds_nothing() -> None:
    assert lower_bound([0.3]) is None


def test_the_plot_by_hand() -> None:
    def run(recipe: str, share: float, auroc: float) -> dict[str, Any]:
        return {
            "ood": "far<",
            "share": share,
            "part": 1.0,
            "recipe": recipe,
            "fresh": {"score": auroc},
        }

    drawn = plot([run("frozen", 0, 0.8), run("frozen", 0.5, 0.8), run("guarded", 0.5, 0.9)], "far<")
    picture = ElementTree.fromstring(drawn)  # noqa: S314  (our own)
    svg = "{http://www.w3.org/2000/svg}"
    dots = {(dot.get("cx"), dot.get("cy")) for dot in picture.iter(f"{svg}circle")}
    assert dots == {("197.5", "350.0"), ("472.5", "350.0"), ("472.5", "40.0")}
    words = [text.text for text in picture.iter(f"{svg}text")]
    assert words[0] == "AUROC on fresh images, by the share of far< in the inbox"
    assert words[1:] == ["80 %", "85 %", "90 %", "0 %", "50 %", "frozen", "guarded"]


def test_a_plot_of_nothing_is_an_error() -> None:
    with pytest.raises(UsageError, match="no run with near as OOD"):
        plot([], "near")
