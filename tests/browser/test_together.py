"""Two tabs, two reviewers and one server that comes and goes: nothing is overwritten unseen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Route, expect

from curate.review.desk import NEWS

from ..catalog.cases import name_of
from ..program import wait_until
from ..review.made import project, served
from .seen import Seen, catalogued, crowd, reviewing, seeing, serving, word


@contextmanager
def anna_and_bert(browser: Browser, folder: Path) -> Iterator[tuple[Seen, Seen]]:
    """Two reviewers, each with a server and a page of their own."""
    with (
        serving(folder, "anna") as hers,
        serving(folder, "bert") as his,
        seeing(browser, hers) as anna,
        seeing(browser, his) as bert,
    ):
        yield anna, bert


def test_what_another_says_shows_and_stands_until_it_is_overruled(
    browser: Browser, tmp_path: Path
) -> None:
    project(tmp_path, 5)
    with anna_and_bert(browser, tmp_path) as (anna, bert):
        anna.in_focus(0)
        bert.in_focus(0)
        bert.press("i")
        bert.saying("1 image: ID.")
        changed = "changed: ID said bert"
        expect(anna.cell(0)).to_have_attribute("data-changed", "")
        expect(anna.cell(0).locator(".looks")).to_have_text(changed)
        expect(anna.page.locator("#detail .note")).to_have_text(changed)
        anna.saying("1 image changed by bert.")
        assert word(tmp_path, 0) == ("id", "cup", "bert")
        anna.press("o")
        anna.saying("1 image: OOD.")
        assert word(tmp_path, 0) == ("ood", "cup", "anna"), "she has seen what she overrules"


def held_back(anna: Seen) -> list[Route]:
    """News does not reach the page from now on, and judgements wait until they are let go."""
    waiting: list[Route] = []
    anna.page.route("**/api/news*", lambda route: None)
    anna.page.route("**/api/reviews", lambda route: waiting.append(route))
    return waiting


def let_go(anna: Seen, waiting: list[Route]) -> None:
    """Let the next request go that is held back, and wait for its answer."""
    while not waiting:
        anna.page.wait_for_timeout(20)
    route = waiting.pop(0)
    with anna.page.expect_response(route.request.url):
        route.continue_()


def test_a_word_from_before_the_news_overwrites_nothing(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 5)
    with anna_and_bert(browser, tmp_path) as (anna, bert):
        anna.in_focus(0)
        waiting = held_back(anna)
        bert.in_focus(0)
        bert.press("i", "ArrowRight", "i")
        bert.saying("1 image: ID.")
        expect(bert.cell(2)).to_have_attribute("data-by", "person")
        with anna.page.expect_request("**/api/reviews"):
            anna.press("o", "o", "o")
        waiting.pop().continue_()  # her first word, as of before his
        expect(anna.cell(0).locator(".looks")).to_have_text("changed: ID said bert")
        expect(anna.cell(2).locator(".looks")).to_have_text("changed: ID said bert")
        with anna.page.expect_response("**/api/reviews"):
            anna.page.wait_for_timeout(50)
            waiting.pop().continue_()
        expect(anna.cell(2).locator(".mark")).to_have_text("● ID ✓")
        words = [word(tmp_path, number) for number in range(3)]
        assert words == [("id", "cup", "bert"), ("ood", "fish", "anna"), ("id", "star", "bert")]


def test_a_class_from_before_the_news_overwrites_nothing(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 5)
    with anna_and_bert(browser, tmp_path) as (anna, bert):
        anna.in_focus(0)
        anna.press("c")
        bert.in_focus(0)
        bert.press("o")
        expect(anna.cell(0)).to_have_attribute("data-changed", "")
        anna.page.keyboard.type("star")
        anna.press("Enter")
        anna.saying(
            "upload-0.png changed meanwhile: your word was not recorded there. "
            "Judge again to overrule."
        )
        anna.in_focus(0)
        assert word(tmp_path, 0) == ("ood", "cup", "bert")


def both_judged(anna: Seen, bert: Seen) -> list[Route]:
    """Anna judged the first image and bert the second, where she is and has not heard of it."""
    anna.in_focus(0)
    anna.press("i")
    anna.saying("1 image: ID.")
    waiting = held_back(anna)
    bert.in_focus(0)
    bert.press("ArrowRight", "i")
    bert.saying("1 image: ID.")
    return waiting


def test_what_another_says_while_an_undo_is_under_way_is_not_overwritten(
    browser: Browser, tmp_path: Path
) -> None:
    project(tmp_path, 5)
    with anna_and_bert(browser, tmp_path) as (anna, bert):
        waiting = both_judged(anna, bert)
        undos: list[Route] = []
        anna.page.route("**/api/undo", lambda route: undos.append(route))
        anna.press("z", "o")  # the focus is on the second one, that bert has judged
        let_go(anna, undos)
        expect(anna.said).to_contain_text("upload-1.png changed meanwhile")
        assert word(tmp_path, 1) == ("id", "fish", "bert")
        assert word(tmp_path, 0)[2] is None
        assert not waiting


def test_nothing_is_taken_back_where_nothing_of_the_last_word_was_kept(
    browser: Browser, tmp_path: Path
) -> None:
    project(tmp_path, 5)
    with anna_and_bert(browser, tmp_path) as (anna, bert):
        waiting = both_judged(anna, bert)
        anna.press("o", "z")
        let_go(anna, waiting)
        anna.saying("Nothing of your last word was kept; nothing was taken back.")
        assert word(tmp_path, 0) == ("id", "cup", "anna")
        assert word(tmp_path, 1) == ("id", "fish", "bert")


def test_all_that_match_is_what_was_counted(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 5)
    with anna_and_bert(browser, tmp_path) as (anna, bert):
        anna.ask("label:cup")
        anna.page.locator("#grid").focus()
        anna.page.route("**/api/news*", lambda route: None)
        anna.press("Control+a")
        expect(anna.page.locator("#selected")).to_have_text("all 2 images that match")
        bert.in_focus(0)
        bert.press("i")
        bert.saying("1 image: ID.")
        anna.press("o")
        anna.saying(
            "upload-0.png changed meanwhile: your word was not recorded there. "
            "Judge again to overrule."
        )
        assert [word(tmp_path, number) for number in (0, 3)] == [
            ("id", "cup", "bert"),
            ("ood", "cup", "anna"),
        ]


def test_when_more_match_by_now_nothing_is_judged(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 5)
    with anna_and_bert(browser, tmp_path) as (anna, bert):
        bert.in_focus(0)
        bert.press("i")
        bert.saying("1 image: ID.")
        anna.ask("reviewed:yes")
        anna.page.locator("#grid").focus()
        anna.page.route("**/api/news*", lambda route: None)
        anna.press("Control+a")
        expect(anna.page.locator("#selected")).to_have_text(
            "all 1 image that match, 1 of them judged before"
        )
        bert.press("i")
        expect(bert.cell(1)).to_have_attribute("data-by", "person")
        wait_until(lambda: word(tmp_path, 1) == ("id", "fish", "bert"))
        anna.excused.append("400 (Bad Request)")
        anna.press("o")
        anna.saying("Not kept: more images match by now; nothing was recorded. Select them anew")
        assert {who for _, _, who in catalogued(tmp_path, "reviewed:yes").values()} == {"bert"}


def test_after_very_many_changes_the_queue_is_read_anew(browser: Browser, tmp_path: Path) -> None:
    crowd(tmp_path, NEWS + 60, flagged=NEWS + 60)
    with anna_and_bert(browser, tmp_path) as (anna, bert):
        anna.ask("")
        anna.page.locator("#grid").focus()
        anna.press("ArrowRight", "ArrowRight")
        bert.in_focus(0)
        bert.press("Control+a")
        expect(bert.page.locator("#selected")).to_have_text("all 560 images that match")
        bert.press("i")
        bert.saying("560 images: ID.")
        expect(anna.cell(0)).to_have_attribute("data-by", "person")
        expect(anna.cell(47)).to_have_attribute("data-by", "person")
        anna.in_focus(2)
        anna.press("o")
        anna.saying("1 image: OOD.")
        assert word(tmp_path, 2) == ("ood", "star", "anna")


def test_a_word_from_before_the_queue_is_read_anew_overwrites_nothing(
    browser: Browser, tmp_path: Path
) -> None:
    crowd(tmp_path, NEWS + 60, flagged=NEWS + 60)
    with anna_and_bert(browser, tmp_path) as (anna, bert):
        anna.ask("")
        anna.page.locator("#grid").focus()
        expect(anna.cells.nth(60)).to_be_attached()
        anna.press("End", "ArrowLeft")  # beyond the page that the queue is read anew with
        words: list[Route] = []
        pages: list[Route] = []
        anna.page.route("**/api/reviews", lambda route: words.append(route))
        anna.page.route("**/api/queue*", lambda route: pages.append(route))
        bert.in_focus(0)
        bert.press("Control+a")
        expect(bert.page.locator("#selected")).to_have_text("all 560 images that match")
        bert.press("i")
        bert.saying("560 images: ID.")
        anna.saying("More than 500 images changed; the queue is read anew.")
        anna.press("o", "o")  # the second waits for the answer to the first
        let_go(anna, pages)
        expect(anna.cell(0)).to_have_attribute("data-by", "person")
        anna.page.unroute("**/api/queue*")
        for _ in range(2):
            let_go(anna, words)
        assert {who for _, _, who in catalogued(tmp_path).values()} == {"bert"}


def test_two_tabs_of_one_reviewer_agree(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 5)
    with reviewing(browser, tmp_path) as first:
        first.in_focus(0)
        second = Seen(first.page.context.new_page(), first.running)
        second.page.goto(first.running.address.partition("?")[0])
        second.in_focus(0)
        second.press("ArrowRight", "i")
        second.saying("1 image: ID.")
        first.page.bring_to_front()
        expect(first.cell(1).locator(".looks")).to_have_text("changed: ID said anna")
        first.press("z")
        first.saying("Undone: 1 image as before.")
        first.in_focus(1)
        expect(second.cell(1).locator(".mark")).to_have_text("◆ OOD")
        assert catalogued(tmp_path, "reviewed:yes") == {}
        second.check()


def test_undo_outlasts_the_server(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 5)
    with served(tmp_path, "--reviewer", "anna") as running, seeing(browser, running) as seen:
        seen.in_focus(0)
        seen.press("i", "o")
        seen.saying("1 image: OOD.")
        running.stop()
        seen.excused.append("ERR_CONNECTION_REFUSED")
    with reviewing(browser, tmp_path, "&query=") as seen:
        seen.in_focus(0)
        seen.press("End")
        for number in (1, 0):
            seen.press("z")
            seen.in_focus(number)
            seen.saying("Undone: 1 image as before.")
        seen.press("z")
        seen.saying("Nothing of yours to undo.")
        assert catalogued(tmp_path, "reviewed:yes") == {}


def test_without_the_server_nothing_looks_kept(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 5)
    with serving(tmp_path) as running, seeing(browser, running) as seen:
        lost = seen.page.locator("#lost")
        # It is killed, and so in the middle of an answer, too.
        seen.excused += ["ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET"]
        seen.excused += ["ERR_CONTENT_LENGTH_MISMATCH", "404"]
        seen.in_focus(0)
        running.kill()
        stopped = (
            "`curate review` does not answer; start it again, and open the address that it prints"
        )
        seen.press("o", "i", "ArrowLeft", "o")
        seen.saying(f"Not kept: {stopped}")
        for number in (0, 1):
            expect(seen.cell(number).locator(".mark")).to_have_text("◆ OOD")
            expect(seen.cell(number).locator(".looks")).to_have_text("not kept")
        expect(lost).to_have_text(f"{stopped}. Nothing that you judge here is kept.")
        with serving(tmp_path, port=running.port) as again:
            expect(lost).to_contain_text("open the address that `curate review` printed last")
            seen.running = again
            seen.open()
            seen.in_focus(0)
            expect(lost).to_be_hidden()
            seen.press("o")
            seen.saying("1 image: OOD.")
            assert catalogued(tmp_path, "reviewed:yes") == {name_of(0): ("ood", "cup", "anna")}


def test_a_page_is_not_left_while_words_are_under_way(browser: Browser, tmp_path: Path) -> None:
    project(tmp_path, 5)
    with reviewing(browser, tmp_path) as seen:
        seen.in_focus(0)
        waiting: list[Route] = []
        seen.page.route("**/api/reviews", lambda route: waiting.append(route))
        with seen.page.expect_request("**/api/reviews"):
            seen.press("o")
        seen.page.close(run_before_unload=True)
        seen.page.wait_for_timeout(100)
        assert seen.faults == ["a dialog: "], "the browser asks"
        seen.faults.clear()
        waiting.pop().continue_()
        seen.saying("1 image: OOD.")
