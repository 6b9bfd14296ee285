-- Version 1 of the registry. Nothing is deleted: a removed provider is inactive.
CREATE TABLE IF NOT EXISTS providers (
  name          TEXT PRIMARY KEY,
  registration  TEXT NOT NULL,
  active        INTEGER NOT NULL,
  version       INTEGER NOT NULL,
  registered_us INTEGER NOT NULL,
  updated_us    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
