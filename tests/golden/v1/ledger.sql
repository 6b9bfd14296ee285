-- A ledger as version 1 of its schema left it: killed with one attempt in flight.
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE agents (
  run_id TEXT NOT NULL,
  agent  TEXT NOT NULL,
  PRIMARY KEY (run_id, agent)
) STRICT, WITHOUT ROWID;
INSERT INTO "agents" VALUES('free','a-1');
INSERT INTO "agents" VALUES('old','a-1');
INSERT INTO "agents" VALUES('old','a-2');
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
INSERT INTO "attempts" VALUES('free','req-4',1,'01a20f0c-ca5d-77c4-9385-7e2a35e494f2','5d631448bcae02640d47d045f6bf544761f943c120b0db228021c44d5c6b0d4d','posted',488550000000,1590000000,NULL,1795548826205105,1795548826207521);
INSERT INTO "attempts" VALUES('old','req-1',1,'01a20f0c-ca18-7320-b7b3-f03e6aaf183c','2583c5911b15509972612d1e9d1f6a0f6c75cf45275bebac6a923e890446d51a','posted',488370000000,1410000000,NULL,1795548826138323,1795548826144823);
INSERT INTO "attempts" VALUES('old','req-2',1,'01a20f0c-ca3f-758a-b049-4eb69160f489','633638fe3e84f1f8b43067a82178791f832e311b96a1910a16be45169d691f56','unknown',488010000000,488010000000,NULL,1795548826175133,1795548826179069);
INSERT INTO "attempts" VALUES('old','req-3',1,'01a20f0c-ca4e-7199-b9be-6ea593d1a2d2','0ac8bdb2205909d49658f8da5d5918cd256b9167522f67f08c706d4ff9cc1daa','posted',487650000000,14850000000,NULL,1795548826190115,1795548826194967);
INSERT INTO "attempts" VALUES('old','req-5',1,'01a20f0c-ca74-7753-adb4-352afffa2a0b','4ebae07576dd86a829c69b9d832139a41a8ebe705a0ab7366c3bf278bafee4c2','pending',488190000000,0,'{"request_id":"req-5","run_id":"old","agent":"a-1","timestamp":"2026-11-24T19:33:46.228630Z","provider":"only","model":"gpt-4","input_tokens":111,"output_tokens":8081,"cost_usd":0.48819,"latency_ms":0,"status":"unknown","attempt":1,"attempt_id":"01a20f0c-ca74-7753-adb4-352afffa2a0b","seq":0,"usage":{"input_uncached":111,"output_visible":8081},"usage_source":"bound","cost_is":"hold","cost":{"input":0,"output":0,"hold":0.48819},"held_usd":0.48819,"cap":8081,"cap_source":"gateway","price_id":"pc-1b6129a2b2f85b7a","decision":{"objective":"cost","why":"cost: cheapest eligible","cheapest_usd":0.01584,"candidates":1},"prev":""}',1795548826228674,NULL);
CREATE TABLE audit (
  id      INTEGER PRIMARY KEY,
  at_us   INTEGER NOT NULL,
  action  TEXT NOT NULL,
  subject TEXT NOT NULL,
  before  TEXT,
  after   TEXT,
  note    TEXT
) STRICT;
INSERT INTO "audit" VALUES(1,1795548826125877,'budget','old',NULL,'5',NULL);
CREATE TABLE price_cards (
  price_id TEXT PRIMARY KEY,
  card     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "price_cards" VALUES('pc-1b6129a2b2f85b7a','{"input":0.00003,"cache_read":0.00003,"cache_write":0.00003,"cache_write_1h":0.00003,"output":0.00006,"reasoning":0.00006,"request_fee":0,"bills_on_4xx":"no","bills_on_5xx":"maybe","bills_partial":"delivered"}');
CREATE TABLE receipts (
  id     INTEGER PRIMARY KEY,
  run_id TEXT NOT NULL,
  seq    INTEGER NOT NULL,
  at_us  INTEGER NOT NULL,
  cost   INTEGER NOT NULL,
  line   TEXT NOT NULL,
  UNIQUE (run_id, seq)
) STRICT;
INSERT INTO "receipts" VALUES(1,'old',1,1795548826144823,1410000000,'{"request_id":"req-1","run_id":"old","agent":"a-1","timestamp":"2026-11-24T19:33:46.144823Z","provider":"only","model":"gpt-4","input_tokens":7,"output_tokens":20,"cost_usd":0.00141,"latency_ms":2,"status":"success","attempt":1,"attempt_id":"01a20f0c-ca18-7320-b7b3-f03e6aaf183c","seq":1,"usage":{"input_uncached":7,"output_visible":20},"usage_source":"reported","cost_is":"exact","cost":{"input":0.00021,"output":0.0012},"held_usd":0.48837,"cap":8087,"cap_source":"gateway","price_id":"pc-1b6129a2b2f85b7a","decision":{"objective":"cost","why":"cost: cheapest eligible","cheapest_usd":0.01581,"candidates":1},"prev":"","hash":"631f6b53262efd76edabae8e00ff0c18cc9c5b4ff0bca7aa9f6a588725864b4d"}');
INSERT INTO "receipts" VALUES(2,'old',2,1795548826179069,488010000000,'{"request_id":"req-2","run_id":"old","agent":"a-2","timestamp":"2026-11-24T19:33:46.179069Z","provider":"only","model":"gpt-4","input_tokens":117,"output_tokens":8075,"cost_usd":0.48801,"latency_ms":1,"status":"unknown","attempt":1,"attempt_id":"01a20f0c-ca3f-758a-b049-4eb69160f489","seq":2,"usage":{"input_uncached":117,"output_visible":8075},"usage_source":"bound","cost_is":"hold","cost":{"input":0,"output":0,"hold":0.48801},"held_usd":0.48801,"cap":8075,"cap_source":"gateway","price_id":"pc-1b6129a2b2f85b7a","error":"status_500","decision":{"objective":"cost","why":"cost: cheapest eligible","cheapest_usd":0.0159,"candidates":1},"prev":"631f6b53262efd76edabae8e00ff0c18cc9c5b4ff0bca7aa9f6a588725864b4d","hash":"da710ec8e48952b4f2a480a8e1b9ba26474544cac56fc291d578b62cb75e937b"}');
INSERT INTO "receipts" VALUES(3,'old',3,1795548826194967,14850000000,'{"request_id":"req-3","run_id":"old","agent":"a-1","timestamp":"2026-11-24T19:33:46.194967Z","provider":"only","model":"gpt-4","input_tokens":129,"output_tokens":183,"cost_usd":0.01485,"latency_ms":3,"status":"cut_off","attempt":1,"attempt_id":"01a20f0c-ca4e-7199-b9be-6ea593d1a2d2","seq":3,"usage":{"input_uncached":129,"output_visible":183},"usage_source":"counted","cost_is":"estimate","cost":{"input":0.00387,"output":0.01098},"held_usd":0.48765,"cap":8063,"cap_source":"gateway","price_id":"pc-1b6129a2b2f85b7a","ttft_ms":1,"uncertain_usd":0.4728,"error":"broken","decision":{"objective":"cost","why":"cost: cheapest eligible","cheapest_usd":0.01599,"candidates":1},"prev":"da710ec8e48952b4f2a480a8e1b9ba26474544cac56fc291d578b62cb75e937b","hash":"7d051aea4a5d64e33e0b6d6d8838f8ab51ad65a52f32d25e5b8d5e9d37729bb2"}');
INSERT INTO "receipts" VALUES(4,'free',1,1795548826207521,1590000000,'{"request_id":"req-4","run_id":"free","agent":"a-1","timestamp":"2026-11-24T19:33:46.207521Z","provider":"only","model":"gpt-4","input_tokens":5,"output_tokens":24,"cost_usd":0.00159,"latency_ms":1,"status":"success","attempt":1,"attempt_id":"01a20f0c-ca5d-77c4-9385-7e2a35e494f2","seq":1,"usage":{"input_uncached":5,"output_visible":24},"usage_source":"reported","cost_is":"exact","cost":{"input":0.00015,"output":0.00144},"held_usd":0.48855,"cap_source":"none","price_id":"pc-1b6129a2b2f85b7a","decision":{"objective":"cost","why":"cost: cheapest eligible","cheapest_usd":0.01575,"candidates":1},"prev":"","hash":"aa2632437bf9c6767b49b68b1b8d069a161fe81b1c4d9769401433a84644092a"}');
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
INSERT INTO "runs" VALUES('free','open','clamp',1,NULL,1590000000,0,0,0,6810000000,1,1,'aa2632437bf9c6767b49b68b1b8d069a161fe81b1c4d9769401433a84644092a',1795548826205105,1795548826207521);
INSERT INTO "runs" VALUES('old','open','clamp',1,5000000000000,16260000000,488190000000,488010000000,472800000000,7170000000,3,3,'7d051aea4a5d64e33e0b6d6d8838f8ab51ad65a52f32d25e5b8d5e9d37729bb2',1795548826125877,1795548826228674);
CREATE INDEX attempts_pending ON attempts (attempt_id) WHERE state = 'pending';
COMMIT;
