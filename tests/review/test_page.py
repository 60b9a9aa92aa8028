"""The page opens with its address, once, and shows what the project holds."""

from __future__ import annotations

from pathlib import Path

from curate.catalog.queues import ORDERS
from curate.review.app import QUEUES

from .made import Visitor, project, served


def test_the_address_opens_the_page_once_and_another_follows(tmp_path: Path) -> None:
    project(tmp_path, 3)
    with served(tmp_path, "--reviewer", "anna") as running:
        first = running.token
        visitor = Visitor(running)
        assert running.token not in ("", first)
        status, headers, body = visitor.get(f"/?token={first}", cookie=None)
        assert (status, headers["set-cookie"]) == (401, None)
        assert b"each one opens the page once" in body
        status, headers, body = visitor.get(f"/?token={running.token}")
        assert (status, headers["set-cookie"]) == (200, None), "who is known uses no token up"
        assert b"anna" in body
        rows = visitor.json("/api/queue?order=highest&query=tag:ood&limit=2")["rows"]
        assert [row["path"] for row in rows] == [
            f"{tmp_path}/inbox/upload-{number}.png" for number in (0, 1)
        ]
        running.stop()


def test_every_order_has_a_name() -> None:
    assert set(QUEUES) == set(ORDERS)
