"""The threshold and the news: what is told before is what happens after."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from scipy.stats import betabinom

from curate import console
from curate.errors import UsageError
from curate.review import desk as desk_module
from curate.review.desk import UPLOADS, Desk, histogram
from curate.workspace import open_workspace

from ..program import status
from .desks import IMAGES, numbers, said, tags
from .made import CALIBRATED, CHECKPOINT, project

EVER = datetime(2000, 1, 1, tzinfo=UTC)


NO_RATES: list[object] = [
    None,
    True,
    "0.1",
    [],
    0,
    -1,
    0.51,
    1e-999,
    float("nan"),
    float("inf"),
    10**400,
]


def test_a_rate_that_is_none_changes_nothing(desk: Desk) -> None:
    for rate in NO_RATES:
        with pytest.raises(UsageError):
            desk.choose({"rate": rate})
        if isinstance(rate, float):
            with pytest.raises(UsageError):
                desk.threshold(rate)
    assert not desk.workspace.catalog.rates.changed_since(EVER)


def test_the_threshold_tells_what_a_rate_would_do(either: Desk) -> None:
    either.judge(said(2, 7, 9, verdict="id"))
    levels = either.scores()["levels"]
    assert [level[:2] for level in levels] == [
        [(n + 1) / 100, int(n not in (2, 7, 9))] for n in range(IMAGES)
    ]
    assert [level[2] for level in levels] == pytest.approx([3 - 0.01 * n for n in range(IMAGES)])
    for rate, _, _ in levels:
        before, now = tags(either), either.workspace.catalog.rates.current()
        low, high = sorted((rate, now))
        told = sum(number for p_value, number, _ in levels if low < p_value <= high)
        preview = either.threshold(rate)
        assert len(preview["rows"]) == told
        standing = either.choose({"rate": rate})["standing"]
        after = tags(either)
        changed = [n for n in range(IMAGES) if before[n] != after[n]]
        assert sorted(numbers(preview["rows"])) == changed
        assert (standing["rate"], standing["ood"]) == (rate, after.count("ood"))


def test_the_alarms_to_expect_are_the_beta_binomial_s(desk: Desk) -> None:
    for rate, rank in ((0.05, 5), (0.105, 10), (0.5, 50)):
        alarms = betabinom(UPLOADS, rank, CALIBRATED + 1 - rank)
        expected = desk.threshold(rate)["expected"]
        assert expected["calibration"] == CALIBRATED
        assert expected["mean"] == pytest.approx(alarms.mean() / UPLOADS)
        ends = (expected["low"] * UPLOADS, expected["high"] * UPLOADS)
        assert ends == pytest.approx((alarms.ppf(0.005), alarms.ppf(0.995)), abs=1e-6)
    assert desk.threshold(0.001)["expected"]["high"] == 0.0
    (desk.workspace.checkpoints / CHECKPOINT / "checkpoint.json").unlink()
    assert desk.threshold(0.05)["expected"] is None


def test_news_are_what_changed_and_told_one_by_one_up_to_a_number(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "NEWS", 2)
    assert desk.news(0)["changes"] == []
    desk.judge(said(1))
    desk.judge(said(1, 2, verdict="id", as_of=1))
    news = desk.news(0)
    assert (news["step"], sorted(numbers(news["changes"])), news["many"]) == (2, [1, 2], False)
    assert {row["tag"] for row in news["changes"]} == {"id"}
    desk.judge(said(3, 4, 5, as_of=2))
    news = desk.news(0)
    assert (news["step"], len(news["changes"]), news["many"]) == (3, 2, True)
    for since in (3, 2**31 - 1):
        news = desk.news(since)
        assert (news["step"], news["changes"], news["many"]) == (3, [], False)


def test_without_a_network_there_is_nothing_to_expect(tmp_path: Path) -> None:
    with open_workspace(str(tmp_path / ".curate"), create=True) as workspace:
        desk = Desk(workspace, "anna", console.safe)
        assert desk.scores() == {"histogram": None, "levels": [], "rate": 0.05}
        assert desk.threshold(0.1) == {"rate": 0.1, "rows": [], "expected": None}
        assert desk.standing()["detector"] is None
        page = desk.page("highest", "", None, 5)
        assert (page["rows"], page["cursor"], page["step"]) == ([], None, 0)
        assert desk.classes() == []


def test_a_histogram_counts_every_score_once() -> None:
    found = histogram([0.0, 1.0, 0.5, 72.0, 71.0])
    assert (found["low"], found["high"], found["images"]) == (0.0, 72.0, 5)
    assert [index for index, number in enumerate(found["bins"]) for _ in range(number)] == [
        0, 0, 1, 71, 71
    ]  # fmt: skip
    even = histogram([2.5, 2.5])
    assert (even["low"], even["bins"][0], sum(even["bins"])) == (2.5, 2, 2)


def test_it_stands_as_status_says(tmp_path: Path) -> None:
    project(tmp_path, IMAGES)
    with open_workspace(str(tmp_path / ".curate"), create=False) as workspace:
        desk = Desk(workspace, "anna", console.safe)
        desk.judge(said(0, 6, verdict="id"))
        desk.judge(said(8, as_of=1))
        desk.choose({"rate": 0.1})
        standing = desk.standing()
    told = status(tmp_path)
    interval = told["ood_share_interval"]
    assert standing == {
        **{name: told["counts"][name] for name in ("images", "id", "ood", "pending")},
        **{name: told["counts"][name] for name in ("reviewed", "reviewed_ood")},
        "rate": told["rate"],
        "share": told["ood_share"],
        "share_interval": tuple(interval),
        "detector": told["detector"]["checkpoint"]["checkpoint_id"],
    }
    assert (standing["id"], standing["ood"], standing["reviewed"]) == (4, 8, 3)
