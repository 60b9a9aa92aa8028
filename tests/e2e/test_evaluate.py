"""`curate evaluate` as a person runs it: tables, JSON, the page, and what they get wrong."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from ..forked import environment
from ..program import SHAPES, draw, picture, run, run_anew, status
from .test_bad_input import line_of


@pytest.fixture
def project(trained: Path) -> Path:
    """A trained project with the folders `id` and `ood` beside it."""
    for shape in SHAPES:
        draw(trained / "id" / shape, shape, range(5000, 5006))
    draw(trained / "ood", "noise", range(12))
    return trained


SIDES = ("--id", "id", "--ood", "ood")


def test_one_document_with_stable_names(project: Path) -> None:
    (project / "ood" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    found = json.loads(run(project, "evaluate", *SIDES, "--json").stdout)
    assert list(found) == ["rate", "id", "ood", "finetune", "inbox_known", "networks", "surprises"]
    assert found["ood"]["unreadable"][0]["path"] == "cut.png"
    assert found["finetune"] is None
    (network,) = found["networks"]
    assert network["role"] == "frozen"
    figures = network["groups"]["fresh"]
    assert (figures["id_images"], figures["ood_images"]) == (18, 12)
    assert figures["accuracy"]["images"] == 18
    assert network["tagged_by"] == "combined"
    assert list(figures["methods"]) == ["score", "discrepancy", "msp", "energy", "knn"]
    for measured in figures["methods"].values():
        assert list(measured) == ["value", "low", "high"]
        assert list(measured["value"]) == [
            *("auroc", "aupr_in", "aupr_out", "detection_error"),
            *("fpr95_id_positive", "fpr95_ood_positive"),
        ]
        assert measured["low"]["auroc"] <= measured["value"]["auroc"] <= measured["high"]["auroc"]
    decisions = [(decision["rule"], decision["method"]) for decision in figures["decisions"]]
    assert decisions == [("rate", "score"), ("paper", "discrepancy")]
    assert list(found["surprises"][0]) == ["kind", "path", "sha256", "score", "label"]


def test_tables_fit_a_terminal_and_the_page_stands_alone(project: Path) -> None:
    done = run(project, "evaluate", *SIDES, "--report", "report.html")
    assert "FPR95, ID positive" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert heading(done.stdout) == ["combined", "discrepancy", "energy", "knn"]
    assert "(5.0% asked)" in done.stdout
    assert "discrepancy 1.000 (the paper)" in done.stdout
    assert "report: report.html" in done.stderr
    assert "Content-Security-Policy" in (project / "report.html").read_text(encoding="utf-8")
    assert status(project)["counts"]["images"] == 0


def heading(shown: str) -> list[str]:
    """The methods above the last table of figures."""
    return next(line for line in reversed(shown.splitlines()) if "interval" in line).split()[4:]


def test_the_discrepancy_has_one_column_where_images_are_tagged_by_it(project: Path) -> None:
    shutil.copytree(project / "ood", project / "mixed")
    shutil.copytree(project / "id" / "disc", project / "mixed" / "disc")
    tried = ("--unlabeled", "mixed", "--recipe", "paper", "--margin", 0.9)
    done = run(project, "evaluate", *SIDES, *tried)
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert heading(done.stdout) == ["discrepancy", "msp", "energy", "knn"]
    before, after = done.stdout.split("\nfine-tuned ", 1)
    assert "combined" in before
    assert "combined" not in after


def test_a_fine_tune_can_be_tried(project: Path) -> None:
    tried = ("--unlabeled", "ood", "--recipe", "paper", "--margin", 0.9, "--json")
    found = json.loads(run(project, "evaluate", *SIDES, *tried).stdout)
    assert found["finetune"]["outcome"] == "promoted"
    assert [network["role"] for network in found["networks"]] == ["frozen", "fine-tuned"]
    assert set(found["networks"][1]["groups"]) == {"fresh", "inbox"}
    assert [network["tagged_by"] for network in found["networks"]] == ["combined", "discrepancy"]
    assert len(json.loads(run(project, "models", "list", "--json").stdout)["checkpoints"]) == 1


def test_without_a_network(tmp_path: Path) -> None:
    draw(tmp_path / "ood", "noise", range(2))
    shutil.copytree(tmp_path / "ood", tmp_path / "id")
    assert "curate train LABELED" in line_of(tmp_path, "evaluate", *SIDES, code=4)
    run(tmp_path, "ingest", "ood")
    assert "curate train LABELED" in line_of(tmp_path, "evaluate", *SIDES, code=4)
    line_of(tmp_path, "evaluate", *SIDES, "--unlabeled", "ood", code=4)
    line_of(tmp_path, "evaluate", *SIDES, "--checkpoint", "abc", code=4)


def spoil(folder: Path, kind: str) -> None:
    """Make `folder` one that cannot be evaluated."""
    if kind == "a strange class":
        (folder / "disc").rename(folder / "disk")
        return
    shutil.rmtree(folder)
    if kind == "one broken file":
        folder.mkdir()
        (folder / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("missing", "no such folder"),
        ("one broken file", "cut.png"),
        ("a strange class", "'disk' is no class"),
    ],
)
def test_folders_that_cannot_be_evaluated(project: Path, kind: str, says: str) -> None:
    spoil(project / "id", kind)
    assert says in line_of(project, "evaluate", *SIDES, "--report", "report.html", code=2)
    assert not (project / "report.html").exists()


def test_both_folders_are_looked_for_before_one_is_read(project: Path) -> None:
    (project / "ood").rename(project / "odd")
    told = run(project, "evaluate", *SIDES, code=2).stderr
    assert "no such folder" in told
    assert "reading" not in told


def test_options_that_do_not_go_together(project: Path) -> None:
    line = line_of(project, "evaluate", *SIDES, "--recipe", "paper", code=2)
    assert "--unlabeled" in line
    both = ("--unlabeled", "ood", "--checkpoint", "abc")
    assert "leave out" in line_of(project, "evaluate", *SIDES, *both, code=2)
    tried = (*SIDES, "--unlabeled", "ood", "--margin", 1)
    assert "guarded recipe has no --margin" in line_of(project, "evaluate", *tried, code=2)
    line = line_of(project, "evaluate", *SIDES, "--report", "nowhere/report.html", code=2)
    assert "make it first" in line
    assert "Missing option" in run(project, "evaluate", "--id", "id", code=2).stderr


def test_an_unlabeled_folder_that_is_none(project: Path) -> None:
    assert "nowhere" in line_of(project, "evaluate", *SIDES, "--unlabeled", "nowhere", code=2)


def test_hostile_names_reach_neither_terminal_nor_page(project: Path) -> None:
    folder = os.fsencode(project / "ood")
    for number, name in enumerate((b"<script>x<", b"\x1b[2J", b"\xff", b"[red]")):
        with open(os.path.join(folder, name + b".png"), "wb") as file:
            picture("noise", 100 + number).save(file, "PNG")
        with open(os.path.join(folder, name + b".txt"), "wb") as file:
            file.write(b"no picture")
    done = run(project, "evaluate", *SIDES, "--report", "report.html")
    page = (project / "report.html").read_text(encoding="utf-8")
    assert "\x1b" not in done.stdout + done.stderr + page
    assert "<script" not in page
    run(project, "evaluate", *SIDES, "--json").stdout.encode("ascii")


def test_nothing_is_left_in_the_temporary_folder(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    assert environment()["TMPDIR"] == str(place)
    run_anew(project, "evaluate", *SIDES)
    assert list(place.iterdir()) == []
