"""The runs as Markdown: one line for each share, and each recipe beside the frozen network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import mean, stdev
from typing import Any

Row = dict[str, Any]
Case = tuple[str, float, float]
COLUMNS = ("frozen", "control", "paper", "guarded")
BASELINES = ("msp", "energy", "knn", "discrepancy")
STUDENT = (6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833)
"""95 % quantiles of Student's distribution with 1 to 9 degrees of freedom."""


def table(rows: Iterable[Row]) -> str:
    """Two tables by OOD set and share, in percent: means over seeds, and paired differences.

    Below them, how often each recipe's alarm rate lies where 99 % of runs do by chance.

    The figures are AUROC, recall and alarms of fresh images; runs that diverged have none and are
    counted beside the mean of the others. The differences are in AUROC, over the seeds that both
    recipes have; behind each mean stands its one-sided 95 % lower bound.
    """
    rows = list(rows)
    cases = by_case(rows)
    titles = [f"{name} {what}" for what in ("AUROC", "recall", "alarms") for name in COLUMNS]
    head = ["OOD", "share", "arrived", "seeds", *titles, "best baseline", "guarded came to"]
    means = [_line(case, found) for case, found in cases.items()]
    others = [*COLUMNS[:-1], "best baseline"]
    against = ["OOD", "share", "arrived", *(f"guarded - {name}" for name in others)]
    paired = [_paired(case, found) for case, found in cases.items()]
    return f"{_markdown(head, means)}\n\n{_markdown(against, paired)}\n\n{_alarms_inside(rows)}"


def by_case(rows: Iterable[Row]) -> dict[Case, list[Row]]:
    """The runs of each OOD set, share and part of the inbox, in that order."""
    cases: dict[Case, list[Row]] = {}
    for row in sorted(rows, key=_case):
        cases.setdefault(_case(row), []).append(row)
    return cases


def lower_bound(differences: Sequence[float]) -> float | None:
    """One-sided 95 % bound for the mean of 2 to 10 paired differences (Student, 1908)."""
    if not 2 <= len(differences) <= len(STUDENT) + 1:
        return None
    error = stdev(differences) / math.sqrt(len(differences))
    return mean(differences) - STUDENT[len(differences) - 2] * error


def _case(row: Row) -> Case:
    return row["ood"], row["share"], row["part"]


def _named(case: Case) -> list[str]:
    ood, share, part = case
    return [ood, f"{share:.1%}", f"{part:.0%}"]


def _line(case: Case, rows: list[Row]) -> list[str]:
    cells = [*_named(case), str(len({row["seed"] for row in rows}))]
    for what in ("score", "recall", "alarms"):
        cells += [_cell([row for row in rows if row["recipe"] == n], what) for n in COLUMNS]
    best = _best_baseline(rows)
    found = [row["fresh"][best] for row in rows if row["recipe"] == "frozen"]
    cells.append(f"{best} {_mean(found)}" if found else "")
    outcomes = [row["outcome"] for row in rows if row["recipe"] == "guarded"]
    cells.append(", ".join(f"{outcomes.count(o)} {o}" for o in sorted(set(outcomes))))
    return cells


def _cell(rows: list[Row], what: str) -> str:
    figures = [row["fresh"][what] for row in rows if "fresh" in row]
    lost = len(rows) - len(figures)
    return ", ".join(filter(None, [_mean(figures), f"{lost} diverged" if lost else ""]))


def _best_baseline(rows: list[Row]) -> str:
    """The single score of the frozen network that is highest on average."""
    frozen = [row["fresh"] for row in rows if row["recipe"] == "frozen"]
    return max(BASELINES, key=lambda name: sum(found[name] for found in frozen))


def _paired(case: Case, rows: list[Row]) -> list[str]:
    best = _best_baseline(rows)
    others = [(name, "score") for name in COLUMNS[:-1]] + [("frozen", best)]
    return [*_named(case), *(_difference(rows, *other) for other in others)]


def _difference(rows: list[Row], other: str, score: str) -> str:
    ours, theirs = (
        {r["seed"]: r["fresh"][name] for r in rows if r["recipe"] == recipe and "fresh" in r}
        for recipe, name in (("guarded", "score"), (other, score))
    )
    found = [ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())]
    if not found:
        return ""
    bound = lower_bound(found)
    return f"{100 * mean(found):+.1f}" + ("" if bound is None else f" ({100 * bound:+.1f})")


def _alarms_inside(rows: list[Row]) -> str:
    """Fresh images and the inbox's count apart, for they are read against other images."""
    counts = []
    for recipe in COLUMNS:
        own = [row for row in rows if row["recipe"] == recipe]
        parts = [row[part] for row in own for part in ("fresh", "inbox_images") if part in row]
        inside = sum(part["alarms_inside"] for part in parts)
        counts.append(f"{recipe} {inside} of {len(parts)}")
    return f"Alarms inside the 99 % interval, fresh and inbox: {', '.join(counts)}."


def _mean(values: list[float]) -> str:
    return f"{100 * mean(values):.1f}" if values else ""


def _markdown(head: list[str], lines: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *lines])
