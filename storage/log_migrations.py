"""The schema of the prediction log, as a list of steps."""

from __future__ import annotations

from sqlite_utils import Database, Migrations

from storage.connection import run_script

log = Migrations("predictions")


@log()
def p001_log(db: Database) -> None:
    run_script(
        db,
        """
CREATE TABLE groups (
    uid TEXT PRIMARY KEY, project TEXT NOT NULL, version TEXT NOT NULL, request_id TEXT NOT NULL, at TEXT NOT NULL,
    rows INTEGER NOT NULL, problem_rows INTEGER NOT NULL, caller TEXT NOT NULL, source TEXT NOT NULL,
    latency_ms REAL, payload BLOB NOT NULL
) STRICT;;
CREATE INDEX groups_by_time ON groups(project, at);;
CREATE INDEX groups_by_request ON groups(request_id);;
CREATE TABLE rollups (
    project TEXT NOT NULL, version TEXT NOT NULL, hour TEXT NOT NULL, label TEXT NOT NULL,
    rows INTEGER NOT NULL, problem_rows INTEGER NOT NULL,
    PRIMARY KEY (project, hour, version, label)
) STRICT, WITHOUT ROWID;;
CREATE TABLE labels (
    id INTEGER PRIMARY KEY, project TEXT NOT NULL, prediction_id TEXT NOT NULL, label TEXT NOT NULL,
    predicted TEXT NOT NULL, score REAL, version TEXT NOT NULL, predicted_at TEXT NOT NULL, labelled_at TEXT NOT NULL,
    by TEXT NOT NULL, source TEXT NOT NULL, superseded INTEGER NOT NULL DEFAULT 0
) STRICT;;
CREATE UNIQUE INDEX one_current_label ON labels(project, prediction_id) WHERE superseded = 0;;
CREATE INDEX labels_by_time ON labels(project, predicted_at);;
""",
    )


@log()
def p002_groups_and_profiles(db: Database) -> None:
    # small groups come as JSON and are packed into blocks of Parquet later: then payload is empty and block, place say where
    run_script(
        db,
        """
ALTER TABLE groups ADD COLUMN stages TEXT;;
ALTER TABLE groups ADD COLUMN block INTEGER;;
ALTER TABLE groups ADD COLUMN place INTEGER;;
CREATE TABLE blocks (
    id INTEGER PRIMARY KEY, project TEXT NOT NULL, version TEXT NOT NULL, since TEXT NOT NULL, until TEXT NOT NULL,
    rows INTEGER NOT NULL, payload BLOB NOT NULL
) STRICT;;
CREATE INDEX groups_by_block ON groups(block) WHERE block IS NOT NULL;;
ALTER TABLE rollups ADD COLUMN unsure INTEGER NOT NULL DEFAULT 0;;
CREATE TABLE hour_profiles (
    project TEXT NOT NULL, version TEXT NOT NULL, hour TEXT NOT NULL, bins_id TEXT NOT NULL,
    rows INTEGER NOT NULL, counts BLOB NOT NULL, PRIMARY KEY (project, hour, version, bins_id)
) STRICT, WITHOUT ROWID;;
CREATE TABLE case_keys (
    project TEXT NOT NULL, key TEXT NOT NULL, prediction_id TEXT NOT NULL, PRIMARY KEY (project, key, prediction_id)
) STRICT, WITHOUT ROWID;;
""",
    )


@log()
def p003_traffic(db: Database) -> None:
    run_script(
        db,
        """
CREATE TABLE requests (
    id INTEGER PRIMARY KEY, request_id TEXT NOT NULL, at TEXT NOT NULL, project TEXT NOT NULL, route TEXT NOT NULL,
    door TEXT NOT NULL, status INTEGER NOT NULL, rows INTEGER NOT NULL, version TEXT NOT NULL, caller TEXT NOT NULL,
    total_ms REAL NOT NULL, validation_ms REAL, preprocessing_ms REAL, inference_ms REAL, logging_ms REAL
) STRICT;;
CREATE INDEX requests_by_time ON requests(project, at);;
CREATE INDEX requests_by_request ON requests(request_id);;
CREATE TABLE traffic (
    project TEXT NOT NULL, level TEXT NOT NULL CHECK (level IN ('minute','hour')), bucket TEXT NOT NULL,
    version TEXT NOT NULL, route TEXT NOT NULL, status INTEGER NOT NULL, requests INTEGER NOT NULL, rows INTEGER NOT NULL,
    total REAL NOT NULL, total_sq REAL NOT NULL, most REAL NOT NULL, histograms TEXT NOT NULL,
    PRIMARY KEY (level, project, bucket, version, route, status)
) STRICT, WITHOUT ROWID;;
CREATE TABLE observations (
    id INTEGER PRIMARY KEY, project TEXT NOT NULL, name TEXT NOT NULL, value REAL NOT NULL, at TEXT NOT NULL, by TEXT NOT NULL
) STRICT;;
CREATE INDEX observations_by_name ON observations(project, name, at);;
CREATE TABLE observation_minutes (
    project TEXT NOT NULL, name TEXT NOT NULL, minute TEXT NOT NULL, n INTEGER NOT NULL, total REAL NOT NULL,
    total_sq REAL NOT NULL, least REAL NOT NULL, most REAL NOT NULL, last REAL NOT NULL,
    PRIMARY KEY (project, name, minute)
) STRICT, WITHOUT ROWID;;
CREATE TABLE rate_counts (
    subject TEXT NOT NULL, minute TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (subject, minute)
) STRICT, WITHOUT ROWID;;
""",
    )


@log()
def p004_traffic_by_day(db: Database) -> None:
    # nothing has written to the table yet; days keep a month's window cheap, and one row for all time the counters
    run_script(
        db,
        """
DROP TABLE traffic;;
CREATE TABLE traffic (
    id INTEGER PRIMARY KEY, level TEXT NOT NULL CHECK (level IN ('minute','hour','day','all')), project TEXT NOT NULL,
    bucket TEXT NOT NULL, version TEXT NOT NULL, route TEXT NOT NULL, door TEXT NOT NULL, status INTEGER NOT NULL,
    requests INTEGER NOT NULL, rows INTEGER NOT NULL, sums BLOB NOT NULL, histogram BLOB NOT NULL
) STRICT;;
CREATE UNIQUE INDEX traffic_by_key ON traffic(level, project, bucket, version, route, door, status);;
CREATE INDEX traffic_by_time ON traffic(level, bucket);;
""",
    )


@log()
def p005_labels(db: Database) -> None:
    # quality over time is counted from label_counts; triggers keep it, so that no way of writing labels can forget it
    run_script(
        db,
        """
ALTER TABLE labels ADD COLUMN probabilities BLOB;;
ALTER TABLE labels ADD COLUMN query TEXT;;
ALTER TABLE labels ADD COLUMN counted INTEGER NOT NULL DEFAULT 1;;
DROP INDEX labels_by_time;;
CREATE INDEX labels_by_time ON labels(project, predicted_at, version, label, score, probabilities) WHERE superseded = 0;;
CREATE INDEX labels_by_arrival ON labels(project, labelled_at) WHERE superseded = 0;;
CREATE TABLE label_counts (
    project TEXT NOT NULL, hour TEXT NOT NULL, version TEXT NOT NULL, label TEXT NOT NULL, predicted TEXT NOT NULL,
    rows INTEGER NOT NULL, PRIMARY KEY (project, hour, version, label, predicted)
) STRICT, WITHOUT ROWID;;
CREATE TABLE label_changes (project TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT, WITHOUT ROWID;;
INSERT INTO label_counts SELECT project, substr(predicted_at, 1, 13), version, label, predicted, count(*)
FROM labels WHERE superseded = 0 GROUP BY 1, 2, 3, 4, 5;;
CREATE TRIGGER labels_are_counted AFTER INSERT ON labels WHEN new.superseded = 0 AND new.counted = 1
BEGIN
INSERT INTO label_counts VALUES (new.project, substr(new.predicted_at, 1, 13), new.version, new.label, new.predicted, 1)
ON CONFLICT DO UPDATE SET rows = rows + 1; END;;
CREATE TRIGGER superseded_labels_count_no_more AFTER UPDATE OF superseded ON labels
WHEN old.superseded = 0 AND new.superseded = 1 AND old.counted = 1
BEGIN
UPDATE label_counts SET rows = rows - 1 WHERE project = old.project AND hour = substr(old.predicted_at, 1, 13)
AND version = old.version AND label = old.label AND predicted = old.predicted; END;;
CREATE TRIGGER deleted_labels_count_no_more AFTER DELETE ON labels WHEN old.superseded = 0 AND old.counted = 1
BEGIN
UPDATE label_counts SET rows = rows - 1 WHERE project = old.project AND hour = substr(old.predicted_at, 1, 13)
AND version = old.version AND label = old.label AND predicted = old.predicted; END;;
CREATE TRIGGER label_insertions_are_noted AFTER INSERT ON labels
BEGIN INSERT INTO label_changes VALUES (new.project, 1) ON CONFLICT DO UPDATE SET n = n + 1; END;;
CREATE TRIGGER label_deletions_are_noted AFTER DELETE ON labels
BEGIN INSERT INTO label_changes VALUES (old.project, 1) ON CONFLICT DO UPDATE SET n = n + 1; END;;
""",
    )


@log()
def p006_observations_by_day(db: Database) -> None:
    # nothing has written to the table yet; percentiles of posted values need their distribution, not only their sums
    run_script(
        db,
        """
DROP TABLE observation_minutes;;
CREATE TABLE observation_counts (
    id INTEGER PRIMARY KEY, level TEXT NOT NULL CHECK (level IN ('minute','hour','day','all')), project TEXT NOT NULL,
    name TEXT NOT NULL, bucket TEXT NOT NULL, n INTEGER NOT NULL, total REAL NOT NULL, total_sq REAL NOT NULL,
    least REAL NOT NULL, most REAL NOT NULL, last REAL NOT NULL, last_at TEXT NOT NULL, histogram BLOB NOT NULL
) STRICT;;
CREATE UNIQUE INDEX observation_counts_by_key ON observation_counts(level, project, bucket, name);;
CREATE TABLE observation_names (
    project TEXT NOT NULL, name TEXT NOT NULL, since TEXT NOT NULL, PRIMARY KEY (project, name)
) STRICT, WITHOUT ROWID;;
""",
    )


@log()
def p007_erased_rows(db: Database) -> None:
    # places (from 1) of rows that were erased: they stay empty, so that the ids of the others stay right
    run_script(
        db,
        """
ALTER TABLE groups ADD COLUMN erased TEXT;;
CREATE INDEX groups_to_pack ON groups(project, version, at) WHERE block IS NULL AND rows < 1000;;
CREATE INDEX case_keys_by_prediction ON case_keys(prediction_id);;
""",
    )


@log()
def p008_labels_counted_in_bulk(db: Database) -> None:
    # measured: the trigger on each label took two thirds of feeding 200,000 of them; storage.labels counts a batch at once
    run_script(
        db,
        """
DROP TRIGGER labels_are_counted;;
DROP TRIGGER superseded_labels_count_no_more;;
DROP TRIGGER label_insertions_are_noted;;
""",
    )
