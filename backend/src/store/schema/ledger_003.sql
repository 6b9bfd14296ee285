-- Version 3: whose hand changed what, what people call runs, alerts with what was said about them,
-- and the answers that changes got. Append-only, like every version: a change is a new file.
ALTER TABLE audit ADD COLUMN who TEXT NOT NULL DEFAULT 'local';

CREATE TABLE names (
  run_id TEXT PRIMARY KEY,
  name   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- `alert` is its JSON, as the wire has it. Those that hold have one row each; of those that do not,
-- the latest are kept.
CREATE TABLE alerts (
  serial INTEGER PRIMARY KEY,
  id     TEXT NOT NULL,
  holds  INTEGER NOT NULL,
  alert  TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX alerts_holding ON alerts (id) WHERE holds = 1;

-- A key is written with the change that it belongs to; its answer follows, and may be missing after
-- a crash.
CREATE TABLE answers (
  key         TEXT PRIMARY KEY,
  fingerprint TEXT NOT NULL,
  at_us       INTEGER NOT NULL,
  status      INTEGER,
  body        TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX answers_by_age ON answers (at_us);
