"""`curate review` as a command: how it begins, what it leaves, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from curate.catalog import tally
from curate.catalog.engine import read
from curate.workspace import open_workspace

from ..catalog.cases import name_of
from ..forked import environment
from ..program import run
from .known import JSON
from .made import Visitor, add_images, add_network, project, served
from .raw import line, request


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    project(tmp_path, 1)
    with closing(socket.socket()) as holding:
        holding.bind(("127.0.0.1", 0))
        holding.listen()
        port = holding.getsockname()[1]
        done = run(tmp_path, "review", "--port", port, code=2)
    assert f"port {port} of 127.0.0.1 cannot be had: Address already in use" in done.stderr
    assert "give another one to --port" in done.stderr
    assert done.stdout == ""


def test_without_a_catalog_there_is_nothing_to_review(tmp_path: Path) -> None:
    assert "no catalog at" in run(tmp_path, "review", code=4).stderr
    project(tmp_path, 1)
    assert "no text" in run(tmp_path, "review", "--reviewer", "\udcff", code=2).stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_while_requests_are_under_way(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    project(tmp_path, 3)
    with served(tmp_path, "--reviewer", "anna") as running, line(running.port) as waiting:
        visitor, path = Visitor(running), f"{running.prefix}/api/reviews"
        host = f"127.0.0.1:{running.port}"
        ours = [("Host", host), ("Origin", f"http://{host}"), ("Cookie", visitor.cookie), JSON]
        body = json.dumps({"as_of": 0, "verdict": "ood", "query": ""}).encode()
        with closing(sqlite3.connect(tmp_path / ".curate" / "catalog.db")) as catalog:
            catalog.isolation_level = None
            catalog.execute("BEGIN IMMEDIATE")
            waiting.send(request("POST", path, ours, body))
            with line(running.port) as half, line(running.port, running.prefix) as idle:
                half.send(request("POST", path, ours, body)[:-5])
                assert idle.ask("GET", "/", ours).status == 200
                running.process.send_signal(number)
                reply = waiting.reply()  # the judgement waits for another process
                assert reply is None or reply.status == 500
            catalog.execute("ROLLBACK")
        said = running.process.communicate(timeout=60)[1]
        assert running.process.returncode == code
    assert "Traceback" not in said
    assert said.splitlines()[2:] == ["stopped; what was done is kept"]
    with open_workspace(str(tmp_path / ".curate"), create=False) as workspace:
        with read(workspace.catalog.engine) as connection:
            assert tally.faults(connection) == []
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        judged = len(workspace.catalog.reviews.standing())
        assert judged in (0, 3), "all or nothing"


def test_it_goes_on_when_nobody_reads_its_addresses(tmp_path: Path) -> None:
    project(tmp_path, 1)
    with served(tmp_path) as running, line(running.port, running.prefix) as asking:
        assert running.process.stdout is not None
        running.process.stdout.close()
        host = ("Host", f"127.0.0.1:{running.port}")
        reply = asking.ask("GET", f"/?token={running.token}", [host])
        assert reply.status == 200
        cookie = ("Cookie", reply.all_of("set-cookie")[0].partition(";")[0])
        assert asking.ask("GET", "/api/news?since=0", [host, cookie]).status == 200
        running.process.send_signal(signal.SIGINT)
        assert running.process.stderr is not None
        said = running.process.stderr.read()
        assert running.process.wait(30) == 130
    assert said.splitlines()[2:] == ["stopped; what was done is kept"]


def test_it_starts_and_answers_without_torch(tmp_path: Path) -> None:
    project(tmp_path, 1)
    code = (
        "import runpy, sys, uvicorn; sys.argv = ['curate', 'review']; "
        "uvicorn.Server.run = lambda *given, **named: print(*sys.modules); "
        "runpy.run_module('curate', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()).isdisjoint(("torch", "torchvision", "pyarrow", "alembic"))
    assert "curate.review.desk" in done.stdout.split()


def test_a_catalog_at_an_address_is_reviewed(tmp_path: Path, database: str) -> None:
    (tmp_path / ".curate").mkdir()
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(tmp_path)
        with open_workspace(database, create=True) as workspace:
            add_network(workspace)
            add_images(workspace, tmp_path, range(3))
    with served(tmp_path, "--reviewer", "anna", "--catalog", database) as running:
        visitor = Visitor(running)
        assert len(visitor.json("/api/queue?order=highest&limit=9")["rows"]) == 3
        for _ in range(2):
            assert visitor.get(f"/api/image/{name_of(0)}")[0] == 200
            assert visitor.get("/api/image/%00")[0] == 404
        word = {"as_of": 0, "verdict": "ood", "query": "path:upload-1"}
        assert visitor.post("/api/reviews", word)[1]["images"] == 1
        assert visitor.post("/api/reviews", word | {"query": "label:\0"})[0] == 400
        running.stop()


def test_at_once_judgements_of_many_are_one_after_another(tmp_path: Path) -> None:
    project(tmp_path, 3)
    with served(tmp_path, "--reviewer", "anna") as running:
        visitor, answers = Visitor(running), list[int]()

        def judge() -> None:
            word = {"as_of": 0, "verdict": "ood", "images": [name_of(0), name_of(1)]}
            answers.append(visitor.post("/api/reviews", word)[1]["images"])

        threads = [threading.Thread(target=judge) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == [0] * 11 + [2]
        assert visitor.json("/api/news?since=0")["step"] == 1
