"""How the spread of scores is drawn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.cli.histogram import HEIGHT, SIDES, WIDTH, binned, histogram_lines


def test_bins_begin_at_the_edge() -> None:
    """Range 0 to 8 in 4 columns is a step of 2; around 3: [1, 3) and [-1, 1), [3, 5) ... [7, 9)."""
    left, right = binned([0.0, 0.5, 1.0, 2.9, 3.0, 4.9, 5.0, 8.0], 3.0, width=4)
    assert left == [2, 2]
    assert right == [2, 1, 1]


def test_bins_without_an_edge_close_the_last_column() -> None:
    assert binned([0.0, 1.0, 2.0, 3.0, 4.0], 0.0, width=4) == ([], [1, 1, 1, 2])


@given(st.lists(st.floats(0, 2), min_size=2), st.data())
def test_bins_lose_no_score(scores: list[float], data: st.DataObject) -> None:
    edge = data.draw(st.sampled_from(scores))
    left, right = binned(scores, edge)
    assert sum(left) == sum(score < edge for score in scores)
    assert sum(right) == sum(score >= edge for score in scores)
    assert len(left) + len(right) <= WIDTH + 2


def test_histogram_draws_the_threshold_between_the_columns() -> None:
    """0 and 72 span 72 columns of step 1: the threshold 36 stands after 36 of them."""
    scores = [0.5] * 3 + [0.0, 35.5] + [36.0] * 3 + [71.5, 72.0]
    lines = histogram_lines(scores, 36.0, "scores", SIDES)
    assert lines[0] == "scores"
    bottom = lines[HEIGHT]
    assert bottom.index("│") == 36
    assert (bottom[0], bottom[35], bottom[37], bottom[72]) == ("█", "█", "█", "█")
    assert bottom[1:35].strip() == bottom[38:72].strip() == ""
    assert lines[1] == "█" + " " * 35 + "│"
    assert lines[-2] == " " * 36 + "▲"
    assert lines[-1] == "in-distribution 5 ◂ 36 ▸ 5 out-of-distribution (50.0%)"
    assert max(map(len, lines)) <= 80


def test_one_score_among_many_is_still_drawn() -> None:
    lines = histogram_lines([0.0] * 10_000 + [1.0], None, "", SIDES)
    assert lines[HEIGHT - 1][-1] == "▁"
    assert lines[-1] == "10001 scores"


@pytest.mark.parametrize(
    ("scores", "threshold", "last"),
    [
        ([], 0.5, "no scores yet"),
        ([1.0, 1.0], 2.0, "in-distribution 2 ◂ 2 ▸ 0 out-of-distribution (0.0%)"),
        ([1.0, 3.0], 1.0, "in-distribution 0 ◂ 1 ▸ 2 out-of-distribution (100.0%)"),
        ([1.0, 3.0], float("inf"), "in-distribution 2 ◂ inf ▸ 0 out-of-distribution (0.0%)"),
    ],
)
def test_histogram_without_a_wall(scores: list[float], threshold: float, last: str) -> None:
    lines = histogram_lines(scores, threshold, "", SIDES)
    assert lines[-1] == last
    assert "│" not in "".join(lines)
