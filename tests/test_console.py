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


def test_table_has_no_head_where_no_column_has_a_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console.table("", ["", ""], [["a", "x"], ["b", "y"]])
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["a", "x"],
        ["b", "y"],
    ]


def test_table_shows_none_as_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    console.table("", ["a", "b"], [[None, "x"]])
    assert capsys.readouterr().out.splitlines()[-1].split() == ["x"]


def test_a_table_is_shown_while_its_rows_still_come(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[str] = []

    def rows() -> Iterator[list[object]]:
        for number in range(2_500):
            if number == 2_000:
                seen.extend(capsys.readouterr().out.splitlines())
            yield ["x" * 9 if number == 5 else "x", 1_000 + number]

    assert console.table("", ["name", "n"], rows()) == 2_500
    lines = seen + capsys.readouterr().out.splitlines()
    assert len(seen) == 2_002
    assert len(lines) == 2_502
    assert len({line.index(str(1_000 + number)) for number, line in enumerate(lines[2:])}) == 1


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


def test_of_work_that_never_began_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), console.progress("reading"):
        raise ZeroDivisionError
    assert capsys.readouterr() == ("", "")


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


def test_on_a_terminal_a_long_message_is_wrapped_between_words() -> None:
    code = (
        "from curate import console\n"
        "console.warn('seven 77 ' * 12 + '/a-path/' + 'x' * 90)\n"
        "console.note('cd ' * 30, wrap=False)"
    )
    lines = _on_a_terminal(code, NO_COLOR="1").decode().splitlines()
    assert max(map(len, lines[:2])) <= 80
    assert all(word in ("warning:", "seven", "77") for line in lines[:2] for word in line.split())
    assert lines[2] == "/a-path/" + "x" * 90
    assert lines[3].split() == ["cd"] * 30
