"""Rows as Markdown tables: our figure, then the paper's behind a stroke."""

from __future__ import annotations

from collections.abc import Sequence

from examples.paper.published import METRICS
from examples.paper.rows import Row

HEADINGS = ("FPR95 ↓", "Detection error ↓", "AUROC ↑", "AUPR-In ↑", "AUPR-Out ↑")
ABSENT = "–"


def table(rows: Sequence[Row]) -> str:
    """The table that `rows` belong to, with a line about what they are."""
    head, lines = _detection(rows) if rows[0]["table"] in (2, 5) else _ablation(rows)
    ruler = ["---"] * len(head)
    return "\n".join([_caption(rows[0]), "", *map(_line, [head, ruler, *lines])])


def _caption(row: Row) -> str:
    settings, epochs = row["settings"], row["pre_training"]["epochs"]
    return (
        f"Table {row['table']}: {settings['id_name']}, {settings['backbone']}, schedule "
        f"{settings['schedule']} ({epochs} epochs), fine-tuning at {settings['learning_rate']}, "
        f"seed {settings['seed']}. Ours / the paper's ({row['paper_network']}), in percent."
    )


def _detection(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    lines = []
    for row in rows:
        start = ["+".join(row["tested"]), row["method"]]
        lines.append([*start, "as in the paper", *_compared(row, METRICS)])
        if row["fresh"]:
            lines.append([*start, "fresh", *(_percent(row["fresh"][name]) for name in METRICS)])
    return ["OOD", "Method", "Images", *HEADINGS], lines


def _ablation(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Tables 3 and 4: detection error in percent, mean discrepancies in nats."""
    sizes = rows[0]["table"] == 3
    head = ["ID of 9,000", "OOD of 9,000"] if sizes else ["OOD unlabeled", "OOD tested"]
    return (
        [*head, "Detection error ↓", "ID discrepancy", "OOD discrepancy", "Fresh: detection error"],
        [
            [
                *_varied(row, sizes),
                *_compared(row, ("detection_error",)),
                *(_nats(row, name) for name in ("id_discrepancy", "ood_discrepancy")),
                _percent((row["fresh"] or {}).get("detection_error")),
            ]
            for row in rows
        ],
    )


def _varied(row: Row, sizes: bool) -> list[str]:
    if sizes:
        return [f"{row['id_of_9000']:,}", f"{row['ood_of_9000']:,}"]
    return ["+".join(row["pool"]), "+".join(row["tested"])]


def _compared(row: Row, names: Sequence[str]) -> list[str]:
    ours, theirs = row["as_in_paper"], row["paper"]
    if ours is None:
        return [f"diverged / {theirs.get(name, ABSENT)}" for name in names]
    return [f"{_percent(ours[name])} / {theirs.get(name, ABSENT)}" for name in names]


def _nats(row: Row, name: str) -> str:
    ours = row["as_in_paper"]
    shown = ABSENT if ours is None else f"{ours[name]:.2f}"
    return f"{shown} / {row['paper'].get(name, ABSENT)}"


def _percent(share: float | None) -> str:
    return ABSENT if share is None else f"{100 * share:.1f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
