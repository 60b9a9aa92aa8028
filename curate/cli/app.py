"""The program itself: errors become one line and an exit code, signals a clean end."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from curate import __version__, console
from curate.errors import CurateError, StorageError

ORDER = [
    "train",
    "ingest",
    "watch",
    "finetune",
    "review",
    "audit",
    "tag",
    "undo",
    "import-reviews",
    "list",
    "export",
    "rate",
    "status",
    "check",
    "models",
    "evaluate",
    "doctor",
    "backup",
    "restore",
    "demo",
]
ENDING = ("help", "version", "install_completion", "show_completion")


class Group(TyperGroup):
    """Options are set in the environment too, but help pages do not repeat the variable of each."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The group's own options."""
        return _in_environment(super().get_params(ctx))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, None where there is none."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            _in_environment(command.get_params(ctx))
        return command


def _in_environment(parameters: Iterable[Any]) -> list[Any]:
    """Options that end the program have no variable: CURATE_VERSION=1.2 must not mean --version."""
    shown = list(parameters)
    for parameter in shown:
        parameter.show_envvar = False
        parameter.allow_from_autoenv = parameter.name not in ENDING
    return shown


class Commands(Group):
    """Every command; an error that a person can act on becomes one line and its exit code."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order in which a newcomer needs them."""
        return [name for name in ORDER if name in self.commands]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse empty arguments: as a path they would mean the working directory."""
        if "" in args and args[0] not in ("list", "check"):
            ctx.fail("An argument is empty. Is a variable of your shell unset?")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was called."""
        try:
            with console.quiet_pipe():
                return super().invoke(ctx)
        except CurateError as error:
            console.error(str(error), exit_code=error.exit_code)
            raise typer.Exit(error.exit_code) from error
        except MemoryError as error:
            console.error("out of memory; try a smaller --batch-size or close other programs")
            raise typer.Exit(1) from error


class Stopped(BaseException):
    """SIGINT or SIGTERM: unwinds the command; what was committed stays."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.exit_code = 128 + signal_number


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"auto_envvar_prefix": "CURATE", "help_option_names": ["-h", "--help"]},
    help="Find the uploads that belong to none of your classes, while the inbox keeps filling.",
    epilog="Any option can be set in the environment: CURATE_WATCH_POLL=1 for `watch --poll`.",
)
models_app = typer.Typer(cls=Group)
app.add_typer(models_app, name="models")


@app.callback(invoke_without_command=True)
def _program(
    version: Annotated[bool, typer.Option("--version", help="Show the version and end.")] = False,
) -> None:
    if version:
        console.show(__version__)
        raise typer.Exit()


def _stop(signal_number: int, frame: FrameType | None) -> None:
    """The first signal ends cleanly, the second at once."""
    signal.signal(signal_number, signal.SIG_DFL)
    raise Stopped(signal_number)


def main() -> None:
    """Run `curate`; never returns."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        app()
    except Stopped as stopped:
        console.note("stopped; what was done is kept", event="stopped")
        sys.exit(stopped.exit_code)
    except OSError as error:
        console.discard(sys.stdout)
        place = f" ({error.filename!r})" if error.filename else ""
        console.error(
            f"{error.strerror or error}{place}; what was done is kept: mend this, then run it again"
        )
        sys.exit(StorageError.exit_code)
