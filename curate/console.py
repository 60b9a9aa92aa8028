"""The only module that prints: data to standard output, everything else to standard error.

Markup is never interpreted, and every text goes through `safe`: a file's name cannot colour,
clear or reorder a terminal. Importing this costs no torch.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import PurePath
from textwrap import TextWrapper
from types import SimpleNamespace
from typing import IO

from rich import box
from rich import progress as bars
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from curate.log import Level, Lines, as_json, json_line

Advance = Callable[[int, int], None]
_UNBOUNDED = 100_000
_TABLE_BLOCK = 1_000
_MARKS = {"info": ("", ""), "warning": ("warning: ", "yellow"), "error": ("error: ", "bold red")}
# Words that are longer than a line stay whole: mostly they are paths, which people copy.
_WRAPPER = partial(TextWrapper, break_long_words=False, break_on_hyphens=False)


class _Console(Console):
    """Leaves a closed pipe to `quiet_pipe`; rich would end with exit code 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def _console(*, stderr: bool) -> Console:
    """Made anew each time: it looks at the stream and at NO_COLOR as they are now."""
    return _Console(stderr=stderr)


def on_terminal() -> bool:
    """Whether a person watches standard error: bars are drawn there then."""
    return not _log.as_json and _console(stderr=True).is_terminal


@contextmanager
def quiet_pipe() -> Iterator[None]:
    """Ends with exit code 0 and no traceback when the reader of our output has gone.

    Another pipe that breaks inside it counts as well: catch it where that pipe is used.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        discard(sys.stdout)
        discard(sys.stderr)
        raise SystemExit(0) from None


def discard(stream: IO[str]) -> None:
    """Keeps the interpreter from complaining, at its end, of what it could not write."""
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def safe(name: str | bytes | PurePath) -> str:
    r"""`name` on one line, with nothing in it that a terminal obeys.

    Control, format (bidi) and odd space characters become `\x1b`, `\u202e`; a byte that is not
    UTF-8 becomes `\xff`. Brackets stay: nothing here reads markup. `safe(safe(x)) == safe(x)`.
    """
    return "".join(map(_visible, os.fsdecode(name)))


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
        return f"\\x{code:02x}"
    if code < 0x80:
        return repr(character)[1:-1]
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def log_as_json(chosen: bool) -> None:
    """From now on, whether each line on standard error is a JSON object; no bar is drawn then."""
    _log.as_json = chosen
    if chosen:
        warnings.showwarning = _python_warning


def _python_warning(message: Warning | str, *_where: object, **_to: object) -> None:
    warn(str(message), event="python_warning")


_log = SimpleNamespace(as_json=False)


def note(
    message: str, *, wrap: bool = True, clock: bool = False, event: str = "note", **facts: object
) -> None:
    """One line on standard error; `wrap=False` for a command that people copy.

    `clock` begins it with the time of day. In JSON, `event` names what happened and `facts` are
    fields of their own.
    """
    _say("info", message, wrap, clock, event, facts)


def warn(message: str, *, clock: bool = False, event: str = "warning", **facts: object) -> None:
    """One line on standard error, marked as a warning."""
    _say("warning", message, True, clock, event, facts)


def error(message: str, *, event: str = "error", **facts: object) -> None:
    """One line on standard error, marked as the error that ended the run."""
    _say("error", message, True, False, event, facts)


def _say(
    level: Level, message: str, wrap: bool, clock: bool, event: str, facts: Mapping[str, object]
) -> None:
    try:
        if _log.as_json:
            shown = {n: safe(v) if isinstance(v, str | PurePath) else v for n, v in facts.items()}
            line = json_line(level, event, safe(message), shown, datetime.now(UTC))
            sys.stderr.write(line + "\n")
            sys.stderr.flush()
        else:
            _draw_line(level, f"{datetime.now():%H:%M:%S} {message}" if clock else message, wrap)
    except BrokenPipeError:
        raise
    except OSError:
        # A full disk under a log must not stop the work that the log tells of.
        discard(sys.stderr)


def _draw_line(level: Level, message: str, wrap: bool) -> None:
    mark, style = _MARKS[level]
    console, line = _console(stderr=True), mark + safe(message)
    if wrap and console.is_terminal:
        line = _WRAPPER(console.width).fill(line)
    shown = Text(line)
    shown.stylize(style, 0, len(mark))
    console.print(shown, soft_wrap=True)


def show(message: str) -> None:
    """One line of data on standard output, at once."""
    _write(safe(message) + "\n")
    sys.stdout.flush()


def _write(text: str) -> None:
    """Writes to standard output; what its encoding lacks is written as an escape."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))


def show_lines(lines: Iterable[str]) -> None:
    """Lines of data on standard output, as they are."""
    _write("".join(f"{line}\n" for line in lines))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """A table on standard output; returns how many rows it has.

    Off a terminal no cell is folded, however wide it gets. Columns of numbers are set right; None
    is shown as nothing. Rows are drawn a thousand at a time, so that any number can be shown.
    """
    rest, count, widths = iter(rows), 0, [0] * len(columns)
    while True:
        cells = [list(row) for row in islice(rest, _TABLE_BLOCK)]
        if cells or not count:
            shown = Table(box=box.SIMPLE_HEAD, show_header=not count and any(columns))
            if title and not count:
                shown.title, shown.title_justify = Text(safe(title)), "left"
            widths = _fill(shown, columns, cells, widths)
            _draw(shown)
        count += len(cells)
        if len(cells) < _TABLE_BLOCK:
            return count


def _fill(
    shown: Table, columns: Sequence[str], cells: list[list[object]], widths: list[int]
) -> list[int]:
    """Put the rows `cells` into a table; returns how wide its columns are at least."""
    texts = [["" if cell is None else safe(str(cell)) for cell in row] for row in cells]
    folded = _console(stderr=False).is_terminal
    for index, column in enumerate(columns):
        numbers = bool(cells) and all(isinstance(row[index], int | float) for row in cells)
        shown.add_column(
            Text(safe(column)),
            justify="right" if numbers else "left",
            overflow="fold",
            min_width=None if folded else widths[index],
        )
    for row in texts:
        shown.add_row(*map(Text, row))
    return [
        max([width, *(cell_len(row[index]) for row in texts)]) for index, width in enumerate(widths)
    ]


def _draw(shown: Table) -> None:
    console = _console(stderr=False)
    if not console.is_terminal:
        console.width = _UNBOUNDED
    with console.capture() as drawn:
        console.print(shown)
    lines = (line.rstrip() for line in drawn.get().splitlines())
    show_lines(line for line in lines if line)


def json_document(document: object) -> None:
    """One JSON document on standard output, in ASCII; times as ISO 8601, paths as text.

    Raises ValueError for NaN and infinity, which JSON does not have.
    """
    _write(as_json(document, indent=2) + "\n")


def ndjson(rows: Iterable[Mapping[str, object]]) -> None:
    """One JSON object per line on standard output, each as soon as it is there."""
    for row in rows:
        _write(as_json(row) + "\n")


@contextmanager
def progress(
    description: str, total: int | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[Advance]:
    """Yields `advance(done, total)`, which shows how far the work is, on standard error.

    A bar with rate and remaining time on a terminal; elsewhere a plain line every ten seconds
    at most, and one at the end. Of work that never began nothing stays.
    """
    console = _console(stderr=True)
    if _log.as_json or not console.is_terminal:

        def say(text: str, done: int, total: int) -> None:
            said = f"{description}: {text}"
            note(said, event="progress", stage=description, done=done, total=total)

        lines = Lines(total, clock, say)
        try:
            yield lines.advance
        finally:
            lines.end()
        return
    with _bar(console) as bar:
        task = bar.add_task(safe(description), total=total)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        try:
            yield advance
        finally:
            if not bar.tasks[0].completed:
                bar.remove_task(task)


def _bar(console: Console) -> bars.Progress:
    name = bars.TextColumn("{task.description}", markup=False)
    columns = (
        name,
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        _Rate(),
        bars.TimeRemainingColumn(),
    )
    return bars.Progress(*columns, console=console, redirect_stdout=False)


class _Rate(bars.ProgressColumn):
    """Steps per second."""

    def render(self, task: bars.Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "")
