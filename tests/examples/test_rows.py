"""A row from a method whose scores are known: which way round, and where it is kept."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from curate.model.split import LabeledSplit
from examples.paper.methods import Detector, Laboratory
from examples.paper.protocol import Bench, Case, Settings
from examples.paper.rows import make_row, paper_figures, paper_network, path_of, read_row

from .networks import tiny_network
from .test_protocol import SETTINGS

CASE = Case(2, "ours", ("TINr",), ("TINr",))


@dataclass(frozen=True)
class Known(Laboratory):
    """Scores an image by its brightness."""

    def detector(self, case: Case) -> Detector:
        network = tiny_network(classes=2).float()
        network.head_1.weight.data.zero_()
        network.head_1.bias.data.zero_()  # p1 is even: H = ln 2
        network.head_2.weight.data.zero_()
        network.head_2.bias.data = torch.tensor([100.0, 0.0])  # p2 is sure: H = 0
        return Detector(lambda pixels: pixels[:, 0, 0, 0] / 100, {}, network)


def bright(*levels: int) -> torch.Tensor:
    return torch.tensor(levels, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 4, 4)


@pytest.fixture
def laboratory(tmp_path: Path) -> Laboratory:
    train = LabeledSplit(bright(1, 2), torch.tensor([0, 1]), ("a", "b"))
    fresh = bright(*[200] * 200)
    bench = Bench(
        train,
        2,
        train,
        train,
        id_inbox=bright(10, 20, 30, 150),
        id_fresh=fresh,
        ood_inbox={"TINr": bright(120, 130, 140, 160, 170)},
        ood_fresh={"TINr": fresh},
    )
    settings = replace(SETTINGS, id_name="cifar10", ood_specs={"TINr": "folder:a"})
    return Known(bench, settings, torch.device("cpu"), tmp_path, lambda _: None)


def test_ood_scores_higher(laboratory: Laboratory) -> None:
    figures = make_row(CASE, laboratory)["as_in_paper"]
    # Of 20 pairs, three are the wrong way round: 150 is above 120, 130 and 140.
    assert figures["auroc"] == pytest.approx(17 / 20)
    # All ID are accepted only below 150 and over: so are three of five OOD.
    assert figures["fpr95_id_positive"] == pytest.approx(3 / 5)
    assert figures["fpr95_ood_positive"] == pytest.approx(1 / 4)
    assert figures["detection_error"] == pytest.approx(1 / 8)
    assert figures["id_above_threshold"] == pytest.approx(1 / 4)
    assert figures["ood_above_threshold"] == 1.0
    assert figures["id_discrepancy"] == pytest.approx(0.6931, abs=1e-4)


def test_fresh_images_are_other_images(laboratory: Laboratory) -> None:
    row = make_row(CASE, laboratory)
    assert row["fresh"]["auroc"] == 0.5
    assert row["images"]["fresh_of_each"] == 200


def test_what_is_written_is_read(laboratory: Laboratory) -> None:
    row = make_row(CASE, laboratory)
    path = path_of(CASE, laboratory.settings, laboratory.work)
    assert read_row(path) == json.loads(json.dumps(row))
    assert [file.name for file in laboratory.work.iterdir()] == [path.name]
    path.write_text("{")
    assert read_row(path) is None


def test_every_setting_that_matters_has_a_place_of_its_own(tmp_path: Path) -> None:
    given = replace(SETTINGS, ood_specs={"TINr": "folder:a", "TINc": "folder:b"})
    others: list[Settings] = [
        replace(given, seed=1),
        replace(given, learning_rate=0.01),
        replace(given, detach=True),
        replace(given, limit=10),
        replace(given, epochs=2),
        replace(given, id_spec="folder:c"),
        replace(given, ood_specs={"TINr": "folder:c"}),
    ]
    places = {path_of(CASE, settings, tmp_path) for settings in (given, *others)}
    assert len(places) == 8
    alone = replace(given, ood_specs={"TINr": "folder:a"})
    assert path_of(CASE, alone, tmp_path) == path_of(CASE, given, tmp_path)


def test_the_papers_figure_beside_it() -> None:
    named = replace(SETTINGS, id_name="cifar10", backbone="wrn-28-10")
    assert paper_figures(CASE, named)["auroc"] == 99.7
    assert paper_figures(CASE, replace(named, backbone="small-resnet"))["auroc"] == 99.6
    assert paper_figures(replace(CASE, tested=("SVHN",)), named) == {}
    amounts = Case(3, "ours", ("TINc",), ("TINc",), 9_000, 500)
    hundred = replace(named, id_name="cifar100")
    assert paper_figures(amounts, hundred)["detection_error"] == 3.8
    assert paper_figures(amounts, named) == {}
    assert paper_figures(replace(amounts, tested=("TINr",)), hundred) == {}
    assert paper_figures(Case(4, "ours", ("TINc",), ("LSUNc",)), named) == {}
    assert paper_network(amounts, hundred) == "densenet-bc-100-12"
    assert paper_network(CASE, hundred) == "wrn-28-10"
