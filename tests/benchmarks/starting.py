"""What it takes to start: commands that need no network, beside Python's own start and torch's.

    python -m tests.benchmarks.starting --work DIR

On the demo's pictures, catalogued, without a network. All in turn, `--runs` times, each as a
program of its own. One JSON line for each: milliseconds (median, least, most).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "python -c 'import torch'": ["-c", "import torch"],
    "curate --help": ["-m", "curate", "--help"],
    "curate status": ["-m", "curate", "status"],
    "curate list": ["-m", "curate", "list"],
    "curate export": ["-m", "curate", "export"],
    "curate ingest, all known": ["-m", "curate", "ingest", "demo/inbox"],
}


def milliseconds(arguments: list[str], folder: Path) -> float:
    """Of one run, which must end well."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, check=True)
    return 1e3 * (time.perf_counter() - began)


def main() -> None:
    """Prepare once, run in turn, tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    folder: Path = options.work.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "demo").exists():
        milliseconds(["-m", "curate", "demo", "demo"], folder)
        milliseconds(["-m", "curate", "ingest", "demo/inbox"], folder)
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(options.runs):
        for name, arguments in COMMANDS.items():
            taken[name].append(milliseconds(arguments, folder))
    for name, own in taken.items():
        spread = {"from": round(min(own)), "to": round(max(own))}
        line = {"command": name, "ms": round(statistics.median(own)), **spread}
        sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
