"""Deliberate breakages; `python -m tests.planted` plants each, and its test must notice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """In `file`, `old` (there once) becomes `new`; `test` must fail."""

    what: str
    file: str
    old: str
    new: str
    test: str


ORDER = "tests/crash/test_order.py"
INBOX = "tests/stateful/test_inbox.py"
FAULTS = [
    Fault(
        "no fsync of a file",
        "curate/durable.py",
        "        file.write(content)\n        file.flush()\n        os.fsync(file.fileno())\n",
        "        file.write(content)\n",
        f"{ORDER}::test_a_network_is_on_the_disk_before_the_row_that_names_it",
    ),
    Fault(
        "no fsync of an export",
        "curate/export/__init__.py",
        "        finish(out)\n    return Exported(count)\n",
        "    return Exported(count)\n",
        f"{ORDER}::test_it_is_on_the_disk_before_it_has_its_name[csv-out.csv]",
    ),
    Fault(
        "no fsync of the folder that a name is in",
        "curate/workspace.py",
        "        sync_folder(destination.parent)\n",
        "",
        f"{ORDER}::test_it_is_on_the_disk_before_it_has_its_name[backup-kept]",
    ),
    Fault(
        "the catalog's commits do not wait for the disk",
        "curate/catalog/engine.py",
        '"synchronous=FULL"',
        '"synchronous=NORMAL"',
        f"{ORDER}::test_what_is_told_is_on_the_disk[ingest]",
    ),
    Fault(
        "the previews' commits do not wait for the disk",
        "curate/images/previews.py",
        '"synchronous = FULL"',
        '"synchronous = NORMAL"',
        f"{ORDER}::test_a_preview_is_on_the_disk_before_the_row_that_names_it",
    ),
    Fault(
        "the row is committed before the preview",
        "curate/ingest.py",
        "        self.workspace.previews.add((image.sha256, image.preview) for _, image in made)\n"
        "        images = [self._image_row(path, image) for path, image in made]\n"
        "        new = catalog.add_images(self.source_id, images, now)\n",
        "        images = [self._image_row(path, image) for path, image in made]\n"
        "        new = catalog.add_images(self.source_id, images, now)\n"
        "        self.workspace.previews.add((image.sha256, image.preview) for _, image in made)\n",
        f"{ORDER}::test_a_preview_is_on_the_disk_before_the_row_that_names_it",
    ),
    Fault(
        "an export is written in its place",
        "curate/workspace.py",
        "    temporary, keep = temporary_beside(destination), False\n",
        "    temporary, keep = destination, False\n",
        f"{ORDER}::test_it_is_on_the_disk_before_it_has_its_name[csv-out.csv]",
    ),
    Fault(
        "nothing sweeps what the dead left",
        "curate/catalog/processes.py",
        '        if maker and is_running(*maker, "") is False:\n',
        "        if maker and False:\n",
        "tests/crash/test_kill.py::test_two_hundred_kills",
    ),
    Fault(
        "a deferred BEGIN",
        "curate/catalog/engine.py",
        '"BEGIN IMMEDIATE"))',
        '"BEGIN"))',
        "tests/catalog/test_engine.py::test_a_writer_holds_the_place_from_its_first_moment",
    ),
    Fault(
        "one who slept through a takeover may still switch the network",
        "curate/catalog/leases.py",
        "    if row.fence != fence or row.released:\n",
        "    if row.released:\n",
        "tests/catalog/test_models.py::test_one_whose_lease_passed_on_cannot_switch",
    ),
    Fault(
        "no list of formats",
        "curate/images/containers.py",
        "    if found in formats:\n",
        "    if found:\n",
        "tests/images/test_bad_inputs.py",
    ),
    Fault(
        "no look at the end of a file",
        "curate/images/containers.py",
        "    if kind in checks and not checks[kind](data):\n",
        "    if kind not in checks:\n",
        "tests/images/test_bad_inputs.py::test_each_of_the_last_64_bytes_counts",
    ),
    Fault(
        "no limit of memory for the decoder",
        "curate/images/worker.py",
        '_limited("RLIMIT_AS", config.memory_bytes)',
        "True",
        "tests/images/test_decoder.py::test_bomb_within_the_limits_of_size_is_out_of_memory",
    ),
    Fault(
        "the decoder is not locked in",
        "curate/images/worker.py",
        "_limit(config) | sandbox.enter()",
        "_limit(config)",
        "tests/images/test_sandbox.py::test_a_worker_is_locked_in_and_says_so",
    ),
    Fault(
        "a file is blamed where no worker survives",
        "curate/images/decode.py",
        "        if is_to_blame:\n",
        "        if True:\n",
        "tests/images/test_decoder.py::test_where_every_worker_is_killed_no_file_is_to_blame",
    ),
    Fault(
        "any number of scans",
        "curate/images/containers.py",
        "        if scans > MAX_SCANS:\n",
        "        if False:\n",
        "tests/images/test_bad_inputs.py::test_refused[JPEG of 2,000 scans]",
    ),
    Fault(
        "no wait until a file has settled",
        "curate/images/inbox.py",
        "if now - since >= self._settle_seconds",
        "if now >= since",
        "tests/watch/test_service.py::test_a_file_is_read_only_once_it_has_settled",
    ),
    Fault(
        "a link in the inbox is followed",
        "curate/images/inbox.py",
        "yield entry.path, os.lstat(entry.path)",
        "yield entry.path, os.stat(entry.path)",
        "tests/images/test_inbox_files.py::test_scan_follows_no_link_and_opens_nothing_special",
    ),
    Fault(
        "names reach the terminal as they are",
        "curate/console.py",
        '    return "".join(map(_visible, os.fsdecode(name)))\n',
        "    return os.fsdecode(name)\n",
        "tests/e2e/test_bad_input.py::test_hostile_names_and_strange_files",
    ),
    Fault(
        "a content is said to lie where its neighbour does",
        "curate/ingest.py",
        "[self._image_row(path, image) for path, image in made]",
        "[self._image_row(made[i - 1][0], image) for i, (_, image) in enumerate(made)]",
        INBOX,
    ),
    Fault(
        "a preview is kept under its neighbour's hash",
        "curate/ingest.py",
        "(image.sha256, image.preview) for _, image in made",
        "(made[i - 1][1].sha256, image.preview) for i, (_, image) in enumerate(made)",
        INBOX,
    ),
    Fault(
        "one image gets another's score",
        "curate/networks.py",
        "score_rows(made, hashes, scores",
        "score_rows(made, hashes[::-1], scores",
        INBOX,
    ),
    Fault(
        "what was unreadable stays so once it can be read",
        "curate/catalog/adding.py",
        "Unreadable.path.in_(named))",
        "Unreadable.path.in_([]))",
        INBOX,
    ),
    Fault(
        "undo forgets what was said before",
        "curate/catalog/reviews.py",
        "                before = _standing_without(connection, piece, undone)\n",
        "                before = dict[str, dict[str, Any]]()\n",
        INBOX,
    ),
    Fault(
        "an export leaves its filter out",
        "curate/export/rows.py",
        "workspace.catalog.iter_images(query, all_paths",
        "workspace.catalog.iter_images(Query(), all_paths",
        INBOX,
    ),
    Fault(
        "a backup loses the reviews",
        "curate/catalog/copying.py",
        "        connection.execute(update(Lease).values(released=True))\n",
        '        connection.execute(delete(Base.metadata.tables["review"]))\n'
        "        connection.execute(update(Lease).values(released=True))\n",
        INBOX,
    ),
    Fault(
        "a restored project is held by whoever watches the original",
        "curate/catalog/copying.py",
        "        _disown(made.engine)\n",
        "",
        "tests/test_backup.py::test_nobody_works_on_a_copy",
    ),
    Fault(
        "a killed migration's copy stays in a backup",
        "curate/catalog/schema.py",
        '    sweep(kept.parent.glob(f"{glob.escape(kept.name)}.tmp-*"))\n',
        "",
        "tests/catalog/test_schema.py::test_what_a_killed_migration_left_is_swept",
    ),
    Fault(
        "scores are not counted",
        "curate/catalog/store.py",
        "                with counting_scores(connection, contents, checkpoint_id):\n",
        "                with counting_scores(connection, [], checkpoint_id):\n",
        INBOX,
    ),
    Fault(
        "reviews are not counted",
        "curate/catalog/reviews.py",
        "        with counting_reviews(connection, hashes):\n",
        "        with counting_reviews(connection, []):\n",
        INBOX,
    ),
    Fault(
        "rare images are looked up without those that people found",
        "curate/catalog/candidates.py",
        'union(flagged, _judged(["ood"]))',
        "union(flagged, flagged)",
        "tests/catalog/test_query.py::"
        "test_rare_images_are_looked_up_and_frequent_ones_met_on_a_walk[sqlite]",
    ),
    Fault(
        "a role switches to a network that has not scored everything",
        "curate/catalog/models.py",
        "Pending.checkpoint_id.in_(serving.values())",
        "Pending.checkpoint_id.in_(list(serving.values())[:1])",
        "tests/catalog/test_models.py::test_both_roles_switch_at_once_or_neither[sqlite]",
    ),
    Fault(
        "a detector comes beside another classifier than its own",
        "curate/catalog/models.py",
        '            if "detector" in serving:\n',
        '            if serving.keys() == {"detector", "classifier"}:\n',
        "tests/test_finetune.py::"
        "test_one_trained_while_the_detector_scores_is_not_given_an_old_one_either",
    ),
    Fault(
        "a copy keeps what was written about the picture",
        "curate/images/stripping.py",
        "    return None if _APP1 <= kind <= _APP15 or kind == _COM else body\n",
        "    return body\n",
        "tests/images/test_stripping.py::test_exif_goes_but_for_the_orientation",
    ),
    Fault(
        "an export that goes on takes copies for what its journal says",
        "curate/export/copying.py",
        '        if of != row["sha256"] or digest_of(self._folder / name) != digest:\n',
        '        if of != row["sha256"]:\n',
        "tests/export/test_handing_on.py::test_a_killed_export_goes_on",
    ),
    Fault(
        "a notice leaves the queue before it was taken",
        "curate/watch/delivery.py",
        "            self._target.deliver([record(row) for row in rows])\n"
        "            self._hooks.accepted([row.sha256 for row in rows], datetime.now(UTC))\n",
        "            self._hooks.accepted([row.sha256 for row in rows], datetime.now(UTC))\n"
        "            self._target.deliver([record(row) for row in rows])\n",
        "tests/watch/test_hook.py::test_what_was_not_taken_stays_and_is_tried_with_growing_pauses",
    ),
    Fault(
        "a new detector drops what was never told of",
        "curate/catalog/models.py",
        "                announce(connection, detector, now)\n",
        "                pass\n",
        "tests/catalog/test_hooks.py"
        "::test_a_new_detector_tells_of_nothing_that_was_told_and_forgets_nothing",
    ),
    Fault(
        "a judgement falls on what others have said since",
        "curate/catalog/reviews.py",
        "            for sha256 in unseen:\n                del judged[sha256]\n",
        "",
        "tests/catalog/test_reviews.py::test_what_others_said_since_is_passed_over",
    ),
]
