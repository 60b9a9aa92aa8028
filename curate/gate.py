"""A gate for pipelines: what a query means, held against bounds.

The OOD rate is that of the tags, so up to the alarm rate of our own classes is in it. Images that
wait for their score are in no rate; a bound on them is a bound of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from curate.catalog.figures import Figures, figures
from curate.catalog.query import Query
from curate.errors import NoCheckpoint, UsageError
from curate.model.proportion import chance_of_hits
from curate.workspace import Workspace


@dataclass(frozen=True)
class Bounds:
    """What is asked for; None leaves it open."""

    max_ood_rate: float | None = None
    max_unreadable: int | None = None
    max_pending: int | None = None
    min_images: int | None = None
    confidence: float | None = None
    """Of the OOD rate: above its bound is not met only where chance explains it less often than
    1 - `confidence`. None compares the plain rate."""


@dataclass(frozen=True)
class Bound:
    """One bound, the figure that it was held against, and whether it is met."""

    name: str
    kind: Literal["at most", "at least"]
    limit: float
    figure: float | None
    """None: there are images, but none is tagged yet."""
    met: bool
    chance: float | None = None
    """Of so many OOD images or more, were the true rate `limit`; only with a confidence."""


@dataclass(frozen=True)
class Checked:
    """The bounds, and the counts that they were held against."""

    met: bool
    counts: Figures
    rate: float
    """The false-alarm rate that the tags are made with."""
    bounds: tuple[Bound, ...]


def check(workspace: Workspace, query: Query, bounds: Bounds) -> Checked:
    """Hold what `query` means against the bounds that are set.

    Raises UsageError where a bound cannot be meant of this query, none is set, or no source has
    the name that it asks for, and NoCheckpoint for a bound on tags before there is a network.
    """
    _check_meant(query, bounds)
    _check_source(workspace, query)
    tagged = bounds.max_ood_rate is not None or bounds.max_pending is not None
    if tagged and workspace.catalog.models.active("detector") is None:
        raise NoCheckpoint()
    counts = figures(workspace.catalog.engine, query)
    held = tuple(_held(counts, bounds))
    met = all(bound.met for bound in held)
    return Checked(met, counts, workspace.catalog.rates.current(), held)


def _check_meant(query: Query, bounds: Bounds) -> None:
    if bounds == Bounds(confidence=bounds.confidence):
        raise UsageError(
            "nothing to check; give --max-ood-rate, --max-unreadable, --max-pending or --min-images"
        )
    if bounds.confidence is not None and bounds.max_ood_rate is None:
        raise UsageError("--confidence is that of --max-ood-rate; give both")
    if query.unreadable:
        raise UsageError("unreadable: names files that are no images; --max-unreadable counts them")
    if query.tag is not None and bounds.max_ood_rate is not None:
        raise UsageError("--max-ood-rate compares tags; leave tag: out of the query")


def _check_source(workspace: Workspace, query: Query) -> None:
    """A name that no inbox has would mean nothing, and of nothing every bound is met."""
    if query.source is not None and not workspace.catalog.sources(query.source):
        there = ", ".join(source.root_uri for source in workspace.catalog.sources())
        raise UsageError(
            f"no inbox has {query.source!r} in its address; the catalog knows {there or 'none yet'}"
        )


def _held(counts: Figures, bounds: Bounds) -> Iterator[Bound]:
    if bounds.max_ood_rate is not None:
        yield _ood_rate(counts, bounds.max_ood_rate, bounds.confidence)
    if bounds.max_unreadable is not None:
        if counts.unreadable is None:
            raise UsageError(
                "an unreadable file has a source, a path and an age, but no tag, class or score; "
                "with --max-unreadable use source:, path: and since: alone"
            )
        yield _at_most("unreadable", counts.unreadable, bounds.max_unreadable)
    if bounds.max_pending is not None:
        yield _at_most("pending", counts.pending, bounds.max_pending)
    if bounds.min_images is not None:
        least = bounds.min_images
        yield Bound("images", "at least", least, counts.images, counts.images >= least)


def _at_most(name: str, figure: int, most: int) -> Bound:
    return Bound(name, "at most", most, figure, figure <= most)


def _ood_rate(counts: Figures, most: float, confidence: float | None) -> Bound:
    """Of no image nothing is OOD; of images that all wait for a score nothing is known."""
    tagged = counts.id + counts.ood
    if not tagged:
        none = not counts.images
        return Bound("ood_rate", "at most", most, 0.0 if none else None, none)
    rate, chance = counts.ood / tagged, None
    met = rate <= most
    if confidence is not None:
        chance = 1.0 if met else chance_of_hits(counts.ood, tagged, most)
        met = chance >= 1 - confidence
    return Bound("ood_rate", "at most", most, rate, met, chance)
