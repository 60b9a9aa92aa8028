"""Deliberate breakages of the review page, for `python -m tests.planted`."""

from __future__ import annotations

from ..faults import Fault

DOORS, SERVER, DESK = (f"curate/review/{name}.py" for name in ("doors", "server", "desk"))
CELLS = "tests/review/test_door.py::test_in_no_other_cell_is_anything_written[/api/undo]"
SHOWN = "tests/review/test_door.py::test_nothing_is_shown_without_the_cookie"
SLOW = "tests/review/test_slow.py"
WIRE = "tests/review/test_wire.py"
FAULTS = [
    Fault(
        "any name may point to the page",
        DOORS,
        "        if len(hosts) != 1 or hosts[0] not in self._hosts:\n",
        "        if len(hosts) != 1:\n",
        SHOWN,
    ),
    Fault(
        "what writes need not say where it comes from",
        DOORS,
        '    if scope["method"] == "POST" and not origins:\n        return False\n',
        "",
        CELLS,
    ),
    Fault(
        "an origin that only begins like ours",
        DOORS,
        '    if any(origin != f"http://{host}" for origin in origins):\n',
        '    if any(not origin.startswith(f"http://{host}") for origin in origins):\n',
        CELLS,
    ),
    Fault(
        "other pages of this machine may ask",
        DOORS,
        'all(site in ("same-origin", "none") for site in sites)',
        'all(site in ("same-origin", "same-site", "none") for site in sites)',
        CELLS,
    ),
    Fault(
        "any cookie of our name opens the page",
        DOORS,
        "        return any(known)\n",
        "        return bool(known)\n",
        SHOWN,
    ),
    Fault(
        "a path of the page that every server of this machine may know",
        DOORS,
        'self._prefix = f"/{secrets.token_urlsafe(16)}"',
        'self._prefix = "/review"',
        "tests/review/test_door.py"
        "::test_a_cookie_is_sent_to_this_server_alone_and_read_by_no_script",
    ),
    Fault(
        "a token that opens the page again",
        DOORS,
        "        self._token = secrets.token_urlsafe(32)\n",
        '        self._token = getattr(self, "_token", secrets.token_urlsafe(32))\n',
        "tests/review/test_page.py::test_the_address_opens_the_page_once_and_another_follows",
    ),
    Fault(
        "a token that any request may use up",
        DOORS,
        'scope["method"] == "GET" and scope["path"] == "/" and refusal[0] == 401',
        'scope["path"] == "/"',
        "tests/review/test_door.py::test_a_token_is_for_reading_the_page_alone",
    ),
    Fault(
        "garbage is answered without the headers",
        SERVER,
        "        named = [*_ENCODED, ",
        "        named = [",
        f"{WIRE}::test_what_is_no_http_is_answered_as_such",
    ),
    Fault(
        "no deadline for a request that came half with the one before",
        SERVER,
        "        elif self._deadline is None:\n            self._await_request()\n",
        "",
        f"{SLOW}::test_a_request_after_another_has_a_deadline_of_its_own",
    ),
    Fault(
        "a small answer that nobody takes is waited for",
        SERVER,
        "        transport.set_write_buffer_limits(0)\n",
        "",
        f"{SLOW}::test_who_takes_nothing_is_left[/60000?close]",
    ),
    Fault(
        "the path of a request is a file's name",
        "curate/review/app.py",
        "        if name not in _ASSETS:\n"
        "            raise HTTPException(404)\n"
        "        return Response(_ASSETS[name], media_type=_TYPES[PurePath(name).suffix])\n",
        '        found = files("curate.review").joinpath(name)\n'
        '        found = found if found.is_file() else found.parent / "static" / name\n'
        "        if not found.is_file():\n"
        "            raise HTTPException(404)\n"
        "        return Response(found.read_bytes())\n",
        f"{WIRE}::test_ten_thousand_tricks_lead_nowhere_else",
    ),
    Fault(
        "a bug's answer holds its traceback",
        "curate/review/app.py",
        "    app = Starlette(\n",
        "    app = Starlette(\n        debug=True,\n",
        f"{WIRE}::test_a_place_that_cannot_be_read_is_said_without_a_traceback",
    ),
    Fault(
        "a judgement does not say what its reviewer has seen",
        DESK,
        "class_name, self.reviewer, as_of)\n",
        "class_name, self.reviewer, 2**31)\n",
        "tests/review/test_desk.py"
        "::test_a_word_falls_on_nothing_that_others_said_meanwhile[sqlite]",
    ),
    Fault(
        "a cursor of an order that a rate has changed",
        "curate/catalog/queues.py",
        "    if position is not None and len(position) != (4 if threshold is not None else 2):\n",
        "    if False:\n",
        "tests/review/test_desk.py::test_the_order_by_the_threshold_ends_with_it[sqlite]",
    ),
    Fault(
        "names that nobody has escaped",
        DESK,
        "        return row | {name: self.shown(row[name])",
        "        return row | {name: row[name]",
        "tests/review/test_desk.py::test_names_are_shown_as_text_that_nothing_obeys",
    ),
]
