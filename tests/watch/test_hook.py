"""Newly tagged images told to a command and to a URL, and what happens when nobody takes them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from curate.errors import UsageError
from curate.export.rows import COLUMNS
from curate.watch.delivery import BATCH, Delivery
from curate.watch.hook import Command, NotAccepted, Row, Url, signed, target_of
from curate.workspace import open_workspace

from ..program import draw, run, start, status, wait_until

KEY = b"a key of some bytes"
SECRET = {"CURATE_WEBHOOK_SECRET": "whsec_" + base64.b64encode(KEY).decode()}


def test_a_request_is_signed_as_the_specification_says() -> None:
    headers = signed("msg_1", 1_700_000_000, b'{"a":1}', KEY)
    signature = hmac.new(KEY, b'msg_1.1700000000.{"a":1}', hashlib.sha256).digest()
    assert headers["webhook-id"] == "msg_1"
    assert headers["webhook-timestamp"] == "1700000000"
    assert headers["webhook-signature"] == "v1," + base64.b64encode(signature).decode()


@pytest.mark.parametrize(
    ("text", "environment", "said"),
    [
        ("ftp://host/x", SECRET, "no http or https URL"),
        ("file:///etc/passwd", SECRET, "no http or https URL"),
        ("https://", SECRET, "no http or https URL"),
        ("https://host:x/", SECRET, "is no URL"),
        ("https://ann:word@host/", SECRET, "must hold no password"),
        ("https://host/\u00e9", SECRET, "percent-encoded"),
        ("https://host/", {}, "set CURATE_WEBHOOK_SECRET"),
        ("https://host/", {"CURATE_WEBHOOK_SECRET": "whsec_"}, "set CURATE_WEBHOOK_SECRET"),
        ("https://host/", {"CURATE_WEBHOOK_SECRET": "whsec_?"}, "no base64"),
        ("'open", {}, "a quote that is not closed"),
        ("  ", {}, "no program ''"),
        ("no-such-program --x", {}, "no program 'no-such-program'"),
    ],
)
def test_what_cannot_be_called_is_refused(
    text: str, environment: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        target_of(text, environment)


def test_a_secret_is_a_key_in_base64_or_as_it_is() -> None:
    for secret, key in ((SECRET["CURATE_WEBHOOK_SECRET"], KEY), ("plain", b"plain")):
        target = target_of("https://host/x", {"CURATE_WEBHOOK_SECRET": secret})
        assert isinstance(target, Url)
        assert target.key == key


def test_a_command_reads_lines_without_a_shell(tmp_path: Path) -> None:
    code = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())"
    target = target_of(
        f"{sys.executable} -c {code!r} '{tmp_path}/$(id); out'".replace('"', '"'), {}
    )
    target.deliver([{"sha256": "a", "path": "caf\u00e9"}, {"sha256": "b", "path": "x"}])
    written = (tmp_path / "$(id); out").read_text(encoding="utf-8")
    assert [json.loads(line)["sha256"] for line in written.splitlines()] == ["a", "b"]


def test_a_command_that_fails_takes_nothing() -> None:
    fails = Command((sys.executable, "-c", "import sys; sys.exit('one\\ndatabase down')"))
    with pytest.raises(NotAccepted, match="ended with 1: database down"):
        fails.deliver([{"sha256": "a"}])
    with pytest.raises(NotAccepted, match="could not run"):
        Command(("/no/such/program",)).deliver([{"sha256": "a"}])


@contextmanager
def listening(status: int) -> Iterator[tuple[str, list[tuple[Any, bytes]]]]:
    """A server that answers so; gives its address and what it was sent."""
    sent: list[tuple[Any, bytes]] = []

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.append((self.headers, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook?a=b", sent
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_url_gets_a_signed_request() -> None:
    with listening(204) as (address, sent):
        target_of(address, SECRET).deliver([{"sha256": "a"}])
        target_of(address, SECRET).deliver([{"sha256": "a"}])
    ((headers, body), (again, _)) = sent
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    signature = base64.b64encode(hmac.digest(KEY, content, "sha256")).decode()
    assert headers["webhook-signature"] == f"v1,{signature}"
    assert again["webhook-id"] == headers["webhook-id"]
    told = json.loads(body)
    assert (told["type"], told["data"]) == ("image.tagged", {"images": [{"sha256": "a"}]})


@pytest.mark.parametrize("status", [301, 307, 400, 410, 500])
def test_any_other_answer_takes_nothing_and_a_redirect_is_not_followed(status: int) -> None:
    with listening(status) as (address, sent):
        with pytest.raises(NotAccepted, match=f"127.0.0.1 answered {status}"):
            target_of(address, SECRET).deliver([{"sha256": "a"}])
        assert len(sent) == 1
    with pytest.raises(NotAccepted, match=r"no answer from 127\.0\.0\.1: Connection refused"):
        target_of(address, SECRET).deliver([{"sha256": "a"}])


class Fails:
    """A target that takes nothing, until it is told to."""

    def __init__(self) -> None:
        self.broken = True
        self.told: list[Sequence[Row]] = []

    def deliver(self, rows: Sequence[Row]) -> None:
        if self.broken:
            raise NotAccepted("down")
        self.told.append(rows)


def test_what_was_not_taken_stays_and_is_tried_with_growing_pauses(trained: Path) -> None:
    draw(trained / "inbox", "disc", range(1000, 1000 + BATCH + 5))
    with open_workspace(str(trained / ".curate"), create=False) as workspace:
        workspace.catalog.hooks.set()
        run(trained, "ingest", "inbox")
        target = Fails()
        delivery = Delivery(workspace.catalog.hooks, target)
        assert [(delivery.turn(), delivery.next_pause()) for _ in range(10)] == [
            (None, float(pause)) for pause in (1, 2, 4, 8, 16, 32, 64, 128, 256, 300)
        ]
        assert status(trained)["hook_waiting"] == BATCH + 5
        assert status(trained)["hook"]["failures"] == 10
        shown = run(trained, "status").stdout
        assert "0 told, 105 waiting, 10 failures" in shown
        assert len(list(delivery.failures())) == 10
        target.broken = False
        assert [delivery.turn() for _ in range(3)] == [0.0, 0.0, 1.0]
        assert [len(rows) for rows in target.told] == [BATCH, 5]
        assert tuple(target.told[0][0]) == COLUMNS
        assert delivery.next_pause() == 1.0
        assert status(trained)["hook_waiting"] == 0


def test_a_full_disk_ends_no_delivery(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    draw(trained / "inbox", "disc", range(1000, 1001))
    with open_workspace(str(trained / ".curate"), create=False) as workspace:
        workspace.catalog.hooks.set()
        run(trained, "ingest", "inbox")
        delivery = Delivery(workspace.catalog.hooks, Command(("true",)))
        with monkeypatch.context() as patched:
            patched.setattr("curate.watch.hook.TemporaryFile", full)
            assert delivery.turn() is None
        [failure] = delivery.failures()
        assert "No space left on device" in failure.reason
        assert delivery.turn() == 0.0
        assert workspace.catalog.hooks.due(1) == []


def test_a_watch_tells_and_what_a_kill_left_is_told_by_the_next(trained: Path) -> None:
    draw(trained / "inbox", "disc", range(1000, 1003))
    watch = start(trained, "watch", "inbox", "--settle", 0.1, "--on-tag", "false")
    wait_until(lambda: (status(trained)["hook"] or {}).get("failures"))
    watch.kill()
    watch.communicate(timeout=60)
    assert status(trained)["hook_waiting"] == 3
    draw(trained / "inbox", "square", range(1000, 1002))
    append = "import sys; open('told', 'a').write(sys.stdin.read())"
    done = run(
        trained,
        *("watch", "inbox", "--once", "--settle", 0.1),
        *("--on-tag", f'{sys.executable} -c "{append}"'),
    )
    assert "not accepted" not in done.stderr
    rows = [json.loads(line) for line in (trained / "told").read_text().splitlines()]
    assert sorted(Path(row["path"]).name for row in rows) == [
        *(f"disc-{number}.png" for number in range(1000, 1003)),
        *(f"square-{number}.png" for number in range(1000, 1002)),
    ]
    assert {row["tag"] for row in rows} <= {"id", "ood"}
    assert status(trained)["hook_waiting"] == 0


def test_a_hook_that_takes_nothing_holds_no_watch_up(trained: Path) -> None:
    draw(trained / "inbox", "disc", range(1000, 1002))
    once = ("watch", "inbox", "--once", "--settle", 0, "--log-format", "json")
    shown = run(trained, *once, "--on-tag", "false").stderr
    assert status(trained)["counts"]["pending"] == 0
    assert status(trained)["hook_waiting"] == 2
    failed = [line for line in map(json.loads, shown.splitlines()) if "reason" in line]
    assert {line["event"] for line in failed} == {"delivery_failed"}
    assert failed[-1]["reason"] == "the command ended with 1"
    run(trained, *once, "--on-tag", "none")
    assert status(trained)["hook"] is None
