"""The page of an evaluation: needs nothing but itself, and no name of a file can change it."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import pytest
import torch
from PIL import Image, PngImagePlugin

from curate.console import safe
from curate.errors import StorageError
from curate.evaluate import Evaluation, Judged, Side, Surprise
from curate.images.pictures import Pictures
from curate.model.checkpoint import Checkpoint
from curate.model.evaluation import UNKNOWN, Truth, evaluate_groups
from curate.model.scores import SHOWN, Scores, Standard, tag_score
from curate.report import THUMBNAIL, data_uri, render, write_report
from curate.report.charts import SMALL, SQUARE, WIDE, curve, histogram

HOSTILE = Path(
    "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u202egpj.\udcff{{ 7*7 }}.png"
)


ALONE: Standard = {}
STANDARD: Standard = {"knn": (0.5, 0.25)}


def preview(size: tuple[int, int] = (300, 200)) -> bytes:
    """A PNG with a text in it that must not reach the page."""
    facts, stream = PngImagePlugin.PngInfo(), BytesIO()
    facts.add_text("Comment", "secret place")
    Image.new("RGB", size, "teal").save(stream, "PNG", pnginfo=facts)
    return stream.getvalue()


def truth(shift: float, count: int, in_inbox: int = 0, standard: Standard = ALONE) -> Truth:
    generator = torch.Generator().manual_seed(count)
    scores = (torch.rand(count, generator=generator) + shift).clamp(max=2)
    known = Scores(
        discrepancy=scores,
        msp=scores / 3,
        energy=-scores,
        knn=scores,
        discriminant=torch.full((count,), torch.nan),
        label=torch.zeros(count, dtype=torch.int64),
        confidence=torch.ones(count),
        nearest=torch.full((count, SHOWN), -1),
    )
    members = torch.arange(count) < in_inbox
    return Truth(known, tag_score(known, standard), members, torch.full((count,), UNKNOWN))


def judged(role: str, inbox: int = 0, standard: Standard = STANDARD) -> Judged:
    """A network that tags by 4 * discrepancy - 2, or by the discrepancy without a standard."""
    ours, strange = truth(0.0, 50, inbox, standard), truth(0.6, 40, inbox, standard)
    made = Checkpoint(
        id=("a" if role == "frozen" else "b") * 64,
        created=datetime(2026, 1, 2, tzinfo=UTC),
        kind="pretrained",
        backbone="tiny",
        image_size=32,
        classes=("<b>bread</b>", "soup"),
        parent=None,
        snapshot="c" * 64,
        recipe="pretrained",
        calibration={"held_out": tuple(i / 100 for i in range(100))},
        standard=standard,
        pool=frozenset(),
        figures={},
    )
    figures = evaluate_groups(ours, strange, made.calibration, 0.05, resamples=10)
    return Judged("fine-tuned" if role == "fine-tuned" else "frozen", made, ours, strange, figures)


def evaluation(*networks: Judged) -> Evaluation:
    pictures = Pictures(
        Path("/data") / HOSTILE, {"d" * 64: HOSTILE}, ((HOSTILE, "cut <short>"),), 0
    )
    surprises = tuple(
        Surprise(kind, HOSTILE, "d" * 64, 1.25, "<b>bread</b>", preview()) for kind in ("id", "ood")
    )
    side = Side(pictures, 0, 0)
    return Evaluation(0.05, side, side, networks or (judged("frozen"),), surprises, None)


class Page(HTMLParser):
    """Every element of a page with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.elements if found == tag]


def test_nothing_is_loaded_and_nothing_runs() -> None:
    page = Page(render(evaluation(), safe))
    policy = next(meta for meta in page.all("meta") if "http-equiv" in meta)
    assert policy["http-equiv"] == "Content-Security-Policy"
    assert policy["content"] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    names = {tag for tag, _ in page.elements}
    assert names.isdisjoint({"script", "link", "iframe", "object", "base", "form", "a", "b><b"})
    addresses = [
        value or ""
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href", "srcset", "action", "style") or name[:2] == "on"
    ]
    assert all(address.startswith("data:image/") for address in addresses)
    assert len(addresses) == 2


def test_names_are_text() -> None:
    text = render(evaluation(), safe)
    assert "<script" not in text
    assert "onerror" in text
    assert "&lt;script&gt;alert(1)" in text
    assert "{{ 7*7 }}" in text
    assert "\u202e" not in text
    assert "\\u202egpj.\\xff" in text
    assert "cut &lt;short&gt;" in text
    assert "<b>bread" not in text


def test_css_reaches_nothing_outside() -> None:
    text = render(evaluation(), safe)
    assert re.findall(r"url\([^)]*\)|@import|https?:", text) == ["url(#hatch)"]


def test_images_are_made_anew_and_small() -> None:
    kind, encoded = data_uri(preview()).split(";base64,")
    content = base64.b64decode(encoded)
    assert kind == "data:image/jpeg"
    assert b"secret" not in content
    with Image.open(BytesIO(content)) as image:
        assert image.size == (THUMBNAIL, round(THUMBNAIL * 2 / 3))
    kind, encoded = data_uri(preview((32, 32))).split(";base64,")
    assert kind == "data:image/png"
    assert b"secret" not in base64.b64decode(encoded)


def test_what_a_screen_reader_needs() -> None:
    page = Page(render(evaluation(), safe))
    assert page.all("html") == [{"lang": "en"}]
    assert all(image["alt"] for image in page.all("img"))
    assert all("aria-label" in svg or "aria-hidden" in svg for svg in page.all("svg"))
    assert all("scope" in header for header in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table")) == 3


def test_every_figure_and_both_networks_are_there() -> None:
    before, after = judged("frozen", inbox=10), judged("fine-tuned", inbox=10)
    text = render(evaluation(before, after), safe)
    for figures in after.figures.values():
        for measured in figures.methods.values():
            assert f"{100 * measured.value.auroc:.1f}<br>" in text
            assert f"{100 * measured.low.auroc:.1f}–{100 * measured.high.auroc:.1f}" in text
    for heading in (
        *("Fresh images", "Inbox images", "Combined score, frozen network"),
        *("Discrepancy, frozen network", "Combined score, fine-tuned network"),
    ):
        assert f">{heading}</h" in text
    assert text.count('<td class="role">fine-tuned</td>') == 2 * (5 + 2)
    assert text.count("A network's combined score") == 2


def cuts_of(chart: str) -> list[str]:
    """The thresholds that are drawn in an SVG."""
    return re.findall(r'class="cutname"[^>]*>([^<]*)<', chart)


def test_each_threshold_stands_in_the_histogram_of_its_score() -> None:
    text = render(evaluation(), safe)
    charts = re.findall(r"<svg[^>]*Histogram of the ([^,]*),.*?</svg>", text, re.DOTALL)
    bodies = re.findall(r"<svg[^>]*Histogram of the [^,]*,.*?</svg>", text, re.DOTALL)
    assert charts == ["combined score", "discrepancy"]
    assert [cuts_of(body) for body in bodies] == [["threshold at your rate"], ["1.0 (paper)"]]
    assert "standard deviations above the labeled images" in bodies[0]
    rows = re.findall(r"<tr><th[^>]*>(?:5.0 % alarms|the paper).*?</tr>", text, re.DOTALL)
    asked, paper = (re.findall(r"<t[dh][^>]*>([^<]*)", row) for row in rows)
    assert asked[:3] == ["5.0 % alarms asked", "combined", "0.950"]
    assert paper[:3] == ["the paper&#39;s", "discrepancy", "1.000"]


def test_a_network_that_tags_by_the_discrepancy_alone_shows_it_once() -> None:
    text = render(evaluation(judged("fine-tuned", standard={})), safe)
    (chart,) = re.findall(r"<svg[^>]*Histogram of the [^,]*,.*?</svg>", text, re.DOTALL)
    assert sorted(cuts_of(chart)) == ["1.0 (paper)", "threshold at your rate"]
    assert "discrepancy of the two heads, 2 at most</text>" in chart
    assert "ombined" not in text.replace("recipe combines it", "")
    assert text.count('<path class="roc ') == 2 * 4


def test_where_all_discrepancies_are_small_the_papers_threshold_is_told_of() -> None:
    network = judged("frozen")
    ours, strange = (
        replace(side, scores=replace(side.scores, discrepancy=side.scores.discrepancy / 20))
        for side in (network.id, network.ood)
    )
    text = render(evaluation(replace(network, id=ours, ood=strange)), safe)
    assert "2 at most; the paper&#39;s 1.0 lies further right</text>" in text
    assert "lies further right" not in render(evaluation(network), safe)


def test_a_threshold_beyond_all_scores_is_drawn() -> None:
    network = judged("frozen")
    calibration = {"held_out": tuple(100.0 + i for i in range(100))}
    figures = evaluate_groups(network.id, network.ood, calibration, 0.05, resamples=5)
    text = render(evaluation(replace(network, figures=figures)), safe)
    assert "threshold at your rate" in text
    assert ">flags nothing<" not in text


def test_a_group_with_one_side_alone(tmp_path: Path) -> None:
    one = judged("frozen")
    figures = evaluate_groups(one.id, truth(0.5, 0), one.checkpoint.calibration, 0.05)
    lone = Judged("frozen", one.checkpoint, one.id, truth(0.5, 0), figures)
    text = render(evaluation(lone), safe)
    assert "not both ID and OOD" in text
    assert "no images" in text


def test_it_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_report(evaluation(), tmp_path / "report.html", safe)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.endswith("</html>")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match="the report cannot be written"):
        write_report(evaluation(), tmp_path / "folder", safe)
    assert len(list(tmp_path.iterdir())) == 2


def test_bars_by_hand() -> None:
    # Forty bins over [0, 2], each 0.05 wide: three quarters in the first, a quarter in the last.
    scores = torch.tensor([0.0, 0.01, 0.04, 2.0])
    drawn = histogram(scores, torch.tensor([1.0]), WIDE, (0, 2), [(0.5, "rate"), (3, "far")])
    left, right, bottom = WIDE.left, WIDE.right, WIDE.bottom
    step, unit = WIDE.width / 40, WIDE.height
    assert drawn.id_path.startswith(
        f"M{left:g} {bottom:g}L{left:g} {bottom - 0.75 * unit:g}L{left + step:g} "
        f"{bottom - 0.75 * unit:g}L{left + step:g} {bottom:g}"
    )
    assert drawn.id_path.endswith(
        f"L{right - step:g} {bottom - 0.25 * unit:g}L{right:g} {bottom - 0.25 * unit:g}"
        f"L{right:g} {bottom:g}Z"
    )
    middle = left + WIDE.width / 2
    bar = f"L{middle:g} {bottom:g}L{middle:g} {WIDE.top:g}L{middle + step:g} {WIDE.top:g}L"
    assert bar in drawn.ood_path
    assert [tick.label for tick in drawn.x_ticks] == ["0", "0.5", "1", "1.5", "2"]
    assert [tick.label for tick in drawn.y_ticks] == ["0%", "50%", "100%"]
    assert [(cut.at, cut.label) for cut in drawn.cuts] == [(left + WIDE.width / 4, "rate")]


def test_names_of_thresholds_never_meet() -> None:
    ours = torch.tensor([0.0, 2.0])
    for cut in (0.01, 0.3, 0.9, 0.99, 1.0, 1.01, 1.9, 2.0):
        drawn = histogram(ours, ours, WIDE, (0, 2), [(cut, "rate"), (1.0, "paper")])
        spans = sorted(
            (at.at, at.at + 140) if at.anchor == "start" else (at.at - 140, at.at)
            for at in drawn.cuts
        )
        assert spans[0][0] >= 0
        assert spans[0][1] <= spans[1][0]
        assert spans[1][1] <= WIDE.right + 14


def test_scores_that_are_all_the_same_are_drawn() -> None:
    drawn = histogram(torch.ones(3), torch.ones(2), SMALL)
    assert drawn.id_path == drawn.ood_path


def test_a_perfect_curve_goes_along_the_edge() -> None:
    found = curve("discrepancy", torch.tensor([0.0, 0.1]), torch.tensor([1.0, 1.0]))
    left, right, top, bottom = SQUARE.left, SQUARE.right, SQUARE.top, SQUARE.bottom
    middle = (left + right) / 2
    assert found.path == (
        f"M{left:g} {bottom:g}L{left:g} {top:g}L{middle:g} {top:g}L{right:g} {top:g}"
    )
