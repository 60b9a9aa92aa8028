"""What stands in the catalog now, in one look: counts, networks, rate, last scan and fine-tune."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from statistics import NormalDist

from curate.catalog.leases import LeaseRow
from curate.catalog.models import CheckpointRow
from curate.catalog.runs import RunRow
from curate.catalog.store import Counts, SourceRow
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
    classifier: Active | None
    detector: Active | None
    sources: tuple[SourceRow, ...]
    held: tuple[LeaseRow, ...]
    last_finetune: RunRow | None


def status(workspace: Workspace) -> Status:
    """Gather the state of a catalog; runs without torch."""
    catalog = workspace.catalog
    counts, rate = catalog.counts(), catalog.rates.current()
    tagged = counts.id + counts.ood
    active = {role: catalog.models.active_since(role) for role in ROLES}
    return Status(
        counts=counts,
        rate=rate,
        flagged=counts.ood / tagged if tagged else None,
        ood_share=share(counts.ood / tagged, rate) if tagged else None,
        ood_share_interval=share_interval(counts.ood, tagged, rate) if tagged else None,
        classifier=_active(active["classifier"]),
        detector=_active(active["detector"]),
        sources=tuple(catalog.sources()),
        held=tuple(catalog.leases.list()),
        last_finetune=catalog.runs.latest(),
    )


def _active(found: tuple[CheckpointRow, datetime] | None) -> Active | None:
    return Active(*found) if found else None


def share(flagged: float, rate: float) -> float:
    """Smallest OOD share that explains a flagged share at a false-alarm rate; in [0, 1]."""
    return max(0.0, (flagged - rate) / (1 - rate))


def share_interval(flagged: int, images: int, rate: float) -> tuple[float, float]:
    """95 % Wilson interval (1927) of the flagged share, as an interval of the OOD share."""
    z = NormalDist().inv_cdf(0.975)
    p, spread = flagged / images, z * z / images
    centre = (p + spread / 2) / (1 + spread)
    half = z * ((p * (1 - p) + spread / 4) / images) ** 0.5 / (1 + spread)
    return share(centre - half, rate), share(centre + half, rate)
