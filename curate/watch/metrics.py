"""Figures of a watch for Prometheus, over HTTP on 127.0.0.1 alone.

What is in the catalog is asked of its running counts at each scrape; what the watch does is counted
from its events, since its start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Info,
    ProcessCollector,
    Summary,
    make_wsgi_app,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.registry import Collector

from curate import __version__
from curate.catalog.hooks import HookRow
from curate.catalog.store import Catalog
from curate.errors import CurateError, UsageError
from curate.watch.events import Arrived, Event, FinetuneEnded, FinetuneImpossible, Scanned

HOST = "127.0.0.1"
_NAMES = (HOST, "localhost")
_OUTCOMES = ("promoted", "rejected", "skipped", "failed")
Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class _Catalog(Collector):
    """The catalog as of the scrape."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def collect(self) -> Iterator[Metric]:
        """Nothing but `curate_catalog_up` 0 where the catalog cannot be read."""
        up = GaugeMetricFamily("curate_catalog_up", "Whether the catalog could be read.")
        try:
            counts = self._catalog.counts()
        except CurateError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        images = GaugeMetricFamily("curate_images", "Images by tag.", labels=["tag"])
        for tag in ("id", "ood", "pending"):
            images.add_metric([tag], getattr(counts, tag))
        yield images
        told = {"curate_unreadable_files": counts.unreadable, "curate_reviewed": counts.reviewed}
        for name, value in told.items():
            text = name.removeprefix("curate_").replace("_", " ").capitalize()
            yield GaugeMetricFamily(name, f"{text} in the catalog.", value=value)
        if state := self._hook():
            yield from _hook_figures(*state)

    def _hook(self) -> tuple[HookRow, int] | None:
        try:
            return self._catalog.hooks.state()
        except CurateError:
            return None


def _hook_figures(hook: HookRow, waiting: int) -> Iterator[Metric]:
    yield GaugeMetricFamily("curate_hook_waiting", "Images to be told of.", value=waiting)
    yield CounterMetricFamily("curate_hook_delivered", "Images told of.", value=hook.delivered)
    yield CounterMetricFamily("curate_hook_failures", "Deliveries not taken.", value=hook.failures)


class Metrics:
    """The figures of one watch, in a registry of their own."""

    def __init__(self, catalog: Catalog) -> None:
        self.registry = registry = CollectorRegistry()
        registry.register(_Catalog(catalog))
        ProcessCollector(registry=registry)
        Info("curate_build", "The program.", registry=registry).info({"version": __version__})
        self._files = Counter(
            "curate_files", "Files read, by what they were.", ["found"], registry=registry
        )
        self._scores = Counter("curate_scores", "Scores made.", registry=registry)
        self._scans = Summary("curate_scan_seconds", "Whole scans of the inbox.", registry=registry)
        self._seen = Gauge("curate_scan_files", "Files the last scan saw.", registry=registry)
        self._last = Gauge(
            "curate_last_scan_timestamp_seconds", "When the last scan ended.", registry=registry
        )
        self._finetunes = Counter(
            "curate_finetunes", "Fine-tunes by outcome.", ["outcome"], registry=registry
        )
        for outcome in _OUTCOMES:  # at 0, so that the first one shows as a rise
            self._finetunes.labels(outcome)
        for found in ("image", "known", "unreadable"):
            self._files.labels(found)

    def count(self, event: Event) -> None:
        """Count what the watch has just done."""
        if isinstance(event, Arrived):
            self._files.labels("image").inc(event.ingested.images)
            self._files.labels("known").inc(event.ingested.known_content)
            self._files.labels("unreadable").inc(event.ingested.unreadable)
            self._scores.inc(event.scored)
        elif isinstance(event, Scanned):
            self._scans.observe(event.seconds)
            self._seen.set(event.files)
            self._last.set_to_current_time()
        elif isinstance(event, FinetuneEnded):
            self._finetunes.labels(event.run.outcome or "failed").inc()
        elif isinstance(event, FinetuneImpossible):
            self._finetunes.labels("failed").inc()


class _Quiet(WSGIRequestHandler):
    """Logs no request, and waits for none for ever."""

    timeout = 10

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@contextmanager
def measured(
    catalog: Catalog, port: int | None, tell: Callable[[Event], None]
) -> Iterator[Callable[[Event], None]]:
    """Where a port is given, events are counted before they go on to `tell`."""
    if port is None:
        yield tell
        return
    metrics = Metrics(catalog)

    def both(event: Event) -> None:
        metrics.count(event)
        tell(event)

    with served(metrics, port):
        yield both


@contextmanager
def served(metrics: Metrics, port: int) -> Iterator[None]:
    """Serve the figures at http://127.0.0.1:PORT/metrics; raises UsageError for a port in use."""
    guarded = _guarded(make_wsgi_app(metrics.registry))
    try:
        server = make_server(HOST, port, guarded, ThreadingWSGIServer, _Quiet)
    except OSError as error:
        raise UsageError(
            f"port {port} of {HOST} cannot be had for metrics: {error.strerror}; give another one "
            "to --metrics"
        ) from error
    thread = Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _guarded(answer: Application) -> Application:
    """Refuse a request that names another host: a page elsewhere would have a browser ask us."""

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        host = str(environ.get("HTTP_HOST", "")).partition(":")[0]
        if host not in _NAMES:
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"ask for 127.0.0.1 or localhost\n"]
        return answer(environ, start_response)

    return application
