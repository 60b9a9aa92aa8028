"""Inboxes of every OOD share: frozen network, more training, the paper's recipe and ours.

    python examples/paper/shares.py --id sheets:DIR --ood TINr=sheets:DIR#resize --work runs

One JSON file per run in the folder of --work; what is there is not made again, and a run that was
stopped goes on where it was. The truth of an inbox is read after a run, for its figures alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from curate.errors import CurateError
from curate.model.device import choose_device
from examples.paper.datasets import parse
from examples.paper.inboxes import Sets, jpeg_control, read_sets
from examples.paper.keeping import write_whole
from examples.paper.plan import RECIPES, Plan, Setting, path_of
from examples.paper.runs import Row, Workbench, read_rows
from examples.paper.shares_plot import plot
from examples.paper.shares_table import table


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the runs that are missing, print the tables; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        sys.stdout.write(run(options) + "\n")
    except CurateError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def run(options: argparse.Namespace) -> str:
    """The finished tables of all runs in the folder that were made with these options."""
    options.work.mkdir(parents=True, exist_ok=True)
    name, _, text = (options.ood or f"JPEG={options.jpeg}").partition("=")
    plan = Plan(
        id_spec=options.id,
        ood_name=name,
        ood_spec=text,
        backbone=options.backbone,
        epochs=options.epochs,
        train=options.train,
        validation=options.validation,
        calibration=options.calibration,
        inbox=options.inbox,
        fresh=options.fresh,
        rate=options.rate,
    )
    sets = None
    recipes = [name for name in RECIPES if name in options.recipes]
    axes = (options.seeds, options.shares, options.parts, recipes)
    for seed, share, part, recipe in product(*axes):
        setting = Setting(seed, share, recipe, options.updates, part)
        if not options.table and not path_of(plan, setting, options.work).exists():
            sets = sets or _read(options, text)
            bench = Workbench(plan, sets, options.work, choose_device(options.device))
            _tell(bench.make(setting))
    rows = read_rows(plan, options.updates, options.work)
    if options.plot:
        write_whole(options.plot, plot(rows, name).encode())
    return table(rows)


def _read(options: argparse.Namespace, ood: str) -> Sets:
    ours = parse(options.id, options.data)
    if options.jpeg:
        return jpeg_control(ours, options.jpeg)
    return read_sets(ours, parse(ood, options.data))


def _tell(row: Row) -> None:
    figure = f"fresh AUROC {row['fresh']['score']:.4f}" if "fresh" in row else row["reason"]
    sys.stderr.write(
        f"seed {row['seed']}, {row['share']:.1%} {row['ood']}, {row['recipe']}: "
        f"{row['outcome']}, {figure}, {row['seconds']:.0f} s\n"
    )
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--id", required=True, metavar="SPEC", help="the ID set")
    strange = parser.add_mutually_exclusive_group(required=True)
    strange.add_argument("--ood", metavar="NAME=SPEC", help="the OOD set")
    strange.add_argument(
        "--jpeg", type=int, metavar="QUALITY", help="ID test images encoded anew, as a control"
    )
    add("--work", required=True, type=Path, help="folder for networks, progress and runs")
    add("--data", type=Path, default=Path("data"), help="folder of torchvision's sets")
    add("--shares", type=float, nargs="+", default=[0.0, 0.02, 0.1, 0.5, 0.99])
    add("--parts", type=float, nargs="+", default=[1.0], help="of the inbox that has arrived")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    add("--backbone", default="small-resnet")
    add("--epochs", type=int, default=15, help="of pre-training, in one cycle")
    add("--train", type=int, default=20_000)
    add("--validation", type=int, default=1_000)
    add("--calibration", type=int, default=2_000)
    add("--inbox", type=int, default=4_000)
    add("--fresh", type=int, default=2_000, help="images of each kind that are tested")
    add("--rate", type=float, default=0.05)
    add("--updates", type=int, help="of a fine-tune at most; else the recipe's own")
    add("--table", action="store_true", help="make no run, print what is there")
    add("--plot", type=Path, metavar="FILE", help="draw the OOD set's runs as an SVG")
    add("--device", default="auto")
    return parser


if __name__ == "__main__":
    sys.exit(main())
