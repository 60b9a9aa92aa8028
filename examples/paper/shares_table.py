"""The runs as Markdown: one line for each share, and each recipe beside the frozen network."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import mean
from typing import Any

Row = dict[str, Any]
COLUMNS = ("frozen", "control", "paper", "guarded")
BASELINES = ("msp", "energy", "knn", "discrepancy")


def table(rows: Iterable[Row]) -> str:
    """Means over seeds of fresh AUROC, recall and alarms, in percent, by OOD set and share."""
    by_case: dict[tuple[str, float, float], list[Row]] = {}
    for row in sorted(rows, key=_case):
        by_case.setdefault(_case(row), []).append(row)
    titles = [f"{name} {what}" for what in ("AUROC", "recall", "alarms") for name in COLUMNS]
    head = ["OOD", "share", "arrived", "seeds", *titles, "best baseline", "guarded came to"]
    lines = [head, ["---"] * len(head)]
    lines += [_line(*case, found) for case, found in by_case.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _case(row: Row) -> tuple[str, float, float]:
    return row["ood"], row["share"], row["part"]


def _line(ood: str, share: float, part: float, rows: list[Row]) -> list[str]:
    cells = [ood, f"{share:.1%}", f"{part:.0%}", str(len({row["seed"] for row in rows}))]
    for what in ("score", "recall", "alarms"):
        cells += [_mean([r["fresh"][what] for r in rows if r["recipe"] == n]) for n in COLUMNS]
    frozen = [row["fresh"] for row in rows if row["recipe"] == "frozen"]
    best = max(BASELINES, key=lambda name: sum(found[name] for found in frozen))
    cells.append(f"{best} {_mean([found[best] for found in frozen])}" if frozen else "")
    outcomes = [row["outcome"] for row in rows if row["recipe"] == "guarded"]
    cells.append(", ".join(f"{outcomes.count(o)} {o}" for o in sorted(set(outcomes))))
    return cells


def _mean(values: list[float]) -> str:
    return f"{100 * mean(values):.1f}" if values else ""
