"""Rerun a table of Yu & Aizawa (ICCV 2019): our figure beside the paper's.

    python examples/paper/tables.py --id cifar10 --ood TINr=odin:data#TINr --work runs --table 2

One JSON file per row in the folder of --work; what is there is not made again, and a run that was
stopped goes on where it was. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

# The checkout that this file lies in, so that it runs where nothing but torch is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from curate.config import PaperRecipe, TrainConfig
from curate.errors import CurateError
from curate.model.device import choose_device
from examples.paper.datasets import Spec, parse
from examples.paper.methods import FAST_EPOCHS, METHODS, Laboratory
from examples.paper.protocol import HELD_OUT, Case, Settings, cases, read_bench
from examples.paper.report import table
from examples.paper.rows import Row, make_row, path_of, read_row

BACKBONES = ("densenet-bc-100-12", "wrn-28-10", "small-resnet")


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the rows that are missing, print the table; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        sys.stdout.write(run(options) + "\n")
    except CurateError as error:
        _say(f"error: {error}")
        return error.exit_code
    return 0


def run(options: argparse.Namespace) -> str:
    """The finished table. Images are read only when a row is missing."""
    id_name, id_text = _named(options.id)
    oods = dict(_named(text) for text in options.ood)
    id_spec = parse(id_text, options.data)
    ood_specs = {name: parse(text, options.data) for name, text in oods.items()}
    settings = _settings(options, id_name or id_spec.name, id_text, oods)
    rows_wanted = cases(options.table, list(oods), options.methods)
    options.work.mkdir(parents=True, exist_ok=True)
    found = {case: read_row(path_of(case, settings, options.work)) for case in rows_wanted}
    missing = [case for case, row in found.items() if row is None]
    made = _make(missing, id_spec, ood_specs, settings, options) if missing else {}
    return table([found[case] or made[case] for case in rows_wanted])


def _make(
    missing: list[Case],
    id_spec: Spec,
    oods: dict[str, Spec],
    settings: Settings,
    options: argparse.Namespace,
) -> dict[Case, Row]:
    device = choose_device(options.device)
    bench = read_bench(id_spec, oods, settings)
    laboratory = Laboratory(bench, settings, device, options.work, _say)
    made = {}
    for number, case in enumerate(missing, 1):
        _say(f"row {number}/{len(missing)}: {'+'.join(case.tested)}, {case.method}")
        made[case] = make_row(case, laboratory)
    return made


def _settings(
    options: argparse.Namespace, id_name: str, id_text: str, oods: dict[str, str]
) -> Settings:
    return Settings(
        id_name=id_name,
        id_spec=id_text,
        ood_specs=oods,
        backbone=options.backbone,
        schedule=options.schedule,
        epochs=options.epochs,
        finetune_epochs=options.finetune_epochs,
        learning_rate=options.learning_rate,
        detach=options.detach,
        batch_size=options.batch_size,
        size=options.size,
        held_out=options.held_out,
        limit=options.limit,
        seed=options.seed,
    )


def _named(text: str) -> tuple[str, str]:
    """NAME=SPEC, or a spec without a name."""
    name, equals, spec = text.partition("=")
    return (name, spec) if equals else ("", text)


def _ood(text: str) -> str:
    name, spec = _named(text)
    if not name or not spec:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=SPEC, such as TINr=odin:data#TINr")
    return text


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, recipe = parser.add_argument, PaperRecipe()
    add("--id", required=True, metavar="[NAME=]SPEC", help="the ID set")
    add("--ood", required=True, nargs="+", action="extend", type=_ood, metavar="NAME=SPEC")
    add("--work", required=True, type=Path, help="folder for networks, progress and rows")
    add("--data", type=Path, default=Path("data"), help="folder of torchvision's sets")
    add("--table", type=int, choices=(2, 3, 4, 5), default=2)
    add("--methods", nargs="+", choices=METHODS, default=["msp", "odin", "eloc", "ours"])
    add("--backbone", choices=BACKBONES, default=BACKBONES[0])
    add("--schedule", choices=("paper", "fast"), default="paper")
    add("--epochs", type=int, help=f"of pre-training; else the paper's, {FAST_EPOCHS} when fast")
    add("--finetune-epochs", type=int, default=recipe.epochs)
    add("--learning-rate", type=float, default=recipe.learning_rate, help="of fine-tuning")
    add("--detach", action="store_true", help="Step A as in the author's code")
    add("--batch-size", type=int, default=TrainConfig().batch_size, help="of pre-training")
    add("--size", type=int, default=32, help="side of the images in pixels")
    add("--held-out", type=int, default=HELD_OUT, help="test images of a kind kept apart")
    add("--limit", type=int, help="at most so many images of every set, for a trial")
    add("--seed", type=int, default=0)
    add("--device", default="auto")
    return parser


if __name__ == "__main__":
    sys.exit(main())
