-- Version 1 of the ledger. Append-only: a change is a new file. Amounts are whole 1e-12 USD,
-- times are microseconds since 1970 in UTC.
CREATE TABLE runs (
  run_id      TEXT PRIMARY KEY,
  state       TEXT NOT NULL,
  mode        TEXT NOT NULL,
  version     INTEGER NOT NULL,
  limit_picos INTEGER,
  posted      INTEGER NOT NULL,
  pending     INTEGER NOT NULL,
  unknown     INTEGER NOT NULL,
  uncertain   INTEGER NOT NULL,
  smallest    INTEGER NOT NULL,
  requests    INTEGER NOT NULL,
  seq         INTEGER NOT NULL,
  head        TEXT NOT NULL,
  created_us  INTEGER NOT NULL,
  last_us     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE agents (
  run_id TEXT NOT NULL,
  agent  TEXT NOT NULL,
  PRIMARY KEY (run_id, agent)
) STRICT, WITHOUT ROWID;

-- One row an attempt. `draft` is the receipt it would get if nothing more were ever heard of it;
-- it is dropped when the attempt is settled.
CREATE TABLE attempts (
  run_id     TEXT NOT NULL,
  request_id TEXT NOT NULL,
  attempt    INTEGER NOT NULL,
  attempt_id TEXT NOT NULL,
  body_hash  TEXT NOT NULL,
  state      TEXT NOT NULL CHECK (state IN ('pending', 'posted', 'voided', 'unknown')),
  held       INTEGER NOT NULL,
  charged    INTEGER NOT NULL,
  draft      TEXT,
  created_us INTEGER NOT NULL,
  settled_us INTEGER,
  PRIMARY KEY (run_id, request_id, attempt)
) STRICT, WITHOUT ROWID;

CREATE INDEX attempts_pending ON attempts (attempt_id) WHERE state = 'pending';

-- The exact lines, in the order they were committed.
CREATE TABLE receipts (
  id     INTEGER PRIMARY KEY,
  run_id TEXT NOT NULL,
  seq    INTEGER NOT NULL,
  at_us  INTEGER NOT NULL,
  cost   INTEGER NOT NULL,
  line   TEXT NOT NULL,
  UNIQUE (run_id, seq)
) STRICT;

CREATE TABLE price_cards (
  price_id TEXT PRIMARY KEY,
  card     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
  id      INTEGER PRIMARY KEY,
  at_us   INTEGER NOT NULL,
  action  TEXT NOT NULL,
  subject TEXT NOT NULL,
  before  TEXT,
  after   TEXT,
  note    TEXT
) STRICT;
