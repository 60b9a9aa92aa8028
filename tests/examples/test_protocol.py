"""Which images go where: nothing twice, the numbers of the paper, and fresh ones apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from curate.errors import UsageError
from examples.paper import protocol
from examples.paper.datasets import parse
from examples.paper.protocol import Bench, Case, Settings, cases, read_bench, settings_of

from .pictures import coloured, write_labeled, write_pngs, write_sheet

SETTINGS = Settings(
    id_name="ours",
    id_spec="",
    ood_specs={},
    backbone="small-resnet",
    schedule="fast",
    epochs=1,
    finetune_epochs=1,
    learning_rate=0.1,
    detach=False,
    batch_size=16,
    size=32,
    held_out=20,
    limit=None,
    seed=0,
)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """120 images to test of either kind, 20 of them held out."""
    write_labeled(tmp_path, "train", [0, 1] * 40, seed=1)
    write_labeled(tmp_path, "test", [0, 1] * 60, seed=2)
    write_sheet(tmp_path / "far-00.webp", coloured([2] * 120, seed=3))
    write_sheet(tmp_path / "near-00.webp", coloured([3] * 80, seed=4))
    return bench_of(tmp_path, SETTINGS)


def bench_of(folder: Path, settings: Settings) -> Bench:
    oods = {name: parse(f"sheets:{folder}#{name}", folder) for name in ("far", "near")}
    return read_bench(parse(f"sheets:{folder}", folder), oods, settings)


def contents(*pixels: torch.Tensor) -> list[bytes]:
    return [image.numpy().tobytes() for part in pixels for image in part]


def test_every_image_is_in_one_place(bench: Bench, tmp_path: Path) -> None:
    test = contents(bench.choice.pixels, bench.id_fresh, bench.id_inbox)
    assert (len(bench.choice), len(bench.id_fresh), len(bench.id_inbox)) == (10, 10, 100)
    assert len(set(test)) == 120
    assert set(test) == set(contents(bench.test.pixels))
    assert set(test).isdisjoint(contents(bench.train.pixels))
    for name, count in (("far", 120), ("near", 80)):
        assert len(set(contents(bench.ood_inbox[name], bench.ood_fresh[name]))) == count
    assert len(bench.ood_fresh["near"]) == 20


def test_held_out_images_keep_their_labels(bench: Bench) -> None:
    by_label = [bench.choice.pixels[bench.choice.labels == label].float() for label in (0, 1)]
    same = [bench.train.pixels[bench.train.labels == label].float() for label in (0, 1)]
    for one, other in zip(by_label, same, strict=True):
        assert torch.allclose(one.mean((0, 2, 3)), other.mean((0, 2, 3)), atol=3)


def test_no_more_than_half_is_held_out(tmp_path: Path, bench: Bench) -> None:
    few = bench_of(tmp_path, replace(SETTINGS, held_out=1_000, limit=40))
    assert (len(few.choice), len(few.id_fresh), len(few.id_inbox)) == (10, 10, 20)
    assert len(few.train) == 40


def test_a_divided_folder_holds_out_its_val(tmp_path: Path) -> None:
    for part, count in (("train", 6), ("val", 5), ("test", 4)):
        for name in ("hats", "shoes"):
            write_pngs(tmp_path / "fashion" / part / name, count)
    spec = parse(f"folder:{tmp_path / 'fashion'}", tmp_path)
    found = read_bench(spec, {}, replace(SETTINGS, held_out=4))
    assert (len(found.choice), len(found.id_fresh), len(found.id_inbox)) == (2, 2, 8)


def test_the_pool_holds_what_the_case_says(bench: Bench) -> None:
    everything = bench.pool(Case(2, "ours", ("far",), ("far",)))
    assert set(contents(everything)) == set(contents(bench.id_inbox, bench.ood_inbox["far"]))
    assert len(bench.pool(Case(3, "ours", ("far",), ("far",), 5_000, 500))) == 56 + 6
    assert len(bench.pool(Case(4, "ours", ("far", "near"), ("far", "near")))) == 100 + 100 + 60
    other = bench.pool(Case(4, "ours", ("near",), ("far",)))
    assert set(contents(other)) == set(contents(bench.id_inbox, bench.ood_inbox["near"]))


def test_the_tested_ood_need_not_be_in_the_pool(bench: Bench) -> None:
    ours, strange = bench.tested(Case(4, "ours", ("far",), ("near",)))
    assert torch.equal(ours, bench.id_inbox)
    assert torch.equal(strange, bench.ood_inbox["near"])


def test_fresh_images_are_balanced_and_not_too_few(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(4, "ours", ("far", "near"), ("far", "near"))
    assert bench.fresh(case) is None
    monkeypatch.setattr(protocol, "FRESH_LEAST", 10)
    fresh = bench.fresh(case)
    assert fresh is not None
    assert (len(fresh[0]), len(fresh[1])) == (10, 10)
    assert set(contents(*fresh)).isdisjoint(contents(bench.pool(case), bench.choice.pixels))


def test_the_rows_of_each_table() -> None:
    assert [(c.tested, c.method) for c in cases(2, ["a", "b"], ["msp", "ours"])] == [
        (("a",), "msp"),
        (("a",), "ours"),
        (("b",), "msp"),
        (("b",), "ours"),
    ]
    sizes = [(c.id_of_9000, c.ood_of_9000) for c in cases(3, ["a", "b"], ["msp"])]
    assert sizes[0] == (9_000, 9_000)
    assert sizes[-1] == (9_000, 500)
    assert [(c.pool, c.tested) for c in cases(4, ["a", "b"], ["msp"])] == [
        (("a", "b"), ("a", "b")),
        (("a",), ("b",)),
        (("b",), ("a",)),
    ]
    with pytest.raises(UsageError, match="two OOD sets"):
        cases(4, ["a"], ["ours"])


def test_a_row_does_not_depend_on_other_rows_sets() -> None:
    settings = replace(SETTINGS, ood_specs={"a": "folder:a", "b": "folder:b"})
    assert settings_of(Case(2, "ours", ("a",), ("a",)), settings).ood_specs == {"a": "folder:a"}


def test_an_id_set_without_labels_is_refused(tmp_path: Path) -> None:
    write_pngs(tmp_path, 8)
    with pytest.raises(UsageError, match="needs labels"):
        read_bench(parse(f"folder:{tmp_path}", tmp_path), {}, SETTINGS)
