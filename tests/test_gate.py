"""The gate: which bounds are met, by hand, and what cannot be asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from curate.catalog.figures import Figures
from curate.catalog.query import Query, parse
from curate.cli.app import app
from curate.errors import UsageError
from curate.gate import Bounds, check
from curate.workspace import Workspace

from .program import draw, run


@pytest.fixture
def counted(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A catalog that tells of 96 id, 4 ood and 3 pending images and of one unreadable file."""
    tell(monkeypatch, Figures(96, 4, 3, 1))
    monkeypatch.setattr(workspace.catalog.models, "active", lambda role: "a network")
    return workspace


def tell(monkeypatch: pytest.MonkeyPatch, found: Figures) -> None:
    monkeypatch.setattr("curate.gate.figures", lambda engine, query: found)


def met(workspace: Workspace, **bounds: Any) -> list[tuple[float | None, bool]]:
    """Each bound's figure, and whether it is met."""
    checked = check(workspace, Query(), Bounds(**bounds))
    assert checked.met == all(bound.met for bound in checked.bounds)
    return [(bound.figure, bound.met) for bound in checked.bounds]


def test_a_bound_is_met_up_to_itself(counted: Workspace) -> None:
    assert met(counted, max_ood_rate=0.04) == [(0.04, True)]
    assert met(counted, max_ood_rate=0.039) == [(0.04, False)]
    assert met(counted, max_unreadable=1, max_pending=2) == [(1, True), (3, False)]
    assert met(counted, min_images=103) == [(103, True)]
    assert met(counted, min_images=104) == [(103, False)]


def test_a_rate_that_chance_explains_is_met_with_a_confidence(
    counted: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One of ten at 2 %: 1 - 0.98^10 = 0.183; two of ten: that less 10 x 0.02 x 0.98^9 = 0.0162.
    tell(monkeypatch, Figures(9, 1, 0, 0))
    assert met(counted, max_ood_rate=0.02) == [(0.1, False)]
    assert met(counted, max_ood_rate=0.02, confidence=0.95) == [(0.1, True)]
    assert met(counted, max_ood_rate=0.02, confidence=0.80) == [(0.1, False)]
    tell(monkeypatch, Figures(8, 2, 0, 0))
    (bound,) = check(counted, Query(), Bounds(max_ood_rate=0.02, confidence=0.95)).bounds
    assert bound.chance == pytest.approx(0.0161, abs=1e-4)
    assert not bound.met


def test_of_nothing_nothing_is_ood_but_of_what_waits_nothing_is_known(
    counted: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(monkeypatch, Figures(0, 0, 0, 0))
    assert met(counted, max_ood_rate=0.0) == [(0.0, True)]
    tell(monkeypatch, Figures(0, 0, 1, 0))
    assert met(counted, max_ood_rate=0.5) == [(None, False)]


@pytest.mark.parametrize(
    ("query", "bounds", "said"),
    [
        ("", Bounds(), "nothing to check"),
        ("", Bounds(max_pending=1, confidence=0.9), "give both"),
        ("unreadable:", Bounds(min_images=1), "no images"),
        ("tag:id", Bounds(max_ood_rate=0.1), "leave tag: out"),
        ("label:hat", Bounds(max_unreadable=0), "an unreadable file has"),
        ("source:./inbox", Bounds(min_images=0), "'./inbox' in its address; .* none yet"),
    ],
)
def test_what_cannot_be_asked(workspace: Workspace, query: str, bounds: Bounds, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check(workspace, parse(query), bounds)


@pytest.mark.parametrize("share", ["2", "-1%", "nan", "x", "101%", "%"])
def test_what_is_no_share(share: str) -> None:
    done = CliRunner().invoke(app, ["check", "--max-ood-rate", share], env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert "is no share; give one such as 2% or 0.02" in done.output


def test_as_a_pipeline_runs_it(trained: Path) -> None:
    draw(trained / "inbox", "disc", range(1000, 1004))
    (trained / "inbox" / "bad.jpg").write_bytes(b"<html>")
    run(trained, "ingest", "inbox")
    run(trained, "tag", "ood", "inbox/disc-1000.png")
    run(trained, "tag", "id", *(f"inbox/disc-{number}.png" for number in range(1001, 1004)))
    shown = run(trained, "check", "since:1d", "source:inbox", "--max-ood-rate", "25%")
    row = " ".join(shown.stdout.splitlines()[-1].split())
    assert row == "OOD rate 25% (1 of 4) at most 25% met"
    assert shown.stderr == ""
    bounds = ("--max-ood-rate", "2%", "--max-unreadable", 0, "--max-pending", 0, "--min-images", 4)
    failed = run(trained, "check", *bounds, "--json", code=8)
    found = json.loads(failed.stdout)
    assert [(bound["name"], bound["met"]) for bound in found["bounds"]] == [
        ("ood_rate", False),
        ("unreadable", False),
        ("pending", True),
        ("images", True),
    ]
    assert found["met"] is False
    assert found["counts"] == {"id": 3, "ood": 1, "pending": 0, "unreadable": 1}
    assert "error: not met: OOD rate, unreadable;" in failed.stderr
    told = run(trained, "check", "--max-ood-rate", "2%", code=8).stderr
    assert "warning: 2% OOD is asked, but up to 5% of your own classes may be flagged" in told


def test_where_nothing_is_meant_it_is_told(trained: Path) -> None:
    draw(trained / "inbox", "disc", range(1000, 1001))
    run(trained, "ingest", "inbox")
    told = run(trained, "check", "since:2199-01-01", "source:inbox", "--max-ood-rate", "5%").stderr
    assert "warning: nothing matches" in " ".join(told.split())
    assert "nothing matches" not in run(trained, "check", "--max-ood-rate", "99%").stderr
    misspelt = run(trained, "check", "source:./inbox", "--max-ood-rate", "5%", code=2).stderr
    assert f"the catalog knows {(trained / 'inbox').resolve().as_uri()}" in "".join(
        misspelt.splitlines()
    )


def test_before_there_is_a_network_only_files_can_be_counted(tmp_path: Path) -> None:
    run(tmp_path, "ingest", *draw(tmp_path / "inbox", "disc", range(2)))
    assert "no trained network" in run(tmp_path, "check", "--max-ood-rate", "9%", code=4).stderr
    assert "no trained network" in run(tmp_path, "check", "--max-pending", 9, code=4).stderr
    run(tmp_path, "check", "--max-unreadable", 0, "--min-images", 2)
    run(tmp_path, "check", "--min-images", 3, code=8)
