"""Whole tables on generated pictures: printed, kept, resumed after a kill, without the program."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from examples.paper import protocol, tables

from .pictures import coloured, write_labeled, write_sheet

ROOT = Path(__file__).parents[2]
CLASSES = 5
ABSENT = ("sqlalchemy", "watchdog", "typer", "rich", "jinja2", "click", "psycopg", "alembic")
SMALL = (
    *("--backbone", "small-resnet", "--schedule", "fast", "--size", "8", "--device", "cpu"),
    *("--epochs", "3", "--batch-size", "16", "--learning-rate", "0.01", "--finetune-epochs", "2"),
)
FIGURES = {
    "auroc",
    "aupr_in",
    "aupr_out",
    "detection_error",
    "fpr95_id_positive",
    "fpr95_ood_positive",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five classes, and two OOD sets of other colours."""
    folder = tmp_path_factory.mktemp("data")
    labels = [n % CLASSES for n in range(80)]
    write_labeled(folder / "cifar10", "train", labels, seed=1)
    write_labeled(folder / "cifar10", "test", labels, seed=2)
    write_sheet(folder / "far" / "crop-00.webp", coloured([CLASSES] * 80, seed=3))
    write_sheet(folder / "far" / "resize-00.webp", coloured([CLASSES + 1] * 80, seed=4))
    return folder


def arguments(data: Path, work: Path, *more: str) -> list[str]:
    oods = (f"TINc=sheets:{data / 'far'}#crop", f"TINr=sheets:{data / 'far'}#resize")
    start = ["--id", f"sheets:{data / 'cifar10'}", "--ood", *oods, "--work", str(work)]
    return [*start, *SMALL, *more]


def rows(work: Path) -> dict[str, dict[str, Any]]:
    return {file.name: json.loads(file.read_text()) for file in work.glob("*.json")}


def without_time(work: Path) -> dict[str, dict[str, Any]]:
    return {
        name: {key: value for key, value in row.items() if key != "seconds"}
        for name, row in rows(work).items()
    }


def test_table_2_with_every_method(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol, "FRESH_LEAST", 10)
    methods = ("msp", "energy", "knn", "frozen", "odin", "eloc", "ours")
    call = arguments(data, tmp_path, "--methods", *methods)
    assert tables.main(call) == 0
    printed = capsys.readouterr().out
    found = rows(tmp_path)
    assert {(row["tested"][0], row["method"]) for row in found.values()} == {
        (ood, method) for ood in ("TINc", "TINr") for method in methods
    }
    for row in found.values():
        assert set(row["as_in_paper"]) >= FIGURES
        assert set(row["fresh"]) >= FIGURES
        assert row["versions"].keys() >= {"torch", "torchvision", "python", "curate"}
        assert row["device"].startswith("cpu")
        assert (row["seed"], row["settings"]["epochs"], row["seconds"] >= 0) == (0, 3, True)
        assert row["images"]["id_tested"] == 40
    one = next(r for r in found.values() if (r["method"], r["tested"]) == ("ours", ["TINr"]))
    share = f"{100 * one['as_in_paper']['auroc']:.1f}"
    assert one["paper"]["auroc"] == 99.6
    line = next(text for text in printed.split("\n") if "| TINr | ours | as in the paper" in text)
    assert f"| {share} / 99.6 |" in line
    assert printed.count("| fresh |") == 14
    fresh = f"{100 * one['fresh']['aupr_out']:.1f}"
    line = next(text for text in printed.split("\n") if "| TINr | ours | fresh |" in text)
    assert line.endswith(f"| {fresh} |")
    assert one["fresh"] != one["as_in_paper"]
    assert not list(tmp_path.glob("*.progress"))


def test_a_row_that_exists_is_not_made_again(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = arguments(data, tmp_path, "--methods", "msp")
    tables.main(call)
    file = sorted(tmp_path.glob("*TINc*.json"))[0]
    row = json.loads(file.read_text())
    row["as_in_paper"]["auroc"] = 0.123
    file.write_text(json.dumps(row))
    first = capsys.readouterr().out
    tables.main(call)
    second = capsys.readouterr().out
    assert "| 12.3 / –" in second
    assert first.split("TINr")[1] == second.split("TINr")[1]
    tables.main([*call, "--seed", "1"])
    assert len(rows(tmp_path)) == 4


def test_table_3_varies_the_unlabeled_images(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = f"cifar100=sheets:{data / 'cifar10'}"
    tables.main(arguments(data, tmp_path, "--table", "3", "--id", named))
    found = rows(tmp_path)
    amounts = {
        (row["id_of_9000"], row["ood_of_9000"]): row["images"]["unlabeled"]
        for row in found.values()
    }
    assert len(amounts) == 8
    assert amounts[9000, 9000] == 80
    assert amounts[5000, 2000] == 22 + 9
    assert amounts[9000, 500] == 40 + 2
    assert {row["images"]["ood_tested"] for row in found.values()} == {40}
    assert len(list(tmp_path.glob("finetuned-*.safetensors"))) == 8
    printed = capsys.readouterr().out
    one = next(r for r in found.values() if r["ood_of_9000"] == 500)["as_in_paper"]
    error, ours = 100 * one["detection_error"], one["id_discrepancy"]
    assert f"| 9,000 | 500 | {error:.1f} / 3.8 | {ours:.2f} / 1.08 |" in printed


def test_table_4_tests_on_another_set(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = f"cifar100=sheets:{data / 'cifar10'}"
    call = arguments(data, tmp_path, "--table", "4", "--id", named)
    tables.main([text.replace("TINr=", "LSUNc=") for text in call])
    printed = capsys.readouterr().out
    assert "| TINc+LSUNc | TINc+LSUNc |" in printed
    line = next(text for text in printed.split("\n") if text.startswith("| TINc | LSUNc |"))
    assert "/ 0.5 |" in line
    assert line.endswith("/ 3.2 | – |")


def test_a_diverged_fine_tune_is_a_row_too(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables.main(arguments(data, tmp_path, "--methods", "ours", "--learning-rate", "1e30"))
    assert all("no number" in row["failed"] for row in rows(tmp_path).values())
    assert "diverged / 2.3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--id", "cifar11"), "names no data set"),
        (("--device", "abacus"), "no device is called"),
        (("--methods", "eloc", "--id", "sheets:{data}/far#crop"), "needs labels"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    message: str,
) -> None:
    given = [text.format(data=data) for text in more]
    assert tables.main(arguments(data, tmp_path, *given)) == 2
    told = capsys.readouterr().err.strip().split("\n")
    assert message in told[-1]
    assert told[-1].startswith("error: ")


def script(call: list[str]) -> subprocess.Popen[str]:
    """The tool in a process of its own, where the program's other libraries are missing."""
    code = (
        "import runpy, sys\n"
        f"sys.modules.update(dict.fromkeys({ABSENT!r}))\n"
        f"sys.argv = {['tables.py', *call]!r}\n"
        "runpy.run_path('examples/paper/tables.py', run_name='__main__')\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def one_ood(data: Path, work: Path, *more: str) -> list[str]:
    return [text for text in arguments(data, work, *more) if not text.startswith("TINr=")]


def kill_at(call: list[str], line: str) -> None:
    """Kill the tool, as a power cut would, when it says `line`."""
    with script(call) as process:
        assert process.stderr is not None
        for told in process.stderr:
            if told.startswith(line):
                process.send_signal(signal.SIGKILL)
                break
        else:
            pytest.fail(f"it never said {line!r}")
    assert process.returncode == -signal.SIGKILL


def test_a_killed_run_ends_with_the_same_rows(data: Path, tmp_path: Path) -> None:
    more = ("--methods", "ours", "eloc", "--finetune-epochs", "110")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    with script(one_ood(data, whole, *more)) as process:
        out, told = process.communicate()
    assert process.returncode == 0, told
    call = one_ood(data, killed, *more)
    kill_at(call, "epoch 2/3")
    assert list(killed.glob("pretrained-*.progress"))
    kill_at(call, "update 100/")
    assert list(killed.glob("finetuned-*.progress"))
    kill_at(call, "leave-out classifier 3")
    with script(call) as process:
        resumed, told = process.communicate()
    assert process.returncode == 0
    assert "epoch" not in told
    assert "classifier 2" not in told
    assert resumed == out
    assert without_time(killed) == without_time(whole)
    assert not list(killed.glob("*.progress"))
