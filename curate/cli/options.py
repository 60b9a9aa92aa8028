"""Options that several commands share, and what stands behind them."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

import typer

from curate.config import GuardedRecipe, PaperRecipe, WatchConfig
from curate.errors import UsageError

Catalog = Annotated[
    str | None,
    typer.Option(
        envvar="CURATE_CATALOG",
        help="Catalog file, folder or database URL.",
        show_default="the nearest .curate",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of all random numbers.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 3 when an input is unreadable.")]
Null = Annotated[bool, typer.Option("-0", "--null", help="Names end with a zero byte.")]
QueryWords = Annotated[
    list[str] | None,
    typer.Argument(metavar="QUERY", help="Such as tag:ood label:shirt since:2d 'score>1.2'."),
]
Identity = Annotated[
    str, typer.Argument(metavar="ID", help="Of the network; its first characters do.")
]
Reviewer = Annotated[str | None, typer.Option(help="Who says so.", show_default="your login name")]
Updates = Annotated[
    int | None,
    typer.Option(
        min=1, help="Guarded: at most so many.", show_default=str(GuardedRecipe.max_updates)
    ),
]
Margin = Annotated[
    float | None,
    typer.Option(min=0, max=100, help="Paper: m of Eq. 5.", show_default=str(PaperRecipe.margin)),
]
FinetuneImages = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Fine-tune after so many new images; 0: never.",
        show_default=str(WatchConfig.finetune_images),
    ),
]
LONGEST_MINUTES = 525_600.0
FinetuneMinutes = Annotated[
    float | None,
    typer.Option(min=0.01, max=LONGEST_MINUTES, help="Fine-tune after so long, if images came."),
]
SLOWEST, FASTEST = 1e-6, 10.0
"""Bounds of learning rates: 0 would learn nothing, and nan is no number."""
LONGEST_SETTLE = 86_400.0
MOST_ROWS = 2**31 - 1


class RecipeName(StrEnum):
    """How to fine-tune."""

    guarded = "guarded"
    paper = "paper"


RecipeOfThat = Annotated[
    RecipeName | None, typer.Option(help="Of that fine-tune.", show_default="guarded")
]


def recipe_of(
    name: RecipeName, guarded: dict[str, Any], paper: dict[str, Any]
) -> GuardedRecipe | PaperRecipe:
    """The recipe with the options that were given; those that are None keep their default."""
    given = guarded if name is RecipeName.guarded else paper
    made = GuardedRecipe if name is RecipeName.guarded else PaperRecipe
    return made(**{option: value for option, value in given.items() if value is not None})


def check_recipe(name: RecipeName, guarded: dict[str, object], paper: dict[str, object]) -> None:
    """Raise UsageError where an option was given that only the other recipe has."""
    others = paper if name is RecipeName.guarded else guarded
    given = [option for option, value in others.items() if value is not None and value is not False]
    if given:
        raise UsageError(f"the {name} recipe has no {' and no '.join(given)}; leave it out")


class Schedule(StrEnum):
    """How the learning rate runs in pre-training."""

    one_cycle = "one-cycle"
    paper = "paper"


class Verdict(StrEnum):
    """What a person says of an image."""

    id = "id"
    ood = "ood"


class FormatName(StrEnum):
    """What `export` writes."""

    csv = "csv"
    jsonl = "jsonl"
    parquet = "parquet"
    imagefolder = "imagefolder"
    hf = "hf"
    webdataset = "webdataset"
    fiftyone = "fiftyone"
    labelstudio = "labelstudio"
    coco = "coco"


class LinkName(StrEnum):
    """How `export` hands an original on."""

    copy = "copy"
    hardlink = "hardlink"
    symlink = "symlink"


class LogFormat(StrEnum):
    """How the lines on standard error are written."""

    text = "text"
    json = "json"


Log = Annotated[LogFormat, typer.Option(help="Of standard error; json: one object a line.")]
OnTag = Annotated[
    str | None,
    typer.Option(metavar="COMMAND|URL", help="Told of newly tagged images; `none` ends that."),
]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        min=1, max=65_535, metavar="PORT", help="Serve figures for Prometheus on 127.0.0.1."
    ),
]
Link = Annotated[LinkName, typer.Option(help="Copy the originals, or link to them as they are.")]
KeepMetadata = Annotated[
    bool, typer.Option("--keep-metadata", help="Copies keep EXIF, GPS and comments.")
]
ShardSize = Annotated[
    int, typer.Option(min=1, max=MOST_ROWS, help="webdataset: images in a shard.")
]
New = Annotated[bool, typer.Option("--new", help="Only what no earlier export has handed on.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say how much it would be; write nothing.")]


def share(text: str) -> float:
    """A share in [0, 1], from "2%" or "0.02"."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise typer.BadParameter(f"{text!r} is no share; give one such as 2% or 0.02")
    return value


def names_of(paths: list[str], null: bool) -> Iterator[str]:
    """The names given, `-` standing for those on standard input; bytes survive as surrogates."""
    for name in paths:
        if name == "-":
            data = sys.stdin.buffer.read()
            yield from (os.fsdecode(n) for n in data.split(b"\0" if null else b"\n") if n)
        else:
            yield name


def login() -> str:
    """The login name; "unknown" where there is none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
