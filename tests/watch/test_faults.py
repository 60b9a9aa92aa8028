"""What an inbox goes through while it is watched, with real events and real processes."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from curate.config import WatchConfig
from curate.watch import watch
from curate.watch.events import Arrived, Event
from curate.watch.hints import observed

from ..forked import environment
from ..program import draw, picture, run, start, status, wait_until
from .inbox import SCAN, SETTLE, Inbox


class Enough(Exception):
    """Ends a watch."""


@contextmanager
def watching(folder: Path, process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """A watch that has looked at its inbox once, until it is ended."""
    try:
        wait_until(lambda: modes(folder))
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors
    assert "overflow" not in errors


def modes(folder: Path) -> dict[str, str]:
    """How each inbox is watched whose first scan has ended."""
    if not (folder / ".curate" / "catalog.db").exists():
        return {}
    return {
        Path(source["root_uri"]).name: source["watch_mode"]
        for source in status(folder)["sources"]
        if source["watch_mode"]
    }


def sightings(folder: Path) -> int:
    found: int = status(folder)["counts"]["sightings"]
    return found


def test_a_tree_that_is_moved_in_is_found_by_its_events(inbox: Inbox) -> None:
    tree = inbox.root.parent / "tree"
    for number, place in enumerate(("a", "a/b", "a/b/c", "d")):
        draw(tree / place, "disc", range(number, number + 1))
    inbox.service.turn(0.0)
    with observed(inbox.service.hints, inbox.root) as has_events:
        assert has_events
        tree.rename(inbox.root / "tree")
        for now in itertools.count(10.0, 0.5):
            wait_until(inbox.service.hints.arrived.is_set)
            inbox.service.turn(now)
            if inbox.service.waiting == 4:
                break
    assert now < SCAN
    inbox.service.turn(now + SETTLE)
    found = sorted(Path(name).name for name in inbox.catalogued())
    assert found == [f"disc-{number}.png" for number in range(4)]


def test_a_folder_under_another_name_is_the_same_images(inbox: Inbox) -> None:
    draw(inbox.root / "old", "disc", range(3))
    inbox.service.turn(0.0)
    inbox.service.turn(SETTLE)
    (inbox.root / "old").rename(inbox.root / "new")
    inbox.service.turn(100.0)
    inbox.service.turn(100.0 + SETTLE)
    assert inbox.catalogued() == [f"{at}/disc-{i}.png" for at in ("new", "old") for i in range(3)]
    assert inbox.workspace.catalog.counts().images == 3


def test_a_folder_that_takes_the_inboxs_place_is_watched_and_so_is_the_one_that_comes_back(
    inbox: Inbox,
) -> None:
    """As where a disk is unmounted, its mount point is written to, and it is mounted again."""
    mounted, unmounted = inbox.root.with_name("mounted"), inbox.root.with_name("unmounted")
    came: list[int] = []

    def act(event: Event) -> None:
        if not isinstance(event, Arrived) or not event.ingested.images:
            return
        came.append(event.ingested.images)
        if len(came) == 1:
            inbox.root.rename(mounted)
            draw(inbox.root, "disc", range(1, 2))
        elif len(came) == 2:
            inbox.root.rename(unmounted)
            mounted.rename(inbox.root)
            draw(inbox.root, "disc", range(2, 3))
        else:
            raise Enough

    draw(inbox.root, "disc", range(1))
    config = WatchConfig(settle_seconds=0, scan_seconds=0.2, finetune_images=None)
    inbox.lease.release()
    service = inbox.service
    with pytest.raises(Enough):
        watch(
            inbox.workspace,
            inbox.root,
            service.scorer,
            service.source.decoder,
            config,
            on_event=act,
        )
    assert came == [1, 1, 1]
    assert inbox.catalogued() == [f"disc-{i}.png" for i in range(3)]


def test_what_came_while_the_watch_was_stopped_is_found_though_its_events_were_lost(
    tmp_path: Path,
) -> None:
    """The process stands still until Linux throws events away; the next scan is a minute off."""
    queued = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    noisy = draw(tmp_path / "inbox" / "noisy", "disc", range(2))
    (tmp_path / "inbox" / "quiet").mkdir()
    with watching(tmp_path, start(tmp_path, "watch", "inbox", "--settle", 0.2)) as process:
        wait_until(lambda: sightings(tmp_path) == 2)
        process.send_signal(signal.SIGSTOP)
        for _ in range(queued):
            for path in noisy:  # two in turn, for one event twice is one
                os.utime(path)
        draw(tmp_path / "inbox" / "quiet", "square", range(20))
        process.send_signal(signal.SIGCONT)
        wait_until(lambda: sightings(tmp_path) == 22, seconds=50)


def test_where_the_system_has_no_watches_left_for_a_folder_it_is_looked_at_often(
    tmp_path: Path,
) -> None:
    alone = ["unshare", "--user", "--map-root-user"]
    if subprocess.run([*alone, "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no limit of one's own: this system gives no user namespace")
    inbox = tmp_path / "inbox"
    for folder in ("a", "a/b", "a/b/c", "a/b/c/d"):
        draw(inbox / folder, "disc", range(1))
    command = [sys.executable, "-m", "curate", "watch", "inbox", "--settle", "0.2"]
    limited = 'echo 3 > /proc/sys/user/max_inotify_watches && exec "$@"'
    process = subprocess.Popen(
        [*alone, "sh", "-c", limited, "sh", *command],
        cwd=tmp_path,
        env=environment(),
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with watching(tmp_path, process):
        wait_until(lambda: modes(tmp_path) == {"inbox": "poll"})
        draw(inbox / "a" / "b" / "c" / "d", "square", range(1))
        wait_until(lambda: sightings(tmp_path) == 5, seconds=50)


def test_an_inbox_on_another_machine_is_looked_at_often(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curate.watch.service.on_network_file_system", lambda path: True)
    service = inbox.start()
    service.turn(0.0)
    picture("disc", 1).save(inbox.root / "a.png")
    service.turn(4.9)
    assert service.waiting == 0
    service.turn(5.0)
    assert service.waiting == 1
    assert [source.watch_mode for source in inbox.workspace.catalog.sources()] == ["poll"]


def test_two_inboxes_in_one_catalog_each_watched_in_its_way(tmp_path: Path) -> None:
    for name in ("phone", "web"):
        draw(tmp_path / name, "disc", range(1))
    with (
        watching(tmp_path, start(tmp_path, "watch", "phone", "--settle", 0.2)),
        watching(tmp_path, start(tmp_path, "watch", "web", "--settle", 0.2, "--poll")),
    ):
        wait_until(lambda: modes(tmp_path) == {"phone": "events", "web": "poll"})
        for name, kind in (("phone", "square"), ("web", "cross")):
            draw(tmp_path / name / "deep" / "er", kind, range(3))
        wait_until(lambda: sightings(tmp_path) == 8)
    found = status(tmp_path)
    assert found["counts"]["images"] == 7
    assert found["held"] == []
    listed = run(tmp_path, "list", "source:web path:deep/", "--json").stdout.splitlines()
    assert {Path(json.loads(row)["path"]).name for row in listed} == {
        f"cross-{number}.png" for number in range(3)
    }
