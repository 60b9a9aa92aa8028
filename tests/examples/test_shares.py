"""Inboxes of chosen shares on generated pictures: drawn apart, run once, read as a table."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch

from curate.config import FinetuneConfig, GuardedRecipe, PaperRecipe, TrainConfig
from curate.errors import UsageError
from curate.model.backbones import OWN
from curate.model.cifar import SmallResNet
from curate.recipes.steps import guarded_step
from examples.paper import plan, shares
from examples.paper.datasets import Spec
from examples.paper.inboxes import inbox_of, jpeg_control, labeled_of, read_sets
from examples.paper.plan import RECIPES, Plan, Setting, finetuning, path_of

from .pictures import coloured, write_labeled, write_sheet

CLASSES = 4
SIZES = ("--train", "60", "--validation", "20", "--calibration", "60", "--inbox", "40")
PLAN = Plan("id", "far", "ood", "small-resnet", 2, 60, 20, 60, 40, 15, 0.05)


class Coarse(SmallResNet):
    """The small network on a fourth of the rows and columns: these pictures are plain colours."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features (B, 96)."""
        return super().forward(images[..., ::4, ::4])


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shown here is what is run and kept, not how well a network learns."""
    monkeypatch.setitem(OWN, "small-resnet", Coarse)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four classes of 160 and 100 pictures, and as many of another colour."""
    folder = tmp_path_factory.mktemp("data")
    write_labeled(folder / "id", "train", [n % CLASSES for n in range(160)], seed=1)
    write_labeled(folder / "id", "test", [n % CLASSES for n in range(100)], seed=2)
    write_sheet(folder / "ood" / "far-00.webp", coloured([CLASSES + 1] * 80, seed=3))
    return folder


def spec(data: Path, name: str, part: str | None = None) -> Spec:
    return Spec("sheets", data / name, part)


def names(pixels: torch.Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in pixels}


def call(data: Path, work: Path, *more: str) -> list[str]:
    ood = f"far=sheets:{data / 'ood'}#far"
    start = ["--id", f"sheets:{data / 'id'}", "--ood", ood, "--work", str(work), *SIZES]
    return [*start, "--fresh", "15", "--epochs", "2", "--updates", "3", "--device", "cpu", *more]


def runs(work: Path) -> dict[str, dict[str, Any]]:
    return {file.name: json.loads(file.read_text()) for file in work.glob("*.json")}


def test_nothing_is_drawn_twice(data: Path) -> None:
    sets = read_sets(spec(data, "id"), spec(data, "ood", "far"))
    labeled = labeled_of(sets, PLAN, 0)
    splits = [names(part.pixels) for part in (labeled.train, labeled.validation)]
    splits.append(names(labeled.calibration.pixels))
    assert [len(split) for split in splits] == [60, 20, 60]
    assert len(set.union(*splits)) == 140
    inbox = inbox_of(sets, PLAN, Setting(0, 0.25, "guarded", None))
    parts = [names(part) for part in (inbox.id, inbox.ood, inbox.fresh_id, inbox.fresh_ood)]
    assert [len(part) for part in parts] == [30, 10, 15, 15]
    assert len(set.union(*parts)) == 70


def test_fresh_images_are_the_same_at_every_share_and_other_for_another_seed(data: Path) -> None:
    sets = read_sets(spec(data, "id"), spec(data, "ood", "far"))
    low, high, other = (
        inbox_of(sets, PLAN, Setting(seed, share, "guarded", None))
        for seed, share in ((0, 0.1), (0, 0.9), (1, 0.9))
    )
    assert torch.equal(low.fresh_id, high.fresh_id)
    assert names(low.ood) < names(high.ood)
    assert names(high.fresh_id) != names(other.fresh_id)


def test_a_growing_inbox_keeps_what_had_arrived(data: Path) -> None:
    sets = read_sets(spec(data, "id"), spec(data, "ood", "far"))
    half, whole = (
        inbox_of(sets, PLAN, Setting(0, 0.5, "guarded", None, part)) for part in (0.5, 1.0)
    )
    assert (len(half.id), len(half.ood)) == (10, 10)
    assert names(half.id) < names(whole.id)


def test_more_images_than_there_are_is_an_error(data: Path) -> None:
    sets = read_sets(spec(data, "id"), spec(data, "ood", "far"))
    with pytest.raises(UsageError, match="95 images are needed of a set that has 80"):
        inbox_of(sets, Plan(**{**vars(PLAN), "inbox": 80}), Setting(0, 1.0, "guarded", None))


def test_the_jpeg_control_differs_in_compression_alone(data: Path) -> None:
    plain = read_sets(spec(data, "id"), spec(data, "ood", "far")).test.pixels
    sets = jpeg_control(spec(data, "id"), 75)
    assert torch.equal(sets.test.pixels, plain[:50])
    change = (sets.ood.pixels.int() - plain[50:].int()).abs().float().mean()
    assert 0 < float(change) < 25


def test_each_recipe_is_run_once_and_measured(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds = ("--seeds", "0", "--shares", "0", "0.5")
    assert shares.main(call(data, tmp_path, *seeds)) == 0
    first, printed = runs(tmp_path), capsys.readouterr().out
    assert {(row["share"], row["recipe"]) for row in first.values()} == {
        (share, recipe) for share in (0, 0.5) for recipe in RECIPES
    }
    for row in first.values():
        assert row["plan"]["fresh"] == 15
        assert set(row["fresh"]) == {*METHODS, *ALARMS, "score", "recall"}
        assert ("recall" in row["inbox_images"]) == (row["share"] > 0)
        for part in (row["fresh"], row["inbox_images"]):
            low, high = part["alarms_interval"]
            assert part["alarms_inside"] == (low <= part["alarms"] <= high)
        assert row["outcome"] in OUTCOMES[row["recipe"]]
    assert printed.count("\n") == 11
    assert not list(tmp_path.glob("*.progress"))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert shares.main(call(data, tmp_path, *seeds)) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    assert capsys.readouterr().out == printed


def test_a_run_that_diverged_has_no_figures(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plan, "PaperRecipe", partial(PaperRecipe, learning_rate=1e30))
    monkeypatch.setattr(plan, "GuardedRecipe", partial(GuardedRecipe, learning_rate=1e30))
    picture = tmp_path / "plot.svg"
    more = ("--seeds", "0", "--shares", "0.5", "--plot", str(picture))
    assert shares.main(call(data, tmp_path, *more)) == 0
    rows = {row["recipe"]: row for row in runs(tmp_path).values()}
    for recipe in ("paper", "control"):
        assert rows[recipe]["outcome"] == "diverged"
        assert "no number" in rows[recipe]["reason"]
        assert not {"fresh", "inbox_images", "accuracy"} & rows[recipe].keys()
    assert rows["guarded"]["fresh"] == rows["frozen"]["fresh"]
    printed, told = capsys.readouterr()
    assert printed.splitlines()[2].count("| 1 diverged | 1 diverged |") == 3
    frozen = rows["frozen"]["fresh"]
    behind = frozen["score"] - max(frozen[name] for name in METHODS)
    paired = printed.splitlines()[6].split(" | ")[3:]
    assert paired == ["+0.0", "", "", f"{100 * behind:+.1f} |"]
    assert told.count("diverged, the loss became no number") == 2
    assert picture.read_text().count("<circle") == 2
    assert not list(tmp_path.glob("*.progress"))


def test_the_control_comes_after_guarded_and_never_pushes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pushes: list[tuple[float | None, float]] = []

    def watched(*arguments: Any) -> torch.Tensor:
        terms = guarded_step(*arguments)
        pushes.append((arguments[-1], terms[1].item()))
        return terms

    monkeypatch.setattr("curate.recipes.runs.guarded_step", watched)
    more = ("--recipes", "control", "guarded", "--seeds", "0", "--shares", "0", "0.5")
    assert shares.main(call(data, tmp_path, *more)) == 0
    assert [line.split()[4] for line in capsys.readouterr().err.splitlines()] == [
        *("guarded:", "control:") * 2
    ]
    assert [term for reach, term in pushes if reach is None] == [0.0] * 6


def test_the_control_makes_as_many_updates_as_the_guarded_run(tmp_path: Path) -> None:
    setting = Setting(0, 0.5, "control", 9)
    bound = finetuning(PLAN, setting, tmp_path)
    at_the_bound = path_of(PLAN, setting, tmp_path)
    guarded = path_of(PLAN, replace(setting, recipe="guarded"), tmp_path)
    guarded.write_text('{"figures": {}}')
    assert finetuning(PLAN, setting, tmp_path) == bound
    guarded.write_text('{"figures": {"updates": 4}}')
    recipe = GuardedRecipe(reach=None, min_updates=4, max_updates=4)
    assert finetuning(PLAN, setting, tmp_path) == FinetuneConfig(recipe=recipe)
    assert path_of(PLAN, setting, tmp_path) != at_the_bound


def test_a_network_is_made_anew_for_another_set_or_configuration(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = ("--seeds", "0", "--shares", "0.5", "--recipes", "frozen")
    assert shares.main(call(data, tmp_path, *only)) == 0
    copytree(data / "id", tmp_path / "other")
    assert shares.main(call(data, tmp_path, *only, "--id", f"sheets:{tmp_path / 'other'}")) == 0
    assert len(list(tmp_path.glob("*.safetensors"))) == len(runs(tmp_path)) == 2
    monkeypatch.setattr(plan, "TrainConfig", partial(TrainConfig, compressed=0.25))
    assert shares.main(call(data, tmp_path, *only)) == 0
    assert len(list(tmp_path.glob("*.safetensors"))) == len(runs(tmp_path)) == 3


@pytest.mark.parametrize(
    ("recipe", "name", "changed"),
    [
        ("paper", "PaperRecipe", partial(PaperRecipe, momentum=0.5)),
        ("guarded", "GuardedRecipe", partial(GuardedRecipe, passes=1)),
        ("frozen", "TrainConfig", partial(TrainConfig, compressed=0.25)),
    ],
)
def test_a_run_of_another_configuration_lies_elsewhere(
    monkeypatch: pytest.MonkeyPatch, recipe: str, name: str, changed: partial[Any]
) -> None:
    setting = Setting(0, 0.5, recipe, 3)
    before = path_of(PLAN, setting, Path())
    monkeypatch.setattr(plan, name, changed)
    assert path_of(PLAN, setting, Path()) != before


def test_runs_of_other_options_are_in_no_table(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def printed(*more: str) -> str:
        assert shares.main(call(data, tmp_path, "--recipes", "frozen", *more)) == 0
        return capsys.readouterr().out

    first = printed("--seeds", "0", "--shares", "0.5")
    assert "| 100% | 1 |" in first
    for others in (("--updates", "5"), ("--calibration", "40"), ("--rate", "0.1")):
        assert "| 100% | 1 |" in printed("--seeds", "1", "--shares", "0.5", *others)
    (tmp_path / "table2-TINr-msp-seed0-0.json").write_text('{"seed": 0}')
    assert printed("--table") == first
    assert "| 100% | 2 |" in printed("--seeds", "1", "--shares", "0.5")


OUTCOMES = {
    "frozen": ("skipped",),
    "paper": ("promoted",),
    "guarded": ("skipped", "rejected", "promoted"),
    "control": ("promoted",),
}
ALARMS = ("alarms", "alarms_interval", "alarms_inside")
METHODS = ("discrepancy", "msp", "energy", "knn")


def test_a_missing_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shares.main(call(tmp_path / "no", tmp_path / "work")) == 2
    assert capsys.readouterr().err.startswith("error: ")
