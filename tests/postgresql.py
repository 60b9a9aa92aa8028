"""A private PostgreSQL for the tests, started as an ordinary user."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

SETTINGS = (
    "-c fsync=off -c listen_addresses= -c full_page_writes=off -c synchronous_commit=off "
    "-c max_connections=60"
)


@contextmanager
def running_server() -> Iterator[str]:
    """The socket folder of a running PostgreSQL; without one on the machine the tests fail."""
    binaries = _binaries()
    if binaries is None:
        if os.environ.get("CURATE_TESTS_WITHOUT_POSTGRES") == "1":
            pytest.skip("CURATE_TESTS_WITHOUT_POSTGRES=1: NOT TESTED ON POSTGRESQL")
        pytest.fail("no PostgreSQL here; install it, or set CURATE_TESTS_WITHOUT_POSTGRES=1")
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    as_user = _ordinary_user(folder)
    data, control = str(folder / "data"), str(binaries / "pg_ctl")
    options = f"{SETTINGS} -c unix_socket_directories={folder}"
    try:
        _run([*as_user, str(binaries / "initdb"), "-D", data, "-A", "trust", "-U", "curate", "-N"])
        log = str(folder / "log")
        _run([*as_user, control, "-D", data, "-w", "-o", options, "-l", log, "start"])
        yield str(folder)
        _run([*as_user, control, "-D", data, "-w", "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path | None:
    found = shutil.which("pg_config")
    told = subprocess.run([found, "--bindir"], capture_output=True, text=True) if found else None
    newest = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name)
    choices = [Path(told.stdout.strip())] if told else []
    return next((p for p in [*choices, *reversed(newest)] if (p / "initdb").is_file()), None)


def _ordinary_user(folder: Path) -> list[str]:
    """PostgreSQL refuses to run as root; the folder goes to the user that it runs as."""
    if os.geteuid() != 0:
        return []
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = names.get("postgres") or names["nobody"]
    os.chown(folder, user.pw_uid, user.pw_gid)
    ids = ["--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"]
    return ["setpriv", *ids, "env", "-C", str(folder), "LC_ALL=C.UTF-8"]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr


@contextmanager
def empty_database(socket: str) -> Iterator[str]:
    """The address of a database of its own."""
    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(host=socket, user="curate", dbname="postgres", autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}".encode())
        yield f"postgresql://curate@/{name}?host={socket}"
        server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
