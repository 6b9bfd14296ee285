-- Version 2: trees of runs, accounts of agents and of the fleet, periods, corrections. Append-only,
-- like every version: a change is a new file.
ALTER TABLE runs ADD COLUMN parent TEXT;
ALTER TABLE runs ADD COLUMN period TEXT NOT NULL DEFAULT 'lifetime';
ALTER TABLE runs ADD COLUMN period_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN exposed INTEGER NOT NULL DEFAULT 0;

ALTER TABLE attempts ADD COLUMN agent TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN exposed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN uncertain INTEGER NOT NULL DEFAULT 0;
-- The place of its receipt in the run's chain.
ALTER TABLE attempts ADD COLUMN seq INTEGER;

-- The receipts of earlier versions know agent, place and what is uncertain: the program reads them
-- (migrate.rs), once, and no amount passes through a float of SQL.
UPDATE attempts SET agent = json_extract(draft, '$.agent') WHERE state = 'pending';

CREATE INDEX attempts_unknown ON attempts (attempt_id) WHERE state = 'unknown';

-- Accounts beside the runs' own: ('', '') is the fleet's, (run, agent) that of an agent with a limit.
CREATE TABLE accounts (
  run_id      TEXT NOT NULL,
  agent       TEXT NOT NULL,
  limit_picos INTEGER,
  posted      INTEGER NOT NULL,
  pending     INTEGER NOT NULL,
  unknown     INTEGER NOT NULL,
  uncertain   INTEGER NOT NULL,
  exposed     INTEGER NOT NULL,
  period      TEXT NOT NULL,
  period_us   INTEGER NOT NULL,
  version     INTEGER NOT NULL,
  PRIMARY KEY (run_id, agent)
) STRICT, WITHOUT ROWID;

-- `commits`: groups committed so far, compared with the high-water mark at start.
CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO meta (key, value) VALUES ('commits', 0);
