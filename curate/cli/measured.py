"""What a person or a program reads of an evaluation: tables that fit 80 columns, or JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate import console
from curate.cli.shown import Stages, plain, reasons
from curate.cli.words import counted
from curate.console import safe
from curate.model.evaluation import TAGGED_BY, method_names
from curate.model.metrics import FIGURES

if TYPE_CHECKING:
    from curate.evaluate import Evaluation, Judged, Side, Surprise
    from curate.model.evaluation import Figures
    from curate.model.metrics import DetectionMetrics
    from curate.model.proportion import Share

GROUPS = {
    "fresh": "fresh images",
    "inbox": "the inbox fine-tuned on",
}
MOST = 4
"""So many methods fit into 80 columns."""
LEFT_OUT = ("msp", "knn")
"""In this order where there are more."""


class Evaluating(Stages):
    """The stages of an evaluation."""


def evaluated(found: Evaluation, report: Path | None, as_json: bool) -> None:
    """The figures, and the page where one is asked for."""
    if report is not None:
        from curate.report import write_report

        write_report(found, report, safe)
    if as_json:
        console.json_document(document(found))
    else:
        _left_out(found)
        for judged in found.networks:
            _network(judged, found.rate)
    if report is not None:
        console.note(f"report: {safe(report)}")


def document(found: Evaluation) -> dict[str, Any]:
    """The evaluation as JSON types, without the scores and previews of single images."""
    return {
        "rate": found.rate,
        "id": _side(found.id),
        "ood": _side(found.ood),
        "finetune": plain(found.finetune),
        "inbox_known": found.inbox_known,
        "networks": [_judged(judged) for judged in found.networks],
        "surprises": [_surprise(surprise) for surprise in found.surprises],
    }


def _side(side: Side) -> dict[str, Any]:
    return {
        "folder": safe(side.pictures.root),
        "images": len(side.pictures.images),
        "duplicates": side.pictures.duplicates,
        "in_both": side.in_both,
        "labeled": side.labeled,
        "unreadable": [
            {"path": safe(path), "reason": reason} for path, reason in side.pictures.unreadable
        ],
    }


def _judged(judged: Judged) -> dict[str, Any]:
    made = judged.checkpoint
    return {
        "role": judged.role,
        "checkpoint": made.id,
        "backbone": made.backbone,
        "recipe": made.recipe,
        "tagged_by": method_names(judged.checkpoint.standard)[TAGGED_BY],
        "classes": list(made.classes),
        "groups": plain(dict(judged.figures)),
    }


def _surprise(surprise: Surprise) -> dict[str, Any]:
    facts: dict[str, Any] = plain(surprise)
    del facts["preview"]
    return facts


def _left_out(found: Evaluation) -> None:
    for kind, side in (("ID", found.id), ("OOD", found.ood)):
        bad = side.pictures.unreadable
        parts = [counted(len(side.pictures.images), f"{kind} image{{s}}")]
        for count, text in (
            (side.pictures.duplicates, "more name{s} for the same"),
            (len(bad), "unreadable"),
            (side.in_both, "left out that are in both folders"),
            (side.labeled, "left out that are labeled images"),
        ):
            parts += [counted(count, text)] if count else []
        console.note(", ".join(parts))
        refused = [(side.pictures.root / path, reason) for path, reason in bad]
        reasons(refused, len(refused), "`--json` names them all")
    if not found.inbox_known:
        console.warn("the paper's recipe does not record its inbox: every image counts as fresh")
    if found.finetune is not None:
        console.note(f"fine-tune {found.finetune.outcome}: {found.finetune.reason}")


def _network(judged: Judged, rate: float) -> None:
    made, names = judged.checkpoint, method_names(judged.checkpoint.standard)
    for spare in LEFT_OUT[: max(0, len(names) - MOST)]:
        del names[spare]
    for group, figures in judged.figures.items():
        title = f"{judged.role} {made.id[:12]} on {GROUPS[group]}: {_images(figures)}"
        if figures.methods:
            console.table(title, ("%, 95 % interval", *names.values()), _rows(figures, names))
        columns = ("flagged from", "ID flagged", "OOD flagged")
        console.table("" if figures.methods else title, columns, _decisions(figures, names, rate))
        if figures.accuracy is not None:
            share = figures.accuracy
            console.show(
                f"  {_percent(share)} of {counted(share.images, 'ID image{s}')} named right"
            )


def _images(figures: Figures) -> str:
    return f"{figures.id_images} ID, {figures.ood_images} OOD"


def _rows(figures: Figures, names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """A row for each figure, and one below it with the intervals."""
    methods = [figures.methods[name] for name in names]
    for name, shown in FIGURES.items():
        yield shown, *(_number(found.value, name) for found in methods)
        ends = (f"{_number(found.low, name)}-{_number(found.high, name)}" for found in methods)
        yield "", *ends


def _number(metrics: DetectionMetrics, name: str) -> str:
    return f"{100 * getattr(metrics, name):.1f}"


def _decisions(
    figures: Figures, names: Mapping[str, str], rate: float
) -> Iterator[tuple[str, ...]]:
    for decision in figures.decisions:
        rule = f"{rate:.1%} asked" if decision.rule == "rate" else "the paper"
        cut = "never" if decision.threshold is None else f"{decision.threshold:.3f}"
        name = names.get(decision.method, decision.method)
        yield f"{name} {cut} ({rule})", _percent(decision.alarm_rate), _percent(decision.recall)


def _percent(share: Share | None) -> str:
    if share is None:
        return "no images"
    return f"{share.value:.1%} ({100 * share.low:.1f}-{100 * share.high:.1f})"
