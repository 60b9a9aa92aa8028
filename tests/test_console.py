"""What the program prints, and where."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate import console

SIDES = ("in-distribution", "out-of-distribution")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("[/].png", "[/].png"),
        ("[bold]x[/bold]", "[bold]x[/bold]"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\nb\tc\x7f", r"a\nb\tc\x7f"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\x9b2J", r"\u009b2J"),
        (b"caf\xe9.png", r"caf\xe9.png"),
        ("caf\udce9.png", r"caf\xe9.png"),
        (Path("kühe/日本.png"), "kühe/日本.png"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_safe_shows_what_a_terminal_must_not_obey(name: str | bytes | Path, shown: str) -> None:
    assert console.safe(name) == shown


@given(st.binary())
def test_safe_is_printable_and_changes_nothing_the_second_time(name: bytes) -> None:
    once = console.safe(name.replace(b"\0", b""))
    assert once.isprintable()
    assert console.safe(once) == once
    once.encode()


def test_data_and_messages_go_to_their_own_streams(capsys: pytest.CaptureFixture[str]) -> None:
    console.note("scanned [/] \x1b[2J")
    console.warn("slow disk")
    console.error("no such file: '[/].png'\nsecond line")
    console.show("one\u202e")
    out, err = capsys.readouterr()
    assert out == "one\\u202e\n"
    assert err.splitlines() == [
        r"scanned [/] \x1b[2J",
        "warning: slow disk",
        r"error: no such file: '[/].png'\nsecond line",
    ]


def test_a_long_error_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    console.error("word " * 100)
    assert capsys.readouterr().err.count("\n") == 1


def test_table_folds_nothing_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    long = "[/]" + "x" * 200
    console.table("files", ["name", "n"], [[long, 7], ["\x1b[0m", 12]])
    title, heading, _, first, second = capsys.readouterr().out.splitlines()
    assert title == "files"
    assert heading.split() == ["name", "n"]
    assert first.split() == [long, "7"]
    assert second.split() == [r"\x1b[0m", "12"]
    assert len(first) == len(second) == len(heading)


def test_table_shows_none_as_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    console.table("", ["a", "b"], [[None, "x"]])
    assert capsys.readouterr().out.splitlines()[-1].split() == ["x"]


def test_json_is_ascii_with_iso_times_and_no_infinity(capsys: pytest.CaptureFixture[str]) -> None:
    when = datetime(2026, 5, 1, 9, 30, tzinfo=UTC)
    document = {"path": Path("a/é"), "when": when, "bad": "\udce9"}
    console.json_document(document)
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == {
        "path": "a/é",
        "when": "2026-05-01T09:30:00+00:00",
        "bad": "\udce9",
    }
    with pytest.raises(ValueError, match="JSON compliant"):
        console.json_document({"threshold": float("inf")})


def test_ndjson_writes_each_row_before_asking_for_the_next(
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen: list[str] = []

    def rows() -> Iterator[dict[str, object]]:
        yield {"n": 1}
        seen.append(capsys.readouterr().out)
        yield {"n": 2}

    console.ndjson(rows())
    assert seen == ['{"n": 1}\n']
    assert capsys.readouterr().out == '{"n": 2}\n'


def test_bins_begin_at_the_edge() -> None:
    """Range 0 to 8 in 4 columns is a step of 2; around 3: [1, 3) and [-1, 1), [3, 5) ... [7, 9)."""
    left, right = console.binned([0.0, 0.5, 1.0, 2.9, 3.0, 4.9, 5.0, 8.0], 3.0, width=4)
    assert left == [2, 2]
    assert right == [2, 1, 1]


def test_bins_without_an_edge_close_the_last_column() -> None:
    assert console.binned([0.0, 1.0, 2.0, 3.0, 4.0], 0.0, width=4) == ([], [1, 1, 1, 2])


@given(st.lists(st.floats(0, 2), min_size=2), st.data())
def test_bins_lose_no_score(scores: list[float], data: st.DataObject) -> None:
    edge = data.draw(st.sampled_from(scores))
    left, right = console.binned(scores, edge)
    assert sum(left) == sum(score < edge for score in scores)
    assert sum(right) == sum(score >= edge for score in scores)
    assert len(left) + len(right) <= console.WIDTH + 2


def test_histogram_draws_the_threshold_between_the_columns() -> None:
    """0 and 72 span 72 columns of step 1: the threshold 36 stands after 36 of them."""
    scores = [0.5] * 3 + [0.0, 35.5] + [36.0] * 3 + [71.5, 72.0]
    lines = console.histogram_lines(scores, 36.0, "scores", SIDES)
    assert lines[0] == "scores"
    bottom = lines[console.HEIGHT]
    assert bottom.index("│") == 36
    assert (bottom[0], bottom[35], bottom[37], bottom[72]) == ("█", "█", "█", "█")
    assert bottom[1:35].strip() == bottom[38:72].strip() == ""
    assert lines[1] == "█" + " " * 35 + "│"
    assert lines[-2] == " " * 36 + "▲"
    assert lines[-1] == "in-distribution 5 ◂ 36 ▸ 5 out-of-distribution (50.0%)"
    assert max(map(len, lines)) <= 80


def test_one_score_among_many_is_still_drawn() -> None:
    lines = console.histogram_lines([0.0] * 10_000 + [1.0], None, "", SIDES)
    assert lines[console.HEIGHT - 1][-1] == "▁"
    assert lines[-1] == "10001 scores"


@pytest.mark.parametrize(
    ("scores", "threshold", "last"),
    [
        ([], 0.5, "no scores yet"),
        ([1.0, 1.0], 2.0, "in-distribution 2 ◂ 2 ▸ 0 out-of-distribution (0.0%)"),
        ([1.0, 3.0], 1.0, "in-distribution 0 ◂ 1 ▸ 2 out-of-distribution (100.0%)"),
        ([1.0, 3.0], float("inf"), "in-distribution 2 ◂ inf ▸ 0 out-of-distribution (0.0%)"),
    ],
)
def test_histogram_without_a_wall(scores: list[float], threshold: float, last: str) -> None:
    lines = console.histogram_lines(scores, threshold, "", SIDES)
    assert lines[-1] == last
    assert "│" not in "".join(lines)


def test_progress_off_a_terminal_is_a_line_every_ten_seconds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = [0.0]
    with console.progress("learning [/]", 100, clock=lambda: now[0]) as advance:
        for done, second in ((5, 1.0), (20, 10.0), (30, 19.9), (50, 25.0), (100, 40.0)):
            now[0] = second
            advance(done, 100)
    assert capsys.readouterr() == (
        "",
        "learning [/]: 20 of 100 (20%), 2.0/s, 0:00:40 left\n"
        "learning [/]: 50 of 100 (50%), 2.0/s, 0:00:25 left\n"
        "learning [/]: 100 of 100 in 0:00:40, 2.5/s\n",
    )


def test_progress_says_how_far_it_came_when_the_work_breaks_off(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = iter((0.0, 1.0, 4.0))

    def work() -> None:
        with console.progress("x", clock=lambda: next(now)) as advance:
            advance(2, 8)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert capsys.readouterr().err == "x: 2 of 8 in 0:00:04, 0.5/s\n"


def _run(code: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
    )


def test_importing_it_costs_no_torch() -> None:
    code = "import sys, curate.console; sys.exit('torch' in sys.modules)"
    assert _run(code).returncode == 0


CLOSED = """
import os, sys
from curate import console
read, write = os.pipe()
os.close(read)
os.dup2(write, {stream})
with console.quiet_pipe():
    {command}
{after}
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("stream", "command", "after"),
    [
        (1, "console.ndjson({'n': n} for n in range(99999))", "sys.exit(9)"),
        (1, "console.table('', 'a', []); sys.stdout.flush()", "sys.exit(9)"),
        (1, "console.show('x')", ""),
        (2, "console.note('x')", "sys.exit(9)"),
    ],
)
def test_a_closed_pipe_ends_quietly(stream: int, command: str, after: str, unbuffered: str) -> None:
    code = CLOSED.format(stream=stream, command=command, after=after)
    ended = _run(code, PYTHONUNBUFFERED=unbuffered)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_an_encoding_without_the_character_gets_an_escape() -> None:
    code = "from curate import console; console.show('日 é')"
    ended = _run(code, PYTHONIOENCODING="latin-1")
    assert ended.stdout == b"\\u65e5 \xe9\n"


def _on_a_terminal(code: str, **environment: str) -> bytes:
    """What `code` writes when all its streams are a pseudo-terminal."""
    pty = pytest.importorskip("pty")
    primary, secondary = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=secondary,
        stdout=secondary,
        stderr=secondary,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80", **environment},
    )
    os.close(secondary)
    written = b""
    try:
        while block := os.read(primary, 65536):
            written += block
    except OSError:  # Linux: EIO once the other end is closed
        pass
    finally:
        os.close(primary)
    assert process.wait() == 0
    return written


def test_colour_on_a_terminal_unless_no_color_is_set() -> None:
    code = "from curate import console; console.error('x')"
    assert b"\x1b[1;31m" in _on_a_terminal(code, NO_COLOR="")
    assert b"31m" not in _on_a_terminal(code, NO_COLOR="1")


def test_a_bar_on_a_terminal_ends_with_all_done() -> None:
    code = (
        "from curate import console\n"
        "with console.progress('learning [/]', 3) as move:\n    move(3, 3)"
    )
    written = _on_a_terminal(code, NO_COLOR="1")
    assert b"learning [/]" in written
    assert b"3/3" in written
