"""Arguments that a person gets wrong: a line that says so, exit code 2, and nothing made."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from curate.cli.app import app
from curate.workspace import open_workspace

from ..forked import environment
from ..program import draw, run

EMPTY = "An argument is empty"
RANGE = "Input should be"


def refused(*arguments: str) -> str:
    """What is said about arguments that cannot be meant that way."""
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "200", "CURATE_CATALOG": None})
    assert done.exit_code == 2, (done.output, done.exception)
    return done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", ""], EMPTY),
        (["watch", ""], EMPTY),
        (["ingest", ""], EMPTY),
        (["export", ""], EMPTY),
        (["models", "use", ""], EMPTY),
        (["status", "--catalog", ""], EMPTY),
        (["status", "--catalog="], "--catalog is empty"),
        (["train", "x", "--learning-rate", "0"], RANGE),
        (["train", "x", "--learning-rate", "inf"], RANGE),
        (["train", "x", "--learning-rate", "nan"], RANGE),
        (["finetune", "--learning-rate", "0"], RANGE),
        (["finetune", "--margin", "inf"], RANGE),
        (["watch", "x", "--settle", "inf"], RANGE),
        (["watch", "x", "--finetune-minutes", "inf"], RANGE),
        (["list", "--limit", "9" * 30], RANGE),
        (["finetune", "--epochs", "1"], "the guarded recipe has no --epochs"),
        (["finetune", "--margin", "0"], "has no --margin"),
        (["finetune", "--detach"], "has no --detach"),
        (["finetune", "--recipe", "paper", "--updates", "1"], "the paper recipe has no --updates"),
        (["finetune", "--recipe", "paper", "--force"], "has no --force"),
        (["watch", ".", "--once", "--finetune-images", "5"], "--once never fine-tunes"),
        (["watch", ".", "--once", "--finetune-minutes", "5"], "--once never fine-tunes"),
        (["watch", ".", "--once", "--recipe", "paper"], "--once never fine-tunes"),
        (["list", "-0", "--json"], "leave out --json"),
        (["train", "nowhere"], "no such folder"),
        (["watch", "nowhere"], "no such folder"),
        (["ingest", ".", "nowhere"], "no such file"),
    ],
    ids=" ".join,
)
def test_refused_before_anything_is_made(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in refused(*arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--backbone", "resnet81"], "no backbone is called 'resnet81'"),
        (["--weights", "gone.safetensors"], "cannot be read: No such file"),
        (["--weights", "DEFAULT"], "has no published weights"),
    ],
    ids=" ".join,
)
def test_a_network_that_cannot_be_had_is_refused_before_anything_is_read(
    arguments: list[str], said: str, tmp_path: Path
) -> None:
    for name in ("disc", "square"):
        draw(tmp_path / "labeled" / name, name, range(3))
    assert said in run(tmp_path, "train", "labeled", *arguments, code=2).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["labeled"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "since:0001-01-01T00:00+23:59"], "no age"),
        (["list", "since:9999-12-31T23:59-23:59"], "no age"),
        (["list", "score>nan"], "no number"),
        (["list", "p<inf"], "no number"),
        (["export", "--since", "2d tag:ood"], "no age"),
        (["export", "--since="], "needs a value"),
        (["export", "--label="], "needs a value"),
        (["export", "--ood-only", "--query", "tag:id"], "tag is asked for twice"),
        (["export", "/"], "no place"),
        (["list", "label:\udcff"], "no text in UTF-8"),
        (["export", "--label", "\udcff"], "no text in UTF-8"),
        (["undo", "--reviewer", "\udcff"], "no text in UTF-8"),
        (["export", "out.JSONL", "-f", "csv"], "does not go with .jsonl"),
        (["export", "out.csv", "-f", "imagefolder"], "does not go with .csv"),
        (["rate", "nan"], "no rate"),
        (["rate", "--", "-5%"], "no rate"),
    ],
    ids=" ".join,
)
def test_refused_by_a_catalog(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inbox").mkdir()
    assert CliRunner().invoke(app, ["ingest", "inbox"]).exit_code == 0
    assert said in refused(*arguments)


def test_a_query_may_be_several_words(tmp_path: Path) -> None:
    draw(tmp_path / "inbox", "disc", range(2))
    run(tmp_path, "ingest", "inbox")
    assert "disc-1" in run(tmp_path, "list", "tag:pending", "path:disc-1").stdout
    assert "disc-0" not in run(tmp_path, "list", "tag:pending", "path:disc-1").stdout
    assert "nothing matches" in run(tmp_path, "list", "tag:ood", "path:disc-1").stderr


def test_an_export_takes_its_format_from_the_suffix(tmp_path: Path) -> None:
    draw(tmp_path / "inbox", "disc", range(1))
    run(tmp_path, "ingest", "inbox")
    run(tmp_path, "export", "out.jsonl")
    run(tmp_path, "export", "out.txt")
    run(tmp_path, "export", "lines.txt", "-f", "jsonl")
    assert (tmp_path / "out.jsonl").read_text().startswith('{"path": ')
    assert (tmp_path / "out.txt").read_text().startswith("path,source,")
    assert (tmp_path / "lines.txt").read_text().startswith('{"path": ')
    assert run(tmp_path, "export", "-").stdout == (tmp_path / "out.txt").read_text()
    assert not (tmp_path / "-").exists()


def test_models_alone_lists_them(trained_once: Path, tmp_path: Path) -> None:
    assert "classifier, detector" in run(trained_once, "models").stdout
    options = ("--json", "--catalog", trained_once / ".curate")
    listed = run(tmp_path, "models", *options).stdout
    assert listed == run(tmp_path, "models", "list", *options).stdout
    (row,) = json.loads(listed)["checkpoints"]
    used = run(tmp_path, "models", "use", row["checkpoint_id"], *options).stdout
    assert json.loads(used) == row
    for option in (options[:1], options[1:]):
        assert "after the command" in run(tmp_path, "models", *option, "list", code=2).stderr


def test_a_source_is_a_path_wherever_it_is_listed(tmp_path: Path) -> None:
    inbox = tmp_path / "in box"
    draw(inbox, "disc", range(1))
    (inbox / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    run(tmp_path, "ingest", inbox)
    for query in ("", "unreadable:"):
        (row,) = map(json.loads, run(tmp_path, "list", query, "--json").stdout.splitlines())
        assert row["source"] == str(inbox)


def test_an_unreadable_file_is_no_image_to_tag(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    run(tmp_path, "ingest", "inbox")
    told = run(tmp_path, "tag", "id", "inbox/cut.png", code=2).stderr
    assert "was unreadable" in told
    assert "`curate list unreadable:`" in told
    assert run(tmp_path, "export", "--query", "unreadable:", code=2).stdout == ""


def test_an_undo_of_nothing_names_whose_step_the_last_is(tmp_path: Path) -> None:
    (image,) = draw(tmp_path / "inbox", "disc", range(1))
    run(tmp_path, "ingest", "inbox")
    run(tmp_path, "tag", "id", image, "--reviewer", "ann")
    told = run(tmp_path, "undo", "--reviewer", "bob").stderr
    assert told == "nothing of 'bob' to undo; the last step is of 'ann': give that to --reviewer\n"
    assert run(tmp_path, "undo", "--reviewer", "ann").stderr == "1 image is as before\n"
    assert run(tmp_path, "undo", "--reviewer", "ann").stderr == "nothing to undo\n"


def test_a_persons_word_as_json(tmp_path: Path) -> None:
    images = draw(tmp_path / "inbox", "disc", range(2))
    run(tmp_path, "ingest", "inbox")
    told = run(tmp_path, "tag", "id", *images, "--class", "disc", "--json").stdout
    assert json.loads(told) == {"images": 2, "verdict": "id", "class": "disc"}
    for count in (2, 0):
        assert json.loads(run(tmp_path, "undo", "--json").stdout) == {"images": count}


def test_a_rate_that_flags_nothing_is_told(trained: Path) -> None:
    """24 calibration images: the smallest p-value is 1 / 25 = 4 %."""
    assert "too few" not in run(trained, "rate", "4%").stderr
    told = run(trained, "rate", "0.01%").stderr
    assert "0.01% of your own classes may be flagged" in told
    assert "24 calibration images are too few for 0.01%" in told


def test_a_fine_tune_whose_process_is_gone_does_not_run(trained: Path) -> None:
    with open_workspace(str(trained / ".curate"), create=False) as workspace:
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        workspace.catalog.runs.start("guarded", gone.pid, socket.gethostname(), datetime.now(UTC))
    assert "stopped" in run(trained, "status").stdout
    assert "running" not in run(trained, "models").stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_imports_ends_without_a_traceback(
    tmp_path: Path, number: signal.Signals
) -> None:
    """A module that is imported on the way sends the signal."""
    (tmp_path / "rich.py").write_text(f"import os\nos.kill(os.getpid(), {int(number)})\n")
    ended = subprocess.run(
        [sys.executable, "-m", "curate", "status"],
        cwd=tmp_path,
        env=environment() | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
    )
    assert (ended.returncode, ended.stderr) == (128 + number, b"")
