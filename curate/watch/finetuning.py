"""The fine-tune of a watch: a process of its own, and its last words where it could not run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile

END_SECONDS = 10.0


class Finetuning:
    """A fine-tune in a process of its own; `after` names the newest run before it."""

    def __init__(self, command: Sequence[str], folder: Path, after: str | None) -> None:
        self.after = after
        self._errors = TemporaryFile(dir=folder)  # noqa: SIM115  (closed when it has ended)
        # Without the boxes around an error of usage, the last line is what went wrong.
        environment = os.environ | {"TYPER_USE_RICH": "0"}
        self._process = subprocess.Popen(  # noqa: S603  (our own command line)
            command, stdout=subprocess.DEVNULL, stderr=self._errors, env=environment
        )

    def ended(self) -> tuple[int, str] | None:
        """Exit code and last line on standard error; None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        with self._errors as errors:
            errors.seek(0)
            lines = errors.read().decode(errors="replace").split("\n")
        return code, next(filter(None, map(str.strip, reversed(lines))), "it said nothing")

    def stop(self) -> None:
        """End it; the next on the same images resumes where it stopped."""
        self._errors.close()
        self._process.terminate()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
