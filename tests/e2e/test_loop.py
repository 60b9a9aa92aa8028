"""The whole loop by its commands, each in a process of its own, as a person would run them."""

from __future__ import annotations

import csv
import io
import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ..program import SHAPES, draw, run, run_anew, start, status, wait_until


def inbox_of(folder: Path, ours: int = 60, strange: int = 20) -> Path:
    inbox = folder / "inbox"
    for index, shape in enumerate(SHAPES):
        draw(inbox / "monday", shape, range(1000, 1000 + ours // 3 + index))
    draw(inbox, "noise", range(strange))
    return inbox


def test_from_nothing_to_an_export(trained: Path) -> None:
    inbox = inbox_of(trained)
    (inbox / "broken.jpg").write_bytes(b"<html>sign in</html>")
    watched = json.loads(
        run_anew(trained, "watch", inbox, "--once", "--settle", 0.2, "--json").stdout
    )
    assert watched["images"] == 83
    assert watched["unreadable"] == 1
    assert watched["counts"]["pending"] == 0
    run_anew(trained, "rate", "10%")
    result = json.loads(run_anew(trained, "finetune", "--updates", 20, "--force", "--json").stdout)
    assert result["outcome"] in ("promoted", "rejected")
    assert result["images"] == 83
    found = status(trained)
    assert found["counts"]["id"] + found["counts"]["ood"] == 83
    assert found["last_finetune"]["reason"] == result["reason"]
    rows = list(csv.DictReader(io.StringIO(run_anew(trained, "export", "--ood-only").stdout)))
    assert len(rows) == found["counts"]["ood"]
    assert {row["tag"] for row in rows} <= {"ood"}
    assert "broken.jpg" in run_anew(trained, "list", "unreadable:").stdout


@pytest.mark.parametrize("images", [3, 4])
def test_the_fewest_images_that_are_taken_are_enough_to_train_on(
    tmp_path: Path, images: int
) -> None:
    for shape in SHAPES:
        draw(tmp_path / "labeled" / shape, shape, range(images))
    run(tmp_path, "train", "labeled", "--epochs", 1, "--image-size", 32)
    figures = status(tmp_path)["classifier"]["checkpoint"]["figures"]
    assert (figures["validation_images"], figures["calibration_images"]) == (3, 3)


def test_the_loop_on_postgresql(trained: Path, database: str, tmp_path: Path) -> None:
    inbox, folder = inbox_of(trained), tmp_path / "elsewhere"
    folder.mkdir()

    def curate(*arguments: object) -> str:
        return run(folder, *arguments, "--catalog", database).stdout

    curate("train", trained / "labeled", "--epochs", 4, "--image-size", 32)
    watched = json.loads(curate("watch", inbox, "--once", "--settle", 0.2, "--json"))
    assert watched["images"] == 83
    paper = ("--recipe", "paper", "--epochs", 1, "--margin", 0.5)
    result = json.loads(curate("finetune", *paper, "--json"))
    assert result["outcome"] == "promoted"
    curate("tag", "ood", inbox / "noise-0.png")
    found = json.loads(curate("status", "--json"))
    assert found["counts"]["id"] + found["counts"]["ood"] == 83
    rows = list(csv.DictReader(io.StringIO(curate("export", "--ood-only"))))
    assert len(rows) == found["counts"]["ood"]
    assert str(inbox / "noise-0.png") in {row["path"] for row in rows}
    assert not list(folder.rglob("catalog.db*"))


def test_one_of_something_is_told_in_the_singular(tmp_path: Path) -> None:
    draw(tmp_path / "inbox", "disc", range(1))
    assert "1 new image\n" in run(tmp_path, "ingest", "inbox").stderr
    (tmp_path / "inbox" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    again = run(tmp_path, "ingest", "inbox").stderr
    assert "0 new images, 1 unreadable, 1 file known already\n" in again
    assert "(1 file unreadable)" in run(tmp_path, "status").stdout
    assert "1 row\n" in run(tmp_path, "export").stderr


def test_the_same_again_changes_nothing(trained: Path) -> None:
    inbox = inbox_of(trained)
    first = json.loads(run(trained, "ingest", inbox, "--json").stdout)
    again = json.loads(run(trained, "ingest", inbox, "--json").stdout)
    assert (first["images"], first["skipped"]) == (83, 0)
    assert (again["images"], again["skipped"]) == (0, 83)
    assert again["counts"] == first["counts"]


def test_a_persons_word_stands_and_can_be_taken_back(trained: Path) -> None:
    inbox = inbox_of(trained, ours=3, strange=1)
    run(trained, "ingest", inbox)
    image = inbox / "noise-0.png"
    before = tag_of(trained, image)
    for verdict in ("ood", "id"):
        run(trained, "tag", verdict, image)
        assert tag_of(trained, image) == verdict
    run(trained, "undo")
    assert tag_of(trained, image) == "ood"
    run(trained, "undo")
    assert tag_of(trained, image) == before
    assert "not in the catalog" in run(trained, "tag", "id", inbox / "none.png", code=2).stderr


def test_a_manifest_is_edited_and_taken_in_once(trained: Path) -> None:
    run(trained, "ingest", inbox_of(trained, ours=3, strange=1))
    run(trained, "export", "out.csv")
    nothing = "out.csv says nothing of these images that is not known"
    assert nothing in run(trained, "import-reviews", "out.csv").stderr
    (row, *_) = csv.DictReader(io.StringIO((trained / "out.csv").read_text()))
    image, other = Path(row["path"]), "id" if row["tag"] == "ood" else "ood"
    edited = (trained / "out.csv").read_text().replace(f",{row['tag']},", f",{other},", 1)
    (trained / "edited.csv").write_text(edited)
    assert "1 image judged; " in run(trained, "import-reviews", "edited.csv").stderr
    assert tag_of(trained, image) == other
    run(trained, "undo")
    assert tag_of(trained, image) == row["tag"]


def test_a_class_that_the_network_has_not_is_told(trained: Path) -> None:
    (image,) = draw(trained / "inbox", "noise", range(1))
    run(trained, "ingest", image)
    told = run(trained, "tag", "id", image, "--class", "sqare").stderr
    assert "has no class 'sqare'; did you mean 'square'?" in told
    assert "no class 'ring'\n" in run(trained, "tag", "id", image, "--class", "ring").stderr
    assert "warning" not in run(trained, "tag", "id", image, "--class", "disc").stderr


def test_no_names_are_no_step_that_undo_could_take_back(trained_once: Path) -> None:
    told = run(trained_once, "tag", "id", "-", stdin="\n", code=2).stderr
    assert "no names were given; nothing was tagged" in told


def tag_of(folder: Path, image: Path) -> str:
    rows = map(json.loads, run(folder, "list", "--json").stdout.splitlines())
    return str(next(row["tag"] for row in rows if row["path"] == str(image)))


def test_a_closed_pipe_ends_quietly(trained: Path) -> None:
    run(trained, "ingest", inbox_of(trained, ours=3, strange=400))
    with start(trained, "export") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(4) == "path"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0


def test_models_switch_back(trained: Path) -> None:
    inbox = inbox_of(trained)
    run(trained, "ingest", inbox)
    run(trained, "finetune", "--recipe", "paper", "--epochs", 1, "--margin", 0.5)
    found = status(trained)
    first = found["classifier"]["checkpoint"]["checkpoint_id"]
    assert found["detector"]["checkpoint"]["checkpoint_id"] != first
    run(trained, "models", "use", first[:12])
    assert status(trained)["detector"]["checkpoint"]["checkpoint_id"] == first
    assert len(json.loads(run(trained, "models", "list", "--json").stdout)["checkpoints"]) == 2


def test_a_network_long_out_of_service_scores_anew_to_serve_again(trained: Path) -> None:
    run(trained, "ingest", inbox_of(trained))
    first = status(trained)["detector"]["checkpoint"]["checkpoint_id"]

    def scores() -> dict[str, int]:
        with closing(sqlite3.connect(trained / ".curate" / "catalog.db")) as catalog:
            return dict(catalog.execute("SELECT checkpoint_id, COUNT(*) FROM score GROUP BY 1"))

    for seed, kept in ((1, 2), (2, 3), (3, 3)):
        run(trained, "train", "labeled", "--epochs", 1, "--image-size", 32, "--seed", seed)
        assert list(scores().values()) == [83] * kept
    assert first not in scores()
    run(trained, "models", "use", first[:12])
    found = status(trained)
    assert found["detector"]["checkpoint"]["checkpoint_id"] == first
    assert (found["counts"]["pending"], scores()[first]) == (0, 83)


def test_imagefolder_copies_by_class(trained: Path) -> None:
    inbox = inbox_of(trained, ours=6, strange=2)
    run(trained, "ingest", inbox)
    run(trained, "export", "handed", "--format", "imagefolder")
    copies = list((trained / "handed").rglob("*.png"))
    originals = {path.read_bytes() for path in inbox.rglob("*.png")}
    assert {path.read_bytes() for path in copies} == originals
    rows = list(map(json.loads, run(trained, "list", "--json").stdout.splitlines()))
    places = {row["sha256"][:12]: row["label"] if row["tag"] == "id" else "_ood" for row in rows}
    assert {path.name[:12]: path.parent.name for path in copies} == places
    assert len(set(places.values())) > 1
    assert "not empty" in run(trained, "export", "handed", "-f", "imagefolder", code=2).stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watch_goes_on_while_a_fine_tune_runs_and_ends_cleanly(
    trained: Path, number: signal.Signals
) -> None:
    inbox = inbox_of(trained, ours=30, strange=10)
    watch = start(trained, "watch", inbox, "--settle", 0.2, "--finetune-images", 30)
    try:
        wait_until(lambda: status(trained)["last_finetune"] is not None)
        draw(inbox / "tuesday", "disc", range(2000, 2010))
        wait_until(lambda: status(trained)["counts"]["images"] == 53)
        refused = run(trained, "watch", inbox, "--once", code=5)
        assert str(watch.pid) in refused.stderr
        run(trained, "export", "meanwhile.csv")
        wait_until(lambda: status(trained)["last_finetune"]["outcome"] is not None)
    finally:
        watch.send_signal(number)
        _, errors = watch.communicate(timeout=60)
    assert watch.returncode == 128 + number, errors
    assert "Traceback" not in errors
    found = status(trained)
    assert found["counts"]["pending"] == 0
    assert found["held"] == []


def test_nothing_is_imported_from_the_working_directory(trained: Path, tmp_path: Path) -> None:
    """Neither what lay there before a watch began, nor what its fine-tune finds there."""
    (trained / "rich.py").write_text("open('ran', 'w')\n")
    draw(trained / "inbox", "disc", range(1000, 1004))
    watch = start(trained, "watch", "inbox", "--settle", 0.2, "--finetune-images", 3)
    (tmp_path / "elsewhere").mkdir()
    ask = ("status", "--json", "--catalog", trained / ".curate")
    try:
        wait_until(
            lambda: (
                json.loads(run(tmp_path / "elsewhere", *ask).stdout)["last_finetune"]
                or (trained / "ran").exists()
            )
        )
    finally:
        watch.terminate()
        watch.communicate(timeout=60)
    assert not (trained / "ran").exists()
