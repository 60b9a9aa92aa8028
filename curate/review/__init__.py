"""The review page: a server on 127.0.0.1 for one person and one browser, no torch in it."""

from __future__ import annotations

from collections.abc import Callable

from curate.review.app import application
from curate.review.desk import Desk
from curate.review.server import serve
from curate.tagging import check_reviewer
from curate.workspace import Workspace


def review(
    workspace: Workspace,
    reviewer: str,
    port: int,
    shown: Callable[[str], str],
    on_address: Callable[[str], None],
) -> None:
    """Serve the page until a signal ends it; `on_address` is told where it opens, once each.

    `shown` makes names fit to be read. Raises UsageError for a reviewer that is no text and for a
    port that cannot be had.
    """
    check_reviewer(reviewer)
    serve(application(Desk(workspace, reviewer, shown)), port, on_address)
