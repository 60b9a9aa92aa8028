"""Uploads of our classes that no longer look like the labeled folder: a jump in all classes.

New kinds of OOD images are taken for a few of our classes; a new camera or a new crop changes them
all. So the classes that are flagged least say which of the two it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from curate.catalog.arrivals import Arrival, latest
from curate.model.proportion import share_of
from curate.workspace import Workspace

ARRIVALS = 2_500
NEWEST = (5, 2)
"""One of so many is held against those before it. After a fifth, a half: once a drift is older than
the fifth, its images are among those before too, and hide it."""
FEWEST = 50
"""Images, on either side, below which nothing is said."""


@dataclass(frozen=True)
class Jump:
    """Shares of images that are flagged, in the half of the classes that is flagged least."""

    newest: float
    before: float
    images: int
    """The newest images of these classes."""


def jump(workspace: Workspace, rate: float) -> Jump | None:
    """The jump among the newest images of a catalog; None where there is none. Needs no torch."""
    return latest_jump(latest(workspace.catalog.engine, ARRIVALS), rate)


def latest_jump(arrivals: Sequence[Arrival], rate: float) -> Jump | None:
    """The jump among the newest of `arrivals`, which come newest first."""
    counts = [len(arrivals) // part for part in NEWEST]
    found = (jumped(arrivals[:count], arrivals[count:], rate) for count in counts)
    return next(filter(None, found), None)


def jumped(newest: Sequence[Arrival], before: Sequence[Arrival], rate: float) -> Jump | None:
    """Whether even the classes that are flagged least are flagged more often than before.

    They are half of the classes, and half of the newest images, at least. A jump is told where the
    95 % Wilson intervals of both shares lie apart. That these classes were chosen for being flagged
    least among the newest makes it rarer.
    """
    calm = _least_flagged(newest, rate)
    now, then = (
        share_of(sum(one.p_value <= rate for one in ours), len(ours))
        for ours in ([one for one in side if one.label in calm] for side in (newest, before))
    )
    if now is None or then is None or min(now.images, then.images) < FEWEST:
        return None
    return Jump(now.value, then.value, now.images) if now.low > then.high else None


def _least_flagged(arrivals: Sequence[Arrival], rate: float) -> set[str]:
    flags = defaultdict[str, list[bool]](list)
    for one in arrivals:
        flags[one.label].append(one.p_value <= rate)
    rising = sorted(flags, key=lambda label: sum(flags[label]) / len(flags[label]))
    calm, images = set[str](), 0
    for label in rising:
        if 2 * len(calm) >= len(flags) and 2 * images >= len(arrivals):
            break
        calm.add(label)
        images += len(flags[label])
    return calm
