"""The pool of decode workers: nothing that a file does ends the run, or the next file."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

import pytest
from PIL import Image

from curate.config import DecodeConfig
from curate.errors import CurateError
from curate.images import child, frames
from curate.images.decode import (
    AHEAD,
    DecodedImage,
    Decoder,
    Passing,
    UnreadableImage,
    policy,
)
from curate.images.frames import Header

from .files import only, png, unreadable

ONE = DecodeConfig(workers=1)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_order_is_kept_by_several_workers(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(40)]
    for number, path in enumerate(paths):
        path.write_bytes(png(number, 400 if number % 7 == 0 else 8))
    with Decoder(DecodeConfig(workers=2)) as decoder:
        results = list(decoder.map(paths))
        assert len(decoder.pids) == 2
    assert [path for path, _ in results] == paths
    colours = []
    for _, result in results:
        assert isinstance(result, DecodedImage)
        found = Image.open(io.BytesIO(result.preview)).getpixel((0, 0))
        assert isinstance(found, tuple)
        colours.append(found[0])
    assert all(abs(found - number) <= 2 for number, found in enumerate(colours))


def test_reads_only_a_little_ahead(decoder: Decoder, good: Path) -> None:
    taken = 0

    def paths() -> Iterator[Path]:
        nonlocal taken
        for _ in range(1_000):
            taken += 1
            yield good

    results = decoder.map(paths())
    next(results)
    assert taken == AHEAD
    next(results)
    assert taken == AHEAD + 1
    results.close()  # type: ignore[attr-defined]


def test_killed_worker_is_replaced(decoder: Decoder, good: Path) -> None:
    only(decoder, good)
    [before] = decoder.pids
    os.kill(before, signal.SIGKILL)
    assert isinstance(only(decoder, good), DecodedImage)
    assert before not in decoder.pids
    assert len(decoder.pids) == 1


class Strike(Protocol):
    """Send the worker a signal with each request for a file so named; lists their pids."""

    def __call__(
        self, decoder: Decoder, number: int, times: int = 99, name: bytes = b"deadly.png"
    ) -> list[int]: ...


@pytest.fixture
def on_request(monkeypatch: pytest.MonkeyPatch) -> Strike:
    def on_request(
        decoder: Decoder, number: int, times: int = 99, name: bytes = b"deadly.png"
    ) -> list[int]:
        struck: list[int] = []

        def send(stream: IO[bytes], header: Header, path: bytes) -> None:
            if path.endswith(name) and len(struck) < times:
                struck.append(decoder.pids[0])
                os.kill(struck[-1], signal.SIGSTOP)  # no answer can slip out before
                os.kill(struck[-1], number)
            frames.send(stream, header, path)

        monkeypatch.setattr(child, "send", send)
        return struck

    return on_request


@pytest.fixture
def deadly(tmp_path: Path) -> Path:
    (tmp_path / "deadly.png").write_bytes(png())
    return tmp_path / "deadly.png"


def test_file_that_kills_is_tried_twice_then_recorded(
    decoder: Decoder, on_request: Strike, deadly: Path, good: Path
) -> None:
    struck = on_request(decoder, signal.SIGKILL)
    [(_, bad), (_, fine)] = decoder.map([deadly, good])
    assert bad == unreadable(deadly, "the decoder died (memory or crash)")
    assert len(set(struck)) == 2
    assert all(map(gone, struck))
    assert isinstance(fine, DecodedImage)


def test_file_that_takes_too_long_is_tried_twice_then_recorded(
    on_request: Strike, deadly: Path, good: Path
) -> None:
    with Decoder(DecodeConfig(workers=1, seconds=0.5)) as decoder:
        struck = on_request(decoder, signal.SIGSTOP)
        began = time.monotonic()
        [(_, bad)] = decoder.map([deadly])
        assert time.monotonic() - began >= 1
        assert bad == unreadable(deadly, "decoding took longer than 0.5 s")
        assert len(set(struck)) == 2
        assert all(map(gone, struck))
        assert isinstance(only(decoder, good), DecodedImage)


NOT_THE_FILE = (
    "over a good picture too; not the file's fault, so it is tried again at the next scan"
)


def test_where_every_worker_is_killed_no_file_is_to_blame(
    decoder: Decoder, on_request: Strike, good: Path
) -> None:
    struck = on_request(decoder, signal.SIGKILL, times=3, name=b"")
    reason = f"the decoder died (memory or crash), {NOT_THE_FILE}"
    assert only(decoder, good) == UnreadableImage(reason, None)
    assert len(set(struck)) == 3
    assert isinstance(only(decoder, good), DecodedImage)


def test_where_every_worker_is_held_up_no_file_is_to_blame(on_request: Strike, good: Path) -> None:
    with Decoder(DecodeConfig(workers=1, seconds=0.5)) as decoder:
        on_request(decoder, signal.SIGSTOP, times=3, name=b"")
        reason = f"decoding took longer than 0.5 s, {NOT_THE_FILE}"
        assert only(decoder, good) == UnreadableImage(reason, None)


def test_where_no_good_picture_can_be_written_no_file_is_to_blame(
    decoder: Decoder, on_request: Strike, deadly: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_request(decoder, signal.SIGKILL)
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    reason = f"the decoder died (memory or crash), {NOT_THE_FILE}"
    assert only(decoder, deadly) == UnreadableImage(reason, None)


def test_worker_that_dies_only_once_costs_nothing(
    decoder: Decoder, on_request: Strike, deadly: Path
) -> None:
    struck = on_request(decoder, signal.SIGKILL, times=1)
    assert isinstance(only(decoder, deadly), DecodedImage)
    assert len(struck) == 1


def test_answer_that_is_none_counts_as_a_death(
    decoder: Decoder, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(decoder, good)
    answer: Header = {"kind": "image", "sha256": "../../etc", "format": "PNG"}
    monkeypatch.setattr(child, "receive", lambda stream: (answer, b""))
    reason = f"the decoder died (memory or crash), {NOT_THE_FILE}"
    assert only(decoder, good) == UnreadableImage(reason, None)


def test_bomb_within_the_limits_of_size_is_out_of_memory(tmp_path: Path, good: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("L", (6_000, 6_000)).save(path, compress_level=1)
    with Decoder(DecodeConfig(workers=1, memory_bytes=240_000_000)) as decoder:
        assert isinstance(only(decoder, good), DecodedImage)
        before = decoder.pids
        Image.new("RGBA", (7_000, 7_000)).save(path, compress_level=1)
        assert only(decoder, path) == unreadable(path, "needs more than 240 MB of memory")
        assert isinstance(only(decoder, good), DecodedImage)
        assert decoder.pids == before


def test_worker_that_cannot_start_is_no_fault_of_the_file(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with (
        Decoder(ONE) as decoder,
        pytest.raises(CurateError, match=r"does not start \(exit code 1\)"),
    ):
        only(decoder, good)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with Decoder(ONE) as decoder, pytest.raises(CurateError, match="No such file"):
        only(decoder, good)


def test_close_ends_a_worker_that_hangs(on_request: Strike, deadly: Path) -> None:
    with Decoder(ONE) as decoder:
        struck = on_request(decoder, signal.SIGSTOP)
        results: list[object] = []
        waiting = threading.Thread(target=lambda: results.extend(decoder.map([deadly])))
        waiting.start()
        while not struck:
            time.sleep(0.01)
        began = time.monotonic()
    waiting.join()
    assert time.monotonic() - began < 5
    assert results == [(deadly, Passing("the program ended"))]
    assert all(map(gone, struck))


def test_worker_outlives_ctrl_c_but_not_its_program(good: Path) -> None:
    code = f"""
import os, signal, time
from pathlib import Path
from curate.config import DecodeConfig
from curate.images.decode import Decoder
decoder = Decoder(DecodeConfig(workers=1))
path = Path({str(good)!r})
list(decoder.map([path]))
[pid] = decoder.pids
os.kill(pid, signal.SIGINT)
list(decoder.map([path]))
assert decoder.pids == [pid]
print(pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    pid = int(done.stdout)
    end = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and "Z" not in state_of(pid):
        assert time.monotonic() < end
        time.sleep(0.02)


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_limits_hold_in_the_worker(decoder: Decoder, good: Path) -> None:
    only(decoder, good)
    limits = Path(f"/proc/{decoder.pids[0]}/limits").read_text()
    found = {line[:26].strip(): line[26:].split()[0] for line in limits.splitlines()}
    assert found["Max address space"] == "1500000000"
    assert found["Max file size"] == "0"
    assert found["Max core file size"] == "0"
    assert found["Max open files"] == "16"


def test_worker_imports_neither_torch_nor_numpy() -> None:
    code = "import sys, curate.images.worker; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()).isdisjoint({"torch", "numpy", "sqlite3", "asyncio"})


def test_policy_names_what_decides() -> None:
    text = policy(DecodeConfig())
    assert text.endswith(
        "JPEG PNG WEBP GIF, 50000000 pixels, 20000 a side, 50000000 bytes, 20 s, "
        "1500000000 bytes of memory"
    )
    assert policy(DecodeConfig(max_side=10)) != text
    with Decoder(DecodeConfig()) as decoder:
        assert decoder.policy == text
