"""The fuzzer runs, finds nothing, and would find what it is there to find."""

from __future__ import annotations

import hashlib
import io
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from PIL import Image

from curate.config import DecodeConfig
from curate.images import child, frames
from curate.images.containers import Refused, check_whole
from curate.images.decode import (
    DecodedImage,
    Decoder,
    DecodeResult,
    FileStat,
    Passing,
    UnreadableImage,
)

from .fuzz import Tally, fuzz, inputs
from .images.bad_inputs import PNG_START
from .images.files import png
from .mutations import mutated, seeds

ONE = DecodeConfig(workers=1)
STAT = FileStat(1, 1, 1, 1)


def test_some_hundred_inputs_show_no_defect(tmp_path: Path) -> None:
    tally = fuzz(islice(inputs(None, 8, ONE.formats), 400), ONE, tmp_path / "keep")
    assert tally.defects == []
    assert tally.outcomes.total() == 400
    decoded = {f"decoded {kind}": 5 for kind in ONE.formats}
    assert {name for name in decoded if tally.outcomes[name] < decoded[name]} == set()
    assert tally.outcomes["unreadable: damaged"] > 50
    assert not (tmp_path / "keep").exists()


def digest(sent: list[tuple[str, bytes]]) -> str:
    return hashlib.sha256(b"".join(data for _, data in sent)).hexdigest()


def digest_in_another_process(seed: int) -> str:
    """The same at another time, where strings hash otherwise."""
    code = (
        "import hashlib; from itertools import islice; "
        "from tests.fuzz import inputs; "
        f"sent = list(islice(inputs(None, {seed}, {ONE.formats}), 50)); "
        "print(hashlib.sha256(b''.join(data for _, data in sent)).hexdigest())"
    )
    place = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=place, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_same_seed_gives_the_same_inputs() -> None:
    first, other = (list(islice(inputs(None, seed, ONE.formats), 50)) for seed in (1, 2))
    assert digest(first) == digest_in_another_process(1)
    assert {data for _, data in first}.isdisjoint(data for _, data in other)


def test_the_smallest_pictures_can_be_spoiled() -> None:
    starts = [data[:length] for data in seeds(ONE.formats) for length in range(1, 40)]
    spoiled = [mutated(starts, random.Random(number)) for number in range(20_000)]
    assert all(spoiled)


def test_checksums_and_ends_are_mended() -> None:
    """Else a spoiled PNG is refused before a decoder has seen it."""
    sent = [data for _, data in islice(inputs(None, 8, ONE.formats), 2_000)]
    pictures = [data for data in sent if data.startswith(PNG_START)]
    assert sum(map(is_whole, pictures)) > 0.8 * len(pictures) > 200


def is_whole(picture: bytes) -> bool:
    try:
        check_whole("PNG", picture)
    except Refused:
        return False
    return True


def test_the_corpus_comes_first_unchanged(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b").write_bytes(b"content")
    (tmp_path / "a").write_bytes(b"")
    assert list(islice(inputs(tmp_path, 0, ONE.formats), 2)) == [("a", b""), ("deep/b", b"content")]


def image(preview: bytes) -> DecodedImage:
    return DecodedImage("0" * 64, "PNG", 8, 8, STAT, preview)


def jpeg(mode: str, side: int) -> bytes:
    stream = io.BytesIO()
    Image.new(mode, (side, side)).save(stream, "JPEG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("result", "defect"),
    [
        (Passing("it vanished"), "a strange answer"),
        (UnreadableImage("decoding took longer than 20 s", STAT), "took longer"),
        (UnreadableImage("", STAT), "a strange reason"),
        (UnreadableImage("a\nb", STAT), "a strange reason"),
        (UnreadableImage("cannot be read: Input/output error", None), "a strange reason"),
        (image(b"junk"), "does not open"),
        (image(png()[:40]), "does not open"),
        (image(jpeg("L", 8)), "a preview of ('L', (8, 8))"),
        (image(jpeg("RGB", 9)), "a preview of ('RGB', (9, 9))"),
    ],
)
def test_a_defect_is_named_and_its_input_kept(
    result: DecodeResult, defect: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(_: Decoder, paths: Iterable[Path]) -> Iterator[tuple[Path, DecodeResult]]:
        return ((path, result) for path in paths)

    monkeypatch.setattr(Decoder, "map", answer)
    tally = fuzz(iter([("one/of.png", b"data")]), ONE, tmp_path)
    assert len(tally.defects) == 1
    assert tally.defects[0].startswith("one/of.png: ")
    assert defect in tally.defects[0]
    assert (tmp_path / "one_of.png").read_bytes() == b"data"


@pytest.fixture
def killing(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Kill the newest worker with each of so many requests."""

    def killing(times: int) -> None:
        started: list[int] = []
        start = child._start

        def noted(config: DecodeConfig) -> object:
            process = start(config)
            started.append(process.pid)
            return process

        def send(stream: io.BufferedWriter, header: frames.Header, body: bytes) -> None:
            nonlocal times
            if times and not body.endswith(b"good.gif"):
                times -= 1
                os.kill(started[-1], signal.SIGSTOP)  # no answer can slip out before
                os.kill(started[-1], signal.SIGKILL)
            frames.send(stream, header, body)

        monkeypatch.setattr(child, "_start", noted)
        monkeypatch.setattr(child, "send", send)

    return killing


def sent_once(tmp_path: Path) -> Tally:
    return fuzz(iter([("picture", png())]), ONE, tmp_path)


def test_a_death_whatever_memory_there_is_is_a_defect(
    killing: Callable[[int], None], tmp_path: Path
) -> None:
    killing(9)
    assert sent_once(tmp_path).defects == ["picture: the worker dies of it, whatever memory it has"]
    assert (tmp_path / "picture").read_bytes() == png()


@pytest.mark.parametrize("times", [1, 2])
def test_a_death_by_the_limit_is_counted_and_no_defect(
    killing: Callable[[int], None], tmp_path: Path, times: int
) -> None:
    killing(times)
    tally = sent_once(tmp_path)
    assert (tally.defects, tally.outcomes) == ([], {"a death by the memory limit": 1})


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_a_worker_above_its_limit_is_a_defect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = child._start
    monkeypatch.setattr(child, "_start", lambda config: start(DecodeConfig()))
    tally = fuzz(iter([("picture", png())]), replace(ONE, memory_bytes=1_000_000), tmp_path)
    assert len(tally.defects) == 1
    assert "the limit is 1,000,000" in tally.defects[0]
