"""What stands in the catalog now, in one look: counts, networks, rate, last scan and fine-tune."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from curate.catalog.hooks import HookRow
from curate.catalog.leases import LeaseRow
from curate.catalog.models import CheckpointRow
from curate.catalog.runs import RunRow
from curate.catalog.store import Counts, SourceRow
from curate.drift import Jump, jump
from curate.model.alarms import alarm_rank, ood_interval
from curate.workspace import Workspace

ROLES = ("classifier", "detector")


@dataclass(frozen=True)
class Active:
    """A checkpoint in service, and since when."""

    checkpoint: CheckpointRow
    since: datetime


@dataclass(frozen=True)
class Status:
    """Everything that `curate status` shows."""

    counts: Counts
    rate: float
    flagged: float | None
    ood_share: float | None
    ood_share_interval: tuple[float, float] | None
    jump: Jump | None
    """The newest images are flagged more often than before, whatever class they look like."""
    classifier: Active | None
    detector: Active | None
    sources: tuple[SourceRow, ...]
    held: tuple[LeaseRow, ...]
    last_finetune: RunRow | None
    hook: HookRow | None
    hook_waiting: int
    """Images that `--on-tag` of a watch has yet to tell of."""


def too_few_calibrated(workspace: Workspace, rate: float) -> int | None:
    """How many images the detector is calibrated with, where these can flag nothing at `rate`."""
    count = fewest_calibration(workspace)
    return count if count is not None and not alarm_rank(count, rate) else None


def fewest_calibration(workspace: Workspace) -> int | None:
    """How many images the detector is calibrated with; of two sets the smaller, which is safe.

    A guarded fine-tune reads the inbox against its canaries and later images against the others.
    None without a detector, or where its manifest cannot be read.
    """
    detector = workspace.catalog.models.active("detector")
    if detector is None:
        return None
    try:
        manifest = json.loads((workspace.checkpoints / detector / "checkpoint.json").read_bytes())
        return min(len(scores) for scores in manifest["calibration"].values())
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None


def status(workspace: Workspace) -> Status:
    """Gather the state of a catalog; runs without torch."""
    catalog = workspace.catalog
    counts, rate = catalog.counts(), catalog.rates.current()
    tagged = counts.id + counts.ood
    hook, waiting = catalog.hooks.state() or (None, 0)
    active = {role: catalog.models.active_since(role) for role in ROLES}
    return Status(
        counts=counts,
        rate=rate,
        flagged=counts.ood / tagged if tagged else None,
        ood_share=share(counts, rate),
        ood_share_interval=share_interval(counts, fewest_calibration(workspace), rate),
        jump=jump(workspace, rate),
        classifier=_active(active["classifier"]),
        detector=_active(active["detector"]),
        sources=tuple(catalog.sources()),
        held=tuple(catalog.leases.list()),
        last_finetune=catalog.runs.latest(),
        hook=hook,
        hook_waiting=waiting,
    )


def _active(found: tuple[CheckpointRow, datetime] | None) -> Active | None:
    return Active(*found) if found else None


def share(counts: Counts, rate: float) -> float | None:
    """Smallest OOD share that explains what is flagged at a false-alarm rate; in [0, 1].

    What people said is taken as it is. None where nothing is tagged.
    """
    images, flagged, unreviewed = _not_known_ood(counts)
    found = min(unreviewed, max(0.0, (flagged - rate * images) / (1 - rate)))
    tagged = counts.id + counts.ood
    return (counts.reviewed_ood + found) / tagged if tagged else None


def share_interval(
    counts: Counts, calibration: int | None, rate: float
) -> tuple[float, float] | None:
    """95 % interval of the OOD share, exact for `calibration` images that the threshold is from.

    None where it cannot be known: how many they are, or anything where they can flag nothing.
    """
    rank, tagged = alarm_rank(calibration or 0, rate), counts.id + counts.ood
    if not calibration or not rank or not tagged:
        return None
    images, flagged, unreviewed = _not_known_ood(counts)
    fewest, most = (
        counts.reviewed_ood + min(unreviewed, found)
        for found in ood_interval(flagged, images, calibration, rank)
    )
    return fewest / tagged, most / tagged


def _not_known_ood(counts: Counts) -> tuple[int, int, int]:
    """How many tagged images nobody called OOD; of them flagged, with and without a review.

    Those that people know to be ID stay in the count: it is mostly flagged ones that get reviewed,
    and without them fewer than `rate` of the others would be false alarms.
    """
    unreviewed = counts.ood - counts.reviewed_ood
    images = counts.id + counts.ood - counts.reviewed_ood
    return images, unreviewed + counts.false_alarms, unreviewed
