-- The catalog, for SQLite and PostgreSQL alike. Nothing else creates tables.
-- Ranges are closed on both sides because SQLite holds any text to be larger than any number: with
-- an upper bound a CHECK refuses text in a numeric column too. ltrim(x, digits) = '' says
-- "nothing but these characters" in both languages. Statements end with a semicolon, which
-- therefore stands nowhere else. Numbers that count up are given by the program, whose writers
-- take turns, a key of one number is BIGINT, as SQLite gives an INTEGER one itself.

CREATE TABLE schema_version (
    version BIGINT NOT NULL,
    applied_at TIMESTAMP NOT NULL,
    program TEXT NOT NULL,
    PRIMARY KEY (version),
    CHECK (version BETWEEN 1 AND 1000000)
);

-- Where images come from. A moved root is one row to change.
CREATE TABLE source (
    source_id TEXT NOT NULL,
    root_uri TEXT NOT NULL,
    added_at TIMESTAMP NOT NULL,
    last_scan_at TIMESTAMP,
    last_scan_files BIGINT,
    watch_mode TEXT,
    PRIMARY KEY (source_id),
    CONSTRAINT source_root UNIQUE (root_uri),
    CHECK (source_id <> '' AND root_uri LIKE '_%:/%'),
    CHECK (last_scan_files BETWEEN 0 AND 1000000000000),
    CHECK (watch_mode IN ('events', 'poll'))
);

-- One row for each content that ever lay in an inbox.
CREATE TABLE image (
    sha256 TEXT NOT NULL,
    format TEXT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    bytes BIGINT NOT NULL,
    first_seen TIMESTAMP NOT NULL,
    PRIMARY KEY (sha256),
    CHECK (length(sha256) = 64 AND ltrim(sha256, '0123456789abcdef') = ''),
    CHECK (format <> '' AND format = upper(format)),
    CHECK (width BETWEEN 1 AND 1000000 AND height BETWEEN 1 AND 1000000),
    CHECK (bytes BETWEEN 1 AND 1000000000000)
);
CREATE INDEX image_by_arrival ON image (first_seen, sha256);

-- Where a content was seen. The path is relative to the root and percent-encoded.
CREATE TABLE sighting (
    source_id TEXT NOT NULL,
    path TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size BIGINT NOT NULL,
    mtime_ns BIGINT NOT NULL,
    ctime_ns BIGINT NOT NULL,
    inode BIGINT NOT NULL,
    first_seen TIMESTAMP NOT NULL,
    last_seen TIMESTAMP NOT NULL,
    PRIMARY KEY (source_id, path, sha256),
    FOREIGN KEY (source_id) REFERENCES source (source_id),
    FOREIGN KEY (sha256) REFERENCES image (sha256),
    CHECK (path <> '' AND path NOT LIKE '/%'),
    CHECK (size BETWEEN 1 AND 1000000000000),
    CHECK (mtime_ns BETWEEN -9223372036854775807 - 1 AND 9223372036854775807),
    CHECK (ctime_ns BETWEEN -9223372036854775807 - 1 AND 9223372036854775807),
    CHECK (inode BETWEEN -9223372036854775807 - 1 AND 9223372036854775807)
);
CREATE INDEX sighting_by_content ON sighting (sha256);

-- Files that are no readable image. Tried again when the file or the decoder's policy changes.
CREATE TABLE unreadable (
    source_id TEXT NOT NULL,
    path TEXT NOT NULL,
    reason TEXT NOT NULL,
    policy TEXT NOT NULL,
    size BIGINT NOT NULL,
    mtime_ns BIGINT NOT NULL,
    ctime_ns BIGINT NOT NULL,
    inode BIGINT NOT NULL,
    first_seen TIMESTAMP NOT NULL,
    last_seen TIMESTAMP NOT NULL,
    PRIMARY KEY (source_id, path),
    FOREIGN KEY (source_id) REFERENCES source (source_id),
    CHECK (path <> '' AND path NOT LIKE '/%'),
    CHECK (reason <> '' AND policy <> ''),
    CHECK (size BETWEEN 0 AND 9223372036854775807),
    CHECK (mtime_ns BETWEEN -9223372036854775807 - 1 AND 9223372036854775807),
    CHECK (ctime_ns BETWEEN -9223372036854775807 - 1 AND 9223372036854775807),
    CHECK (inode BETWEEN -9223372036854775807 - 1 AND 9223372036854775807)
);

-- The labeled folder as it was read for a training. Its images are not inbox images.
CREATE TABLE snapshot (
    snapshot_id TEXT NOT NULL,
    root TEXT NOT NULL,
    taken_at TIMESTAMP NOT NULL,
    PRIMARY KEY (snapshot_id),
    CHECK (length(snapshot_id) = 64 AND ltrim(snapshot_id, '0123456789abcdef') = ''),
    CHECK (root <> '')
);

CREATE TABLE labeled_image (
    snapshot_id TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    class_name TEXT NOT NULL,
    split TEXT NOT NULL,
    path TEXT NOT NULL,
    PRIMARY KEY (snapshot_id, sha256),
    FOREIGN KEY (snapshot_id) REFERENCES snapshot (snapshot_id),
    CHECK (length(sha256) = 64 AND ltrim(sha256, '0123456789abcdef') = ''),
    CHECK (class_name <> ''),
    CHECK (split IN ('train', 'validation', 'calibration')),
    CHECK (path <> '' AND path NOT LIKE '/%')
);

CREATE TABLE checkpoint (
    checkpoint_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    parent_id TEXT,
    snapshot_id TEXT NOT NULL,
    backbone TEXT NOT NULL,
    recipe TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    figures TEXT NOT NULL,
    PRIMARY KEY (checkpoint_id),
    FOREIGN KEY (parent_id) REFERENCES checkpoint (checkpoint_id),
    FOREIGN KEY (snapshot_id) REFERENCES snapshot (snapshot_id),
    CHECK (length(checkpoint_id) = 64 AND ltrim(checkpoint_id, '0123456789abcdef') = ''),
    CHECK (kind IN ('pretrained', 'finetuned')),
    CHECK ((kind = 'finetuned') = (parent_id IS NOT NULL)),
    CHECK (backbone <> '' AND recipe <> ''),
    CHECK (figures LIKE '{%}')
);

-- Checkpoints that every image is scored with: those in service, and a candidate.
CREATE TABLE scoring (
    checkpoint_id TEXT NOT NULL,
    PRIMARY KEY (checkpoint_id),
    FOREIGN KEY (checkpoint_id) REFERENCES checkpoint (checkpoint_id)
);

-- The queue: written with the image for each row of scoring, deleted with its score.
CREATE TABLE pending (
    checkpoint_id TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (checkpoint_id, sha256),
    FOREIGN KEY (checkpoint_id) REFERENCES scoring (checkpoint_id),
    FOREIGN KEY (sha256) REFERENCES image (sha256)
);

-- Which checkpoint serves in a role: the row with the highest seq.
CREATE TABLE activation (
    role TEXT NOT NULL,
    seq INTEGER NOT NULL,
    checkpoint_id TEXT NOT NULL,
    activated_at TIMESTAMP NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (role, seq),
    FOREIGN KEY (checkpoint_id) REFERENCES checkpoint (checkpoint_id),
    CHECK (role IN ('classifier', 'detector')),
    CHECK (seq BETWEEN 1 AND 2000000000),
    CHECK (reason <> '')
);

-- Larger scores are more out-of-distribution. `score` is the one that the checkpoint tags by; its
-- p-value is read against `calibration`. `nearest` are rows of the checkpoint's bank.
CREATE TABLE score (
    checkpoint_id TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    score FLOAT NOT NULL,
    discrepancy FLOAT NOT NULL,
    msp FLOAT NOT NULL,
    energy FLOAT NOT NULL,
    knn FLOAT NOT NULL,
    disagreement FLOAT NOT NULL,
    label TEXT NOT NULL,
    confidence FLOAT NOT NULL,
    p_value FLOAT NOT NULL,
    calibration TEXT NOT NULL,
    nearest TEXT NOT NULL,
    scored_at TIMESTAMP NOT NULL,
    PRIMARY KEY (checkpoint_id, sha256),
    FOREIGN KEY (checkpoint_id) REFERENCES checkpoint (checkpoint_id),
    FOREIGN KEY (sha256) REFERENCES image (sha256),
    CHECK (score BETWEEN -1e300 AND 1e300),
    CHECK (discrepancy BETWEEN 0 AND 2),
    CHECK (energy BETWEEN -1e300 AND 1e300),
    CHECK (knn BETWEEN 0 AND 1e300),
    CHECK (disagreement BETWEEN 0 AND 1e300),
    CHECK (label <> ''),
    CHECK (msp BETWEEN 0 AND 1 AND confidence BETWEEN 0 AND 1),
    CHECK (p_value BETWEEN 1e-12 AND 1),
    CHECK (calibration IN ('held_out', 'canary')),
    CHECK (ltrim(nearest, '0123456789 ') = '')
);
CREATE INDEX score_by_p_value ON score (checkpoint_id, p_value, score);
CREATE INDEX score_by_score ON score (checkpoint_id, score, sha256);
CREATE INDEX score_by_disagreement ON score (checkpoint_id, disagreement, sha256);

-- A person's word: appended, never overwritten. The highest seq of an image stands. A step is what
-- was judged at once. A row that undoes a step repeats what stood before it.
CREATE TABLE review (
    sha256 TEXT NOT NULL,
    seq INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    class_name TEXT,
    reviewer TEXT NOT NULL,
    reviewed_at TIMESTAMP NOT NULL,
    step INTEGER NOT NULL,
    undoes INTEGER,
    PRIMARY KEY (sha256, seq),
    FOREIGN KEY (sha256) REFERENCES image (sha256),
    CHECK (seq BETWEEN 1 AND 2000000000),
    CHECK (verdict IN ('id', 'ood', 'none')),
    CHECK (class_name IS NULL OR (class_name <> '' AND verdict = 'id')),
    CHECK (reviewer <> ''),
    CHECK (step BETWEEN 1 AND 2000000000),
    CHECK (undoes BETWEEN 1 AND 2000000000 AND undoes < step)
);
CREATE INDEX review_by_step ON review (step);
CREATE INDEX review_by_reviewer ON review (reviewer, step);
CREATE INDEX review_by_undone ON review (undoes);

-- Images that a finished export has handed on to a destination, and when one did first.
CREATE TABLE handed_on (
    sha256 TEXT NOT NULL,
    handed_on_at TIMESTAMP NOT NULL,
    PRIMARY KEY (sha256),
    FOREIGN KEY (sha256) REFERENCES image (sha256)
);

CREATE TABLE finetune_run (
    run_id TEXT NOT NULL,
    started_at TIMESTAMP NOT NULL,
    ended_at TIMESTAMP,
    recipe TEXT NOT NULL,
    outcome TEXT,
    reason TEXT,
    figures TEXT NOT NULL,
    images INTEGER NOT NULL,
    checkpoint_id TEXT,
    pid INTEGER NOT NULL,
    host TEXT NOT NULL,
    process_started TEXT NOT NULL,
    PRIMARY KEY (run_id),
    FOREIGN KEY (checkpoint_id) REFERENCES checkpoint (checkpoint_id),
    CHECK (run_id <> '' AND recipe <> '' AND host <> ''),
    CHECK (outcome IN ('promoted', 'rejected', 'skipped', 'failed')),
    CHECK ((ended_at IS NULL) = (outcome IS NULL) AND (ended_at IS NULL) = (reason IS NULL)),
    CHECK (outcome <> 'promoted' OR checkpoint_id IS NOT NULL),
    CHECK (figures LIKE '{%}'),
    CHECK (images BETWEEN 0 AND 2000000000),
    CHECK (pid BETWEEN 1 AND 2000000000)
);
CREATE INDEX finetune_run_by_start ON finetune_run (started_at, run_id);

-- The fence grows with every holder, and the row outlives them, so that an old one is known.
CREATE TABLE lease (
    name TEXT NOT NULL,
    what TEXT NOT NULL,
    fence BIGINT NOT NULL,
    pid INTEGER NOT NULL,
    host TEXT NOT NULL,
    process_started TEXT NOT NULL,
    acquired_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    released BOOLEAN NOT NULL,
    PRIMARY KEY (name),
    CHECK (name <> '' AND what <> '' AND host <> ''),
    CHECK (fence BETWEEN 1 AND 9000000000000000000),
    CHECK (pid BETWEEN 1 AND 2000000000),
    CHECK (released IN (TRUE, FALSE))
);

-- There is a row while newly tagged images are to be told of, with what came of it so far.
CREATE TABLE hook (
    name TEXT NOT NULL,
    delivered BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    last_delivered_at TIMESTAMP,
    last_failed_at TIMESTAMP,
    last_error TEXT,
    PRIMARY KEY (name),
    CHECK (name = 'on-tag'),
    CHECK (delivered BETWEEN 0 AND 1000000000000 AND failures BETWEEN 0 AND 1000000000000),
    CHECK ((last_error IS NULL) = (last_failed_at IS NULL))
);

-- Images that the hook has yet to be told of: written with the score that gives the first tag,
-- deleted once the delivery was accepted.
CREATE TABLE notice (
    sha256 TEXT NOT NULL,
    queued_at TIMESTAMP NOT NULL,
    PRIMARY KEY (sha256),
    FOREIGN KEY (sha256) REFERENCES image (sha256)
);
CREATE INDEX notice_by_age ON notice (queued_at, sha256);

-- The false-alarm rate of all tags: the row with the highest seq, 0.05 before there is one.
CREATE TABLE alarm_rate (
    seq BIGINT NOT NULL,
    rate FLOAT NOT NULL,
    set_at TIMESTAMP NOT NULL,
    PRIMARY KEY (seq),
    CHECK (seq BETWEEN 1 AND 2000000000),
    CHECK (rate > 0 AND rate <= 0.5)
);

-- Random samples that people judge, to learn how often the detector errs, and to calibrate it anew.
CREATE TABLE audit (
    seq BIGINT NOT NULL,
    drawn_at TIMESTAMP NOT NULL,
    query TEXT NOT NULL,
    recalibrated_at TIMESTAMP,
    PRIMARY KEY (seq),
    CHECK (seq BETWEEN 1 AND 2000000000)
);

CREATE TABLE audit_image (
    seq BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (seq, sha256),
    FOREIGN KEY (seq) REFERENCES audit (seq),
    FOREIGN KEY (sha256) REFERENCES image (sha256)
);

-- Running counts, changed in the commit that changes what they count: of rows, and of images by the
-- word that stands on them. A wrong one must stop no work, so it may fall below zero.
CREATE TABLE total (
    what TEXT NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (what),
    CHECK (what IN ('image', 'sighting', 'unreadable', 'id', 'ood')),
    CHECK (number BETWEEN -1000000000000 AND 1000000000000)
);

-- How many images have a p-value. P-values are few: for each set of calibration images, one more
-- than it has.
CREATE TABLE tally (
    checkpoint_id TEXT NOT NULL,
    verdict TEXT NOT NULL,
    p_value FLOAT NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (checkpoint_id, verdict, p_value),
    FOREIGN KEY (checkpoint_id) REFERENCES checkpoint (checkpoint_id),
    CHECK (verdict IN ('id', 'ood', 'none')),
    CHECK (p_value BETWEEN 1e-12 AND 1),
    CHECK (number BETWEEN -1000000000000 AND 1000000000000)
);

-- The tag of every image, as of now. A person's word stands over the model's.
CREATE VIEW current_tag AS
SELECT
    image.sha256 AS sha256,
    CASE
        WHEN review.verdict <> 'none' THEN review.verdict
        WHEN detector.p_value IS NULL THEN 'pending'
        WHEN detector.p_value
            <= COALESCE((SELECT rate FROM alarm_rate ORDER BY seq DESC LIMIT 1), 0.05) THEN 'ood'
        ELSE 'id'
    END AS tag,
    CASE WHEN review.verdict <> 'none' THEN review.verdict END AS verdict,
    review.class_name AS class_name,
    CASE WHEN review.verdict <> 'none' THEN review.reviewer END AS reviewed_by,
    CASE WHEN review.verdict <> 'none' THEN review.reviewed_at END AS reviewed_at,
    detector.checkpoint_id AS detector,
    detector.score AS score,
    detector.p_value AS p_value,
    detector.discrepancy AS discrepancy,
    detector.msp AS msp,
    detector.energy AS energy,
    detector.knn AS knn,
    detector.disagreement AS disagreement,
    COALESCE(review.class_name, classifier.label) AS label,
    classifier.confidence AS confidence
FROM image
LEFT JOIN review ON review.sha256 = image.sha256 AND review.seq = (
    SELECT MAX(newest.seq) FROM review AS newest WHERE newest.sha256 = image.sha256
)
LEFT JOIN score AS detector ON detector.sha256 = image.sha256 AND detector.checkpoint_id = (
    SELECT checkpoint_id FROM activation WHERE role = 'detector' ORDER BY seq DESC LIMIT 1
)
LEFT JOIN score AS classifier ON classifier.sha256 = image.sha256 AND classifier.checkpoint_id = (
    SELECT checkpoint_id FROM activation WHERE role = 'classifier' ORDER BY seq DESC LIMIT 1
);
