"""The schema, as a list of steps. Migrations create tables; nothing else does."""

from __future__ import annotations

import fcntl
from pathlib import Path

from sqlite_utils import Database, Migrations

from storage.connection import connect, run_script
from storage.log_migrations import log

acts = Migrations("greenlight")

STAGES = ("training", "validation", "approved", "production", "archived")

# Which stage may follow which; production comes back from archived only by a rollback (checked in core).
TRANSITIONS = (
    ("training", "validation"),
    ("training", "archived"),
    ("validation", "approved"),
    ("validation", "archived"),
    ("approved", "validation"),
    ("approved", "production"),
    ("approved", "archived"),
    ("production", "archived"),
    ("archived", "production"),
)


def migrate(path: Path) -> None:
    """Bring greenlight.db to the current schema."""
    _apply(path, acts)


def migrate_predictions(path: Path) -> None:
    """Bring predictions.db to the current schema."""
    _apply(path, log)


def _apply(path: Path, migrations: Migrations) -> None:
    # two processes may start at once; the lock makes the second wait and find nothing to do
    with path.with_suffix(".migrate.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        database = connect(path)
        try:
            if migrations.pending(database):
                migrations.apply(database)
        finally:
            database.conn.close()


@acts()
def m001_accounts(db: Database) -> None:
    run_script(
        db,
        """
CREATE TABLE accounts (
    name TEXT PRIMARY KEY, role TEXT NOT NULL, password_hash TEXT, active INTEGER NOT NULL DEFAULT 1,
    demo INTEGER NOT NULL DEFAULT 0, created_at TEXT NOT NULL, created_by TEXT NOT NULL,
    reset_hash TEXT, reset_expires_at TEXT
) STRICT;;
CREATE TABLE sessions (
    token_hash TEXT PRIMARY KEY, account TEXT NOT NULL REFERENCES accounts(name), created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL, revoked_at TEXT, address TEXT NOT NULL
) STRICT;;
CREATE INDEX sessions_by_account ON sessions(account);;
CREATE TABLE sign_in_attempts (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, address TEXT NOT NULL, at TEXT NOT NULL
) STRICT;;
CREATE INDEX sign_in_attempts_by_name ON sign_in_attempts(name, at);;
CREATE INDEX sign_in_attempts_by_address ON sign_in_attempts(address, at);;
CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;;
""",
    )


@acts()
def m002_audit(db: Database) -> None:
    run_script(
        db,
        """
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY, prev_hash TEXT NOT NULL UNIQUE, hash TEXT NOT NULL UNIQUE, body TEXT NOT NULL,
    at TEXT GENERATED ALWAYS AS (json_extract(body, '$.at')) VIRTUAL,
    actor TEXT GENERATED ALWAYS AS (json_extract(body, '$.actor')) VIRTUAL,
    action TEXT GENERATED ALWAYS AS (json_extract(body, '$.action')) VIRTUAL,
    project TEXT GENERATED ALWAYS AS (json_extract(body, '$.project')) VIRTUAL,
    outcome TEXT GENERATED ALWAYS AS (json_extract(body, '$.outcome')) VIRTUAL,
    correlation_id TEXT GENERATED ALWAYS AS (json_extract(body, '$.correlation_id')) VIRTUAL
) STRICT;;
CREATE INDEX audit_by_at ON audit(at);;
CREATE INDEX audit_by_actor ON audit(actor);;
CREATE INDEX audit_by_action ON audit(action);;
CREATE INDEX audit_by_project ON audit(project);;
CREATE INDEX audit_by_correlation ON audit(correlation_id);;
CREATE TRIGGER audit_refuses_update BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;;
CREATE TRIGGER audit_refuses_delete BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;;
CREATE VIRTUAL TABLE audit_fts USING fts5(body, content='audit', content_rowid='seq');;
CREATE TRIGGER audit_is_indexed AFTER INSERT ON audit
BEGIN INSERT INTO audit_fts(rowid, body) VALUES (new.seq, new.body); END;;
CREATE TABLE request_keys (
    key TEXT PRIMARY KEY, actor TEXT NOT NULL, action TEXT NOT NULL, result TEXT NOT NULL, at TEXT NOT NULL
) STRICT;;
""",
    )


@acts()
def m003_projects_and_data(db: Database) -> None:
    run_script(
        db,
        """
CREATE TABLE projects (
    name TEXT PRIMARY KEY, title TEXT NOT NULL, task TEXT NOT NULL, definition_sha TEXT NOT NULL,
    created_at TEXT NOT NULL, created_by TEXT NOT NULL, archived_at TEXT, demo INTEGER NOT NULL DEFAULT 0
) STRICT;;
CREATE TABLE definitions (
    sha256 TEXT NOT NULL, project TEXT NOT NULL REFERENCES projects(name) DEFERRABLE INITIALLY DEFERRED,
    body TEXT NOT NULL, at TEXT NOT NULL, by TEXT NOT NULL, PRIMARY KEY (project, sha256)
) STRICT;;
CREATE TABLE datasets (
    id INTEGER PRIMARY KEY, project TEXT NOT NULL REFERENCES projects(name), version INTEGER NOT NULL,
    sha256 TEXT NOT NULL, rows INTEGER NOT NULL, columns INTEGER NOT NULL, file_name TEXT NOT NULL,
    source TEXT NOT NULL, label_provenance TEXT NOT NULL, created_by TEXT NOT NULL, created_at TEXT NOT NULL,
    definition_sha TEXT NOT NULL, profile TEXT NOT NULL, validation TEXT NOT NULL, comparison TEXT,
    UNIQUE (project, sha256), UNIQUE (project, version)
) STRICT;;
""",
    )


@acts()
def m004_jobs_and_runs(db: Database) -> None:
    run_script(
        db,
        """
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY, project TEXT NOT NULL, kind TEXT NOT NULL, params TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued','running','done','failed','cancelled','interrupted')),
    created_by TEXT NOT NULL, created_at TEXT NOT NULL, started_at TEXT, heartbeat_at TEXT, finished_at TEXT,
    pid INTEGER, done REAL NOT NULL DEFAULT 0, total REAL NOT NULL DEFAULT 0, note TEXT NOT NULL DEFAULT '',
    seconds_left REAL, outcome TEXT, error TEXT, cancel_by TEXT, rerun_of INTEGER REFERENCES jobs(id),
    owner TEXT NOT NULL DEFAULT 'supervisor', correlation_id TEXT NOT NULL
) STRICT;;
CREATE INDEX jobs_by_state ON jobs(state);;
CREATE INDEX jobs_by_project ON jobs(project, id);;
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, project TEXT NOT NULL REFERENCES projects(name),
    dataset_id INTEGER NOT NULL REFERENCES datasets(id), job_id INTEGER REFERENCES jobs(id),
    definition_sha TEXT NOT NULL, settings TEXT NOT NULL, started_by TEXT NOT NULL, started_at TEXT NOT NULL,
    finished_at TEXT NOT NULL, choice TEXT, environment TEXT NOT NULL
) STRICT;;
CREATE UNIQUE INDEX runs_one_per_job ON runs(job_id) WHERE job_id IS NOT NULL;;
CREATE INDEX runs_by_project ON runs(project, id);;
CREATE TABLE candidates (
    id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL REFERENCES runs(id), name TEXT NOT NULL, params TEXT NOT NULL,
    summary TEXT NOT NULL, detail TEXT NOT NULL, artifact TEXT, sha256 TEXT, hmac TEXT, error TEXT,
    UNIQUE (run_id, name)
) STRICT;;
""",
    )


@acts()
def m005_registry(db: Database) -> None:
    allowed = " OR ".join(f"(old.stage='{a}' AND new.stage='{b}')" for a, b in TRANSITIONS)
    stages = ",".join(f"'{s}'" for s in STAGES)
    run_script(
        db,
        f"""
CREATE TABLE versions (
    id INTEGER PRIMARY KEY, project TEXT NOT NULL REFERENCES projects(name), version TEXT NOT NULL,
    candidate_id INTEGER NOT NULL REFERENCES candidates(id), dataset_id INTEGER NOT NULL REFERENCES datasets(id),
    definition_sha TEXT NOT NULL, stage TEXT NOT NULL CHECK (stage IN ({stages})), stage_reason TEXT NOT NULL DEFAULT '',
    threshold REAL, sha256 TEXT NOT NULL, trained_by TEXT NOT NULL, registered_by TEXT NOT NULL,
    registered_at TEXT NOT NULL, summary TEXT NOT NULL, notes TEXT NOT NULL DEFAULT '',
    UNIQUE (project, version)
) STRICT;;
CREATE UNIQUE INDEX one_production_version_per_project ON versions(project) WHERE stage = 'production';;
CREATE TRIGGER versions_follow_the_stages BEFORE UPDATE OF stage ON versions
WHEN old.stage <> new.stage AND NOT ({allowed})
BEGIN SELECT RAISE(ABORT, 'this change of stage is not allowed'); END;;
CREATE TRIGGER versions_keep_what_was_approved BEFORE UPDATE OF sha256, project, version, threshold, candidate_id ON versions
WHEN old.sha256 <> new.sha256 OR old.project <> new.project OR old.version <> new.version
     OR old.threshold IS NOT new.threshold OR old.candidate_id <> new.candidate_id
BEGIN SELECT RAISE(ABORT, 'a registered version does not change'); END;;
CREATE TABLE requests (
    id INTEGER PRIMARY KEY, project TEXT NOT NULL REFERENCES projects(name), kind TEXT NOT NULL,
    version_id INTEGER NOT NULL REFERENCES versions(id), artifact_sha256 TEXT NOT NULL, threshold REAL,
    definition_sha TEXT NOT NULL, evidence TEXT NOT NULL, live_version_id INTEGER REFERENCES versions(id),
    requested_by TEXT NOT NULL, reason TEXT NOT NULL, requested_at TEXT NOT NULL, expires_at TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending','approved','rejected','withdrawn','expired','lapsed','used')),
    decided_by TEXT, decided_at TEXT, decision_reason TEXT, despite_gates INTEGER NOT NULL DEFAULT 0,
    lapses_at TEXT, used_at TEXT
) STRICT;;
CREATE UNIQUE INDEX one_open_request_per_version ON requests(version_id) WHERE state IN ('pending','approved');;
CREATE INDEX requests_by_project ON requests(project, id);;
CREATE TABLE deployments (
    id INTEGER PRIMARY KEY, project TEXT NOT NULL REFERENCES projects(name),
    version_id INTEGER NOT NULL REFERENCES versions(id), kind TEXT NOT NULL CHECK (kind IN ('deploy','rollback')),
    live_from TEXT NOT NULL, live_until TEXT, deployed_by TEXT NOT NULL, ended_by TEXT,
    request_id INTEGER REFERENCES requests(id), reason TEXT NOT NULL
) STRICT;;
CREATE UNIQUE INDEX one_live_deployment_per_project ON deployments(project) WHERE live_until IS NULL;;
""",
    )


@acts()
def m006_watching(db: Database) -> None:
    run_script(
        db,
        """
CREATE TABLE profiles (
    version_id INTEGER PRIMARY KEY REFERENCES versions(id), bins TEXT NOT NULL, reference TEXT NOT NULL
) STRICT;;
CREATE TABLE drift_checks (
    id INTEGER PRIMARY KEY, project TEXT NOT NULL REFERENCES projects(name),
    version_id INTEGER REFERENCES versions(id), at TEXT NOT NULL, by TEXT NOT NULL, reference TEXT NOT NULL,
    current TEXT NOT NULL, overall REAL, band TEXT NOT NULL, result TEXT NOT NULL, alert TEXT NOT NULL,
    quality TEXT, evidently TEXT, evidently_error TEXT, report TEXT, job_id INTEGER REFERENCES jobs(id)
) STRICT;;
CREATE INDEX drift_checks_by_project ON drift_checks(project, id);;
CREATE TABLE clock_checks (
    id INTEGER PRIMARY KEY, project TEXT NOT NULL REFERENCES projects(name), at TEXT NOT NULL,
    next_at TEXT NOT NULL, due INTEGER NOT NULL, answer TEXT NOT NULL
) STRICT;;
CREATE INDEX clock_checks_by_project ON clock_checks(project, id);;
""",
    )


@acts()
def m007_programs(db: Database) -> None:
    run_script(
        db,
        """
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY, account TEXT NOT NULL REFERENCES accounts(name), secret_hash TEXT NOT NULL UNIQUE,
    scopes TEXT NOT NULL, projects TEXT NOT NULL, addresses TEXT NOT NULL, per_minute INTEGER NOT NULL,
    created_at TEXT NOT NULL, created_by TEXT NOT NULL, expires_at TEXT, last_used_at TEXT,
    revoked_at TEXT, revoked_by TEXT
) STRICT;;
CREATE INDEX api_keys_by_account ON api_keys(account);;
""",
    )


@acts()
def m008_alerts_and_settings(db: Database) -> None:
    run_script(
        db,
        """
CREATE TABLE alerts (
    id INTEGER PRIMARY KEY, project TEXT NOT NULL REFERENCES projects(name), kind TEXT NOT NULL, subject TEXT NOT NULL,
    severity TEXT NOT NULL CHECK (severity IN ('warning','critical')),
    state TEXT NOT NULL CHECK (state IN ('active','acknowledged','resolved')),
    value REAL, threshold REAL, unit TEXT NOT NULL, sentence TEXT NOT NULL, detail TEXT NOT NULL, version TEXT,
    since TEXT NOT NULL, last_seen_at TEXT NOT NULL, times INTEGER NOT NULL DEFAULT 1,
    acknowledged_at TEXT, acknowledged_by TEXT, resolved_at TEXT, resolved_by TEXT, correlation_id TEXT NOT NULL
) STRICT;;
CREATE UNIQUE INDEX one_open_alert ON alerts(project, kind, subject) WHERE state <> 'resolved';;
CREATE INDEX alerts_by_project ON alerts(project, id);;
CREATE TABLE project_settings (
    project TEXT NOT NULL REFERENCES projects(name), name TEXT NOT NULL, value TEXT NOT NULL,
    at TEXT NOT NULL, by TEXT NOT NULL, request_id INTEGER, PRIMARY KEY (project, name)
) STRICT;;
CREATE TABLE setting_requests (
    id INTEGER PRIMARY KEY, project TEXT NOT NULL REFERENCES projects(name), changes TEXT NOT NULL,
    requested_by TEXT NOT NULL, reason TEXT NOT NULL, requested_at TEXT NOT NULL, expires_at TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending','approved','rejected','withdrawn','expired')),
    decided_by TEXT, decided_at TEXT, decision_reason TEXT
) STRICT;;
CREATE INDEX setting_requests_by_project ON setting_requests(project, id);;
CREATE TABLE monitor_checks (
    id INTEGER PRIMARY KEY, project TEXT NOT NULL REFERENCES projects(name), kind TEXT NOT NULL, at TEXT NOT NULL,
    next_at TEXT NOT NULL, answer TEXT NOT NULL
) STRICT;;
CREATE INDEX monitor_checks_by_project ON monitor_checks(project, kind, id);;
""",
    )


@acts()
def m009_schedules(db: Database) -> None:
    # one row per slot: the key is what makes a slot run once, however many processes look at it
    run_script(
        db,
        """
CREATE TABLE schedules (
    id INTEGER PRIMARY KEY, project TEXT NOT NULL, kind TEXT NOT NULL, rule TEXT NOT NULL, params TEXT NOT NULL,
    paused INTEGER NOT NULL DEFAULT 0, next_at TEXT, created_at TEXT NOT NULL, created_by TEXT NOT NULL,
    changed_at TEXT NOT NULL, changed_by TEXT NOT NULL, removed_at TEXT
) STRICT;;
CREATE UNIQUE INDEX one_schedule_per_kind ON schedules(project, kind) WHERE removed_at IS NULL;;
CREATE TABLE slots (
    schedule_id INTEGER NOT NULL REFERENCES schedules(id), slot_at TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running','done','failed','missed','skipped')),
    trigger TEXT NOT NULL, owner TEXT NOT NULL, started_at TEXT NOT NULL, heartbeat_at TEXT, finished_at TEXT,
    outcome TEXT NOT NULL, correlation_id TEXT NOT NULL, PRIMARY KEY (schedule_id, slot_at)
) STRICT, WITHOUT ROWID;;
""",
    )


@acts()
def m010_retrainings(db: Database) -> None:
    run_script(
        db,
        """
CREATE TABLE retrainings (
    id INTEGER PRIMARY KEY, project TEXT NOT NULL REFERENCES projects(name), trigger TEXT NOT NULL, reason TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open','done','failed','cancelled')), outcome TEXT, params TEXT NOT NULL,
    steps TEXT NOT NULL, job_id INTEGER REFERENCES jobs(id), version TEXT, live_version TEXT,
    request_id INTEGER REFERENCES requests(id), report_id INTEGER, started_by TEXT NOT NULL, started_at TEXT NOT NULL,
    finished_at TEXT, correlation_id TEXT NOT NULL
) STRICT;;
CREATE UNIQUE INDEX one_open_retraining ON retrainings(project) WHERE state = 'open';;
CREATE INDEX retrainings_by_project ON retrainings(project, id);;
""",
    )


@acts()
def m011_agent(db: Database) -> None:
    run_script(
        db,
        """
CREATE TABLE incidents (
    id INTEGER PRIMARY KEY, project TEXT NOT NULL REFERENCES projects(name), kind TEXT NOT NULL, cause TEXT NOT NULL,
    severity REAL NOT NULL, state TEXT NOT NULL CHECK (state IN ('open','waiting','watching','closed','escalated')),
    diagnosis TEXT NOT NULL, opened_at TEXT NOT NULL, last_seen_at TEXT NOT NULL, closed_at TEXT, outcome TEXT NOT NULL,
    correlation_id TEXT NOT NULL
) STRICT;;
CREATE UNIQUE INDEX one_open_incident_per_cause ON incidents(project, cause) WHERE closed_at IS NULL;;
CREATE INDEX incidents_by_project ON incidents(project, id);;
CREATE TABLE incident_alerts (
    alert_id INTEGER PRIMARY KEY REFERENCES alerts(id), incident_id INTEGER NOT NULL REFERENCES incidents(id)
) STRICT;;
CREATE INDEX incident_alerts_by_incident ON incident_alerts(incident_id);;
CREATE TABLE incident_events (
    id INTEGER PRIMARY KEY, incident_id INTEGER NOT NULL REFERENCES incidents(id), at TEXT NOT NULL, kind TEXT NOT NULL,
    action TEXT NOT NULL, status TEXT NOT NULL, approver TEXT NOT NULL, sentence TEXT NOT NULL, detail TEXT NOT NULL
) STRICT;;
CREATE INDEX incident_events_by_incident ON incident_events(incident_id, id);;
CREATE INDEX incident_events_by_time ON incident_events(at);;
CREATE TABLE agent_requests (
    id INTEGER PRIMARY KEY, project TEXT NOT NULL REFERENCES projects(name), incident_id INTEGER NOT NULL REFERENCES incidents(id),
    action TEXT NOT NULL, params TEXT NOT NULL, reason TEXT NOT NULL, risk TEXT NOT NULL, impact TEXT NOT NULL,
    if_nobody TEXT NOT NULL, evidence TEXT NOT NULL, requested_by TEXT NOT NULL, requested_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending','approved','rejected','withdrawn','expired','lapsed','used')),
    decided_by TEXT, decided_at TEXT, decision_reason TEXT, used_at TEXT, outcome TEXT NOT NULL
) STRICT;;
CREATE UNIQUE INDEX one_open_agent_request ON agent_requests(incident_id, action) WHERE state IN ('pending','approved');;
CREATE INDEX agent_requests_by_project ON agent_requests(project, id);;
""",
    )


@acts()
def m012_notifications(db: Database) -> None:
    run_script(
        db,
        """
CREATE TABLE channels (
    name TEXT PRIMARY KEY, kind TEXT NOT NULL CHECK (kind IN ('mail','slack','webhook')), settings TEXT NOT NULL,
    active INTEGER NOT NULL DEFAULT 1, changed_at TEXT NOT NULL, changed_by TEXT NOT NULL
) STRICT;;
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY, event TEXT NOT NULL, project TEXT NOT NULL, channel TEXT NOT NULL, recipient TEXT NOT NULL,
    message TEXT NOT NULL, state TEXT NOT NULL CHECK (state IN ('queued','sending','sent','failed','skipped')),
    attempts INTEGER NOT NULL DEFAULT 0, next_at TEXT, created_at TEXT NOT NULL, sent_at TEXT, error TEXT NOT NULL,
    correlation_id TEXT NOT NULL
) STRICT;;
CREATE INDEX deliveries_by_state ON deliveries(state, next_at);;
""",
    )


@acts()
def m013_reports(db: Database) -> None:
    run_script(
        db,
        """
CREATE TABLE reports (
    id INTEGER PRIMARY KEY, project TEXT NOT NULL, kind TEXT NOT NULL, title TEXT NOT NULL, subject TEXT NOT NULL,
    since TEXT, until TEXT, made_at TEXT NOT NULL, made_by TEXT NOT NULL, html_sha256 TEXT NOT NULL, pdf_sha256 TEXT,
    bytes INTEGER NOT NULL, audit_count INTEGER NOT NULL, audit_head TEXT NOT NULL, correlation_id TEXT NOT NULL
) STRICT;;
CREATE INDEX reports_by_project ON reports(project, id);;
""",
    )


@acts()
def m009_retention(db: Database) -> None:
    # project is '' for what belongs to the whole installation; what is not listed is kept for ever
    run_script(
        db,
        """
CREATE TABLE retention (
    project TEXT NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('predictions','requests','logs')),
    days INTEGER NOT NULL CHECK (days >= 1), at TEXT NOT NULL, by TEXT NOT NULL, enforced_at TEXT,
    PRIMARY KEY (project, kind)
) STRICT, WITHOUT ROWID;;
CREATE TABLE purges (
    project TEXT PRIMARY KEY REFERENCES projects(name), before TEXT NOT NULL, by TEXT NOT NULL, correlation_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;;
CREATE TABLE purged_datasets (
    dataset_id INTEGER PRIMARY KEY REFERENCES datasets(id), at TEXT NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL
) STRICT;;
""",
    )


@acts()
def m014_addresses_and_deliveries(db: Database) -> None:
    # the index counts what one recipient was sent of one event, so that a flood is held back
    run_script(
        db,
        """
ALTER TABLE accounts ADD COLUMN email TEXT;;
CREATE INDEX deliveries_by_event ON deliveries(event, channel, recipient, created_at);;
""",
    )


@acts()
def m015_story_of_a_request(db: Database) -> None:
    # what is decided about a request, and its deployment, belong to the story in which it was filed
    run_script(db, "ALTER TABLE requests ADD COLUMN correlation_id TEXT NOT NULL DEFAULT '';;")


@acts()
def m016_joins(db: Database) -> None:
    # beside the definition, not in it: where data come from does not change what a version was trained as
    run_script(
        db,
        """
CREATE TABLE joins (
    id INTEGER PRIMARY KEY, project TEXT NOT NULL REFERENCES projects(name),
    kind TEXT NOT NULL CHECK (kind IN ('database','expectations')), value TEXT, at TEXT NOT NULL, by TEXT NOT NULL
) STRICT;;
CREATE INDEX joins_newest ON joins(project, kind, id);;
""",
    )


@acts()
def m020_suite_checks_and_pushes(db: Database) -> None:
    # what a suite found in a dataset version is found once: the version's bytes, the suite and the definition never change
    run_script(
        db,
        """
CREATE TABLE suite_checks (
    dataset_id INTEGER NOT NULL REFERENCES datasets(id), suite_sha TEXT NOT NULL, suite TEXT NOT NULL, library TEXT NOT NULL,
    findings TEXT NOT NULL, at TEXT NOT NULL, by TEXT NOT NULL, PRIMARY KEY (dataset_id, suite_sha)
) STRICT, WITHOUT ROWID;;
CREATE TABLE pushes (
    id INTEGER PRIMARY KEY, dataset_id INTEGER NOT NULL REFERENCES datasets(id), remote TEXT NOT NULL, md5 TEXT NOT NULL,
    size INTEGER NOT NULL, path TEXT NOT NULL, at TEXT NOT NULL, by TEXT NOT NULL, UNIQUE (dataset_id, remote)
) STRICT;;
""",
    )


@acts()
def m019_mirror(db: Database) -> None:
    # derived from everything else: what a tracking server has been given, so that only the difference is sent.
    # target is the server without credentials: another server is given everything anew
    run_script(
        db,
        """
CREATE TABLE mirrored (
    target TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('run','candidate','version','aliases','series','quality','drift')),
    item TEXT NOT NULL, remote TEXT NOT NULL, state TEXT NOT NULL, revision INTEGER NOT NULL, at TEXT NOT NULL,
    PRIMARY KEY (target, kind, item)
) STRICT, WITHOUT ROWID;;
CREATE TABLE mirror_places (
    target TEXT NOT NULL, project TEXT NOT NULL, traffic_until TEXT NOT NULL DEFAULT '',
    labels_until TEXT NOT NULL DEFAULT '', labels INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (target, project)
) STRICT, WITHOUT ROWID;;
CREATE TABLE mirror_rounds (
    target TEXT PRIMARY KEY, ended_at TEXT NOT NULL, success_at TEXT, error TEXT NOT NULL, failures INTEGER NOT NULL, next_at TEXT
) STRICT, WITHOUT ROWID;;
""",
    )


@acts()
def m022_identities(db: Database) -> None:
    # whose account is whose at an identity provider; a name or an address there may change hands, issuer and subject may not
    run_script(
        db,
        """
CREATE TABLE identities (
    issuer TEXT NOT NULL, subject TEXT NOT NULL, account TEXT NOT NULL UNIQUE REFERENCES accounts(name), at TEXT NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;;
CREATE TABLE identity_uses (token_hash TEXT PRIMARY KEY, at TEXT NOT NULL) STRICT, WITHOUT ROWID;;
""",
    )


@acts()
def m023_orders(db: Database) -> None:
    # acts whose work lies in the prediction log: the row goes when the end is audited, so that a kill between leaves it behind
    run_script(
        db,
        """
CREATE TABLE orders (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, project TEXT NOT NULL, actor TEXT NOT NULL, via TEXT NOT NULL, subject TEXT NOT NULL,
    at TEXT NOT NULL, beat TEXT NOT NULL, correlation_id TEXT NOT NULL, key TEXT NOT NULL, facts TEXT NOT NULL
) STRICT, WITHOUT ROWID;;
""",
    )
