-- Version 2 of the registry. Circuits that a person opened until a person closes them.
CREATE TABLE IF NOT EXISTS held_open (
  name     TEXT PRIMARY KEY,
  reason   TEXT NOT NULL,
  since_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
