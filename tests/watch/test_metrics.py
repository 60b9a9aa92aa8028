"""Figures for Prometheus, as a real scrape reads them."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from curate import __version__
from curate.errors import StorageError, UsageError
from curate.watch.events import FinetuneImpossible
from curate.watch.metrics import Metrics, measured, served

from ..program import draw, run, start, wait_until
from .inbox import Inbox


@pytest.fixture
def port() -> int:
    """A port that nobody has."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def answer(port: int, host: str | None = None) -> tuple[int, str]:
    """Status and body of a request that names `host`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/metrics", headers={"Host": host} if host else {})
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, body


def scraped(port: int) -> dict[str, float]:
    """Every sample, by its name and labels as they are written."""
    status, body = answer(port)
    assert status == 200
    return {
        sample.name + "".join(f"[{value}]" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }


def test_a_watch_is_scraped(inbox: Inbox, port: int) -> None:
    with measured(inbox.workspace.catalog, port, lambda event: None) as tell:
        inbox.service._on_event = tell
        draw(inbox.root, "disc", range(3))
        (inbox.root / "bad.jpg").write_bytes(b"<html>")
        inbox.service.turn(0.0)
        inbox.service.turn(2.0)
        tell(FinetuneImpossible(1, "no device"))
        found = scraped(port)
    told = {
        "curate_images[id]": 0,
        "curate_images[ood]": 0,
        "curate_images[pending]": 3,
        "curate_unreadable_files": 1,
        "curate_catalog_up": 1,
        "curate_files_total[image]": 3,
        "curate_files_total[known]": 0,
        "curate_files_total[unreadable]": 1,
        "curate_scores_total": 0,
        "curate_scan_seconds_count": 1,
        "curate_scan_files": 4,
        "curate_finetunes_total[failed]": 1,
        "curate_finetunes_total[promoted]": 0,
        f"curate_build_info[{__version__}]": 1,
    }
    assert {name: found.get(name) for name in told} == told
    assert found["curate_last_scan_timestamp_seconds"] > 1.7e9
    assert not any(name.startswith("python_gc") for name in found)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:9", 200),
        ("localhost", 200),
        ("rebound.example:80", 403),
        ("127.0.0.1.nip.io", 403),
        ("localhost.example", 403),
    ],
)
def test_another_hosts_name_is_refused(inbox: Inbox, port: int, host: str, status: int) -> None:
    with served(Metrics(inbox.workspace.catalog), port):
        assert answer(port, host)[0] == status


def test_a_catalog_that_cannot_be_read_is_a_figure(
    inbox: Inbox, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise StorageError("catalog.db", "the disk failed")

    monkeypatch.setattr(inbox.workspace.catalog, "counts", broken)
    with served(Metrics(inbox.workspace.catalog), port):
        found = scraped(port)
    assert found["curate_catalog_up"] == 0
    assert "curate_images[id]" not in found


def test_a_port_that_is_taken_is_told(inbox: Inbox, port: int) -> None:
    metrics = Metrics(inbox.workspace.catalog)
    told = pytest.raises(UsageError, match="give another one to --metrics")
    with served(metrics, port), told, served(metrics, port):
        pass


def test_the_command_serves_while_it_watches(tmp_path: Path, port: int) -> None:
    (tmp_path / "inbox").mkdir()
    watch = start(tmp_path, "watch", "inbox", "--settle", 0.1, "--metrics", port)
    try:
        wait_until(lambda: serves(port))
        assert scraped(port)["curate_images[pending]"] == 0
        taken = run(tmp_path, "watch", "inbox", "--once", "--metrics", port, code=2)
        assert f"port {port} of 127.0.0.1 cannot be had" in taken.stderr
    finally:
        watch.terminate()
        watch.communicate(timeout=60)
    assert watch.returncode == 143


def serves(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0
