"""Where a content was seen."""

from __future__ import annotations

from sqlalchemy import Select, select

from curate.catalog.tables import Sighting, Source


def places(sha256: str) -> Select[str, str]:
    """(root URI, path) of each sighting of a content, the newest first."""
    seen = select(Source.root_uri, Sighting.path).join(
        Sighting, Sighting.source_id == Source.source_id
    )
    return seen.where(Sighting.sha256 == sha256).order_by(Sighting.last_seen.desc())
