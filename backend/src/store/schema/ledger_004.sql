-- Version 4: rows carry a hash of themselves, for SQLite's pages carry none. It is the last column;
-- `seal_of` of all the others in their order. The program seals rows of earlier versions once.
ALTER TABLE runs ADD COLUMN seal INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN seal INTEGER NOT NULL DEFAULT 0;
ALTER TABLE agents ADD COLUMN seal INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN seal INTEGER NOT NULL DEFAULT 0;
ALTER TABLE receipts ADD COLUMN seal INTEGER NOT NULL DEFAULT 0;
ALTER TABLE price_cards ADD COLUMN seal INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audit ADD COLUMN seal INTEGER NOT NULL DEFAULT 0;
ALTER TABLE names ADD COLUMN seal INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meta ADD COLUMN seal INTEGER NOT NULL DEFAULT 0;
