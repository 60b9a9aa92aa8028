"""An evaluation as one HTML page that needs nothing but itself: no script, no network.

Names of files are data, never markup; of the images only previews made anew are in it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import torch
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from curate import __version__
from curate.durable import sync_folder, temporary_beside, write_synced
from curate.errors import StorageError
from curate.evaluate import Evaluation, Judged, Kind, Surprise
from curate.model.evaluation import TAGGED_BY, Figures, Group, Rule, Truth, method_names
from curate.model.metrics import FIGURES
from curate.model.proportion import Share
from curate.model.scores import NEIGHBOURS
from curate.report.charts import LOW, SMALL, SQUARE, WIDE, Box, Curve, Histogram, curve, histogram

THUMBNAIL = 160
"""Longest side of an image in the page, in pixels."""
LARGEST = 2.0
"""Of the discrepancy."""
LOW_IS_GOOD = ("detection_error", "fpr95_id_positive", "fpr95_ood_positive")
IN_FULL = {"msp": "maximum softmax", "knn": "nearest neighbours"}
Span = tuple[float, float]


@dataclass(frozen=True)
class Panel:
    """One network on one group of images."""

    judged: Judged
    figures: Figures
    names: Mapping[str, str]
    """Of the methods that are shown."""
    histogram: Histogram | None
    """Of the score that images are tagged by; None unless there are both ID and OOD images."""
    discrepancy: Histogram | None
    """None where it is the histogram above."""


@dataclass(frozen=True)
class Section:
    """One group of images, and every network on it; the last is the one asked about."""

    group: Group
    panels: tuple[Panel, ...]
    baselines: tuple[tuple[str, Histogram], ...]
    curves: tuple[Curve, ...]


def write_report(found: Evaluation, path: Path, shown: Callable[[Path], str]) -> None:
    """Write the page to `path`, whole or not at all; `shown` makes a path fit to be read.

    Raises StorageError when it cannot be written.
    """
    content = render(found, shown).encode("utf-8", "backslashreplace")
    temporary = temporary_beside(path)
    try:
        write_synced(temporary, content)
        temporary.replace(path)
        sync_folder(path.absolute().parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(path, f"the report cannot be written: {error.strerror}") from error


def render(found: Evaluation, shown: Callable[[Path], str]) -> str:
    """The page as text."""
    environment = Environment(
        loader=PackageLoader("curate.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "share": share, "shown": shown, "image": data_uri}
    return environment.get_template("report.html").render(
        found=found,
        sections=[_section(found, group) for group in found.subject.figures],
        surprises={kind: _of_kind(found, kind) for kind in ("id", "ood")},
        figures={
            name: (shown, "↓" if name in LOW_IS_GOOD else "↑") for name, shown in FIGURES.items()
        },
        square=SQUARE,
        neighbours=NEIGHBOURS,
        version=__version__,
    )


def percent(value: float) -> str:
    """A share in percent, one digit after the point."""
    return f"{100 * value:.1f}"


def share(found: Share | None) -> str:
    """A share with its interval."""
    if found is None:
        return "no images"
    ends = f"{percent(found.low)} to {percent(found.high)}"
    return f"{percent(found.value)} % ({ends})"


def data_uri(preview: bytes) -> str:
    """A preview, made smaller and encoded anew, as the address of an image."""
    with Image.open(BytesIO(preview), formats=("JPEG", "PNG")) as image:
        small = image.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    kind = "PNG" if max(small.size) <= THUMBNAIL // 2 else "JPEG"
    stream = BytesIO()
    small.save(stream, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"


def _of_kind(found: Evaluation, kind: Kind) -> list[Surprise]:
    return [surprise for surprise in found.surprises if surprise.kind == kind]


def _section(found: Evaluation, group: Group) -> Section:
    subject = found.subject
    panels = tuple(_panel(judged, group, _end(found)) for judged in found.networks)
    if not subject.figures[group].methods:
        return Section(group, panels, (), ())
    names, sides = panels[-1].names, _sides(subject, group)
    scores = {name: (sides[0].by(name), sides[1].by(name)) for name in names}
    return Section(
        group,
        panels,
        tuple(
            (names[name], histogram(*pair, SMALL))
            for name, pair in scores.items()
            if name not in (TAGGED_BY, "discrepancy")
        ),
        tuple(curve(name, *pair) for name, pair in scores.items()),
    )


def _panel(judged: Judged, group: Group, end: float) -> Panel:
    figures = judged.figures[group]
    called = method_names(judged.checkpoint.standard)
    names = {key: IN_FULL.get(name, name) for key, name in called.items()}
    if not figures.methods:
        return Panel(judged, figures, names, None, None)
    sides, span = _sides(judged, group), (0.0, end)
    cuts = {cut.rule: cut.threshold for cut in figures.decisions if cut.threshold is not None}
    if not judged.combined:
        return Panel(judged, figures, names, _drawn(sides, TAGGED_BY, WIDE, span, cuts), None)
    by_rate, by_paper = ({rule: cuts[rule]} if rule in cuts else {} for rule in ("rate", "paper"))
    main = _drawn(sides, TAGGED_BY, WIDE, _reach(sides, by_rate), by_rate)
    return Panel(judged, figures, names, main, _drawn(sides, "discrepancy", LOW, span, by_paper))


def _drawn(
    sides: tuple[Truth, Truth], method: str, box: Box, span: Span, cuts: Mapping[Rule, float]
) -> Histogram:
    ours, strange = (side.by(method) for side in sides)
    return histogram(ours, strange, box, span, [(cut, rule) for rule, cut in cuts.items()])


def _reach(sides: tuple[Truth, Truth], cuts: Mapping[Rule, float]) -> Span:
    """From the least to the greatest of scores and thresholds."""
    every = torch.cat([side.score.double() for side in sides])
    ends = [float(every.min()), float(every.max()), *cuts.values()]
    return min(ends), max(ends)


def _end(found: Evaluation) -> float:
    """Where the axis of the discrepancy ends: at 2, or near the scores where all are small."""
    sides = [
        side.scores.discrepancy for judged in found.networks for side in (judged.id, judged.ood)
    ]
    top = float(torch.cat(sides).max())
    return LARGEST if top >= LARGEST / 4 else 1.1 * top


def _sides(judged: Judged, group: Group) -> tuple[Truth, Truth]:
    return judged.id.part(group == "inbox"), judged.ood.part(group == "inbox")
