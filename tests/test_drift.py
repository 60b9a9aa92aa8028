"""A jump in all classes at once is told, and what falls on a few of them is not."""

from __future__ import annotations

from curate.catalog.arrivals import Arrival
from curate.drift import Jump, jumped, latest_jump

RATE = 0.05


def arrivals(images: int, flagged: dict[str, int]) -> list[Arrival]:
    """So many images of each class, of which so many are flagged."""
    return [
        Arrival(label, 0.01 if number < hits else 0.5)
        for label, hits in flagged.items()
        for number in range(images)
    ]


BEFORE = arrivals(100, {"cup": 5, "fish": 6, "hat": 4, "star": 5})


def test_a_jump_in_all_classes_is_told() -> None:
    # The half that is flagged least: hat and star, 20 of 80; before it was 9 of 200.
    newest = arrivals(40, {"cup": 16, "fish": 20, "hat": 10, "star": 10})
    assert jumped(newest, BEFORE, RATE) == Jump(newest=0.25, before=0.045, images=80)


def test_a_jump_older_than_the_newest_fifth_is_told() -> None:
    # Of 800 images the newest half drifted. The fifth has 24 of 80 in its calm half, and before it
    # are 56 of 320: the intervals overlap, for more than a third of those had drifted too.
    drifted = 10 * arrivals(10, dict.fromkeys("abcd", 3))
    before = 10 * arrivals(10, dict.fromkeys("abcd", 1))
    every = [*drifted, *before]
    assert jumped(every[:160], every[160:], RATE) is None
    assert latest_jump(every, RATE) == Jump(newest=0.3, before=0.1, images=200)
    assert latest_jump(before, RATE) is None


def test_a_new_kind_that_looks_like_two_classes_is_no_jump() -> None:
    newest = arrivals(40, {"cup": 40, "fish": 35, "hat": 2, "star": 2})
    assert jumped(newest, BEFORE, RATE) is None


def test_half_of_the_images_are_behind_it_however_the_classes_share_them() -> None:
    # Two small calm classes are half of the classes, and not half of the images.
    newest = arrivals(40, {"cup": 20, "fish": 20}) + arrivals(10, {"hat": 0, "star": 0})
    found = jumped(newest, BEFORE, RATE)
    assert found == Jump(newest=20 / 60, before=(5 + 4 + 5) / 300, images=60)


def test_chance_is_no_jump() -> None:
    # 7 of 80 after 9 of 200: the intervals overlap.
    newest = arrivals(40, {"cup": 8, "fish": 8, "hat": 3, "star": 4})
    assert jumped(newest, BEFORE, RATE) is None


def test_few_images_say_nothing() -> None:
    # The calm half has 48 images on one side.
    few, many = arrivals(24, dict.fromkeys("abcd", 24)), arrivals(100, dict.fromkeys("abcd", 1))
    assert jumped(few, many, RATE) is None
    assert jumped(many, few, RATE) is None
    assert jumped([], [], RATE) is None
    enough = arrivals(25, dict.fromkeys("abcd", 25))
    assert jumped(enough, many, RATE) == Jump(newest=1.0, before=0.01, images=50)


def test_a_class_that_was_not_there_before_says_nothing() -> None:
    assert jumped(arrivals(100, {"cat": 90}), BEFORE, RATE) is None
