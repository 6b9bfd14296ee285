-- A ledger as version 2 of its schema left it: killed with one attempt in flight.
PRAGMA user_version = 2;
BEGIN TRANSACTION;
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
INSERT INTO "accounts" VALUES('','',100000000000000,9870000000,4230000000,488280000000,0,0,'day',1795478400000000,2);
INSERT INTO "accounts" VALUES('old','a-1',2000000000000,8670000000,4230000000,0,0,0,'lifetime',0,1);
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
  settled_us INTEGER, agent TEXT NOT NULL DEFAULT '', exposed INTEGER NOT NULL DEFAULT 0, uncertain INTEGER NOT NULL DEFAULT 0, seq INTEGER,
  PRIMARY KEY (run_id, request_id, attempt)
) STRICT, WITHOUT ROWID;
INSERT INTO "attempts" VALUES('free','req-4',1,'01a20fc7-0b34-7334-9048-8340d88929d1','3d20c2dead42023858d5fffb51b3eb85f3145f0a32122c0bfcd81b22b9ba8bcf','posted',488610000000,1200000000,NULL,1795561032500135,1795561032502512,'a-1',0,0,1);
INSERT INTO "attempts" VALUES('old','req-1',1,'01a20fc7-0b18-705a-8f46-3d47484e2b91','45d44fe1ff3f226575c00a4d88fb5b01fe4455a050737f9b3dc86519e3e48bb0','posted',488520000000,1410000000,NULL,1795561032472971,1795561032475446,'a-1',0,0,1);
INSERT INTO "attempts" VALUES('old','req-2',1,'01a20fc7-0b27-74d7-b5a6-73ab9ad7a3fd','ad2cee8c832d8b2309a46447d2db23587a1b987295ce895da16f5f5058823a39','unknown',488280000000,488280000000,NULL,1795561032487173,1795561032489110,'a-2',0,0,2);
INSERT INTO "attempts" VALUES('old','req-3',1,'01a20fc7-0b2b-717e-b43d-320118024475','a907052575a8a810a2ca8ad7186479fbbdead819e1f398507271e4773c55e62c','posted',7260000000,7260000000,NULL,1795561032491594,1795561032494766,'a-1',0,0,3);
INSERT INTO "attempts" VALUES('old','req-5',1,'01a20fc7-0b39-740f-979f-f77b38fa0e44','76ca6535c4a7a5a639a82e3de6e112d07c78b35eee2833184f494b90c78f4450','pending',4230000000,0,'{"request_id":"req-5","run_id":"old","agent":"a-1","timestamp":"2026-11-24T22:57:12.505910Z","provider":"only","model":"gpt-4","input_tokens":131,"output_tokens":5,"cost_usd":0.00423,"latency_ms":0,"status":"unknown","attempt":1,"attempt_id":"01a20fc7-0b39-740f-979f-f77b38fa0e44","seq":0,"usage":{"input_uncached":131,"output_visible":5},"usage_source":"bound","cost_is":"hold","cost":{"input":0,"output":0,"hold":0.00423},"held_usd":0.00423,"cap":5,"cap_source":"caller","price_id":"pc-1b6129a2b2f85b7a","decision":{"objective":"cost","why":"cost: cheapest eligible","cheapest_usd":0.00093,"candidates":1},"prev":""}',1795561032505983,NULL,'a-1',0,0,NULL);
CREATE TABLE audit (
  id      INTEGER PRIMARY KEY,
  at_us   INTEGER NOT NULL,
  action  TEXT NOT NULL,
  subject TEXT NOT NULL,
  before  TEXT,
  after   TEXT,
  note    TEXT
) STRICT;
INSERT INTO "audit" VALUES(1,1795561032460593,'budget','top',NULL,'9',NULL);
INSERT INTO "audit" VALUES(2,1795561032463849,'budget','old',NULL,'5','a child');
INSERT INTO "audit" VALUES(3,1795561032466922,'budget','old/a-1',NULL,'2',NULL);
INSERT INTO "audit" VALUES(4,1795561032469278,'budget','fleet',NULL,'100',NULL);
INSERT INTO "audit" VALUES(5,1795561032471015,'budget','old','5','4','less');
INSERT INTO "audit" VALUES(6,1795561032477922,'pause','top','open','paused','wait');
INSERT INTO "audit" VALUES(7,1795561032484406,'resume','top','paused','open','go');
CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "meta" VALUES('commits',17);
INSERT INTO "meta" VALUES('day',1795478400000000);
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
INSERT INTO "receipts" VALUES(1,'old',1,1795561032475446,1410000000,'{"request_id":"req-1","run_id":"old","agent":"a-1","timestamp":"2026-11-24T22:57:12.475446Z","provider":"only","model":"gpt-4","input_tokens":5,"output_tokens":21,"cost_usd":0.00141,"latency_ms":1,"status":"success","attempt":1,"attempt_id":"01a20fc7-0b18-705a-8f46-3d47484e2b91","seq":1,"usage":{"input_uncached":5,"output_visible":21},"usage_source":"reported","cost_is":"exact","cost":{"input":0.00015,"output":0.00126},"held_usd":0.48852,"cap":8092,"cap_source":"gateway","price_id":"pc-1b6129a2b2f85b7a","decision":{"objective":"cost","why":"cost: cheapest eligible","cheapest_usd":0.01575,"candidates":1},"prev":"","hash":"0e6cb4fbf61bd81af33c0eabeeae272d7d15cb355c8deb4fb6bee3ba9845d058"}');
INSERT INTO "receipts" VALUES(2,'old',2,1795561032489110,488280000000,'{"request_id":"req-2","run_id":"old","agent":"a-2","timestamp":"2026-11-24T22:57:12.489110Z","provider":"only","model":"gpt-4","input_tokens":108,"output_tokens":8084,"cost_usd":0.48828,"latency_ms":1,"status":"unknown","attempt":1,"attempt_id":"01a20fc7-0b27-74d7-b5a6-73ab9ad7a3fd","seq":2,"usage":{"input_uncached":108,"output_visible":8084},"usage_source":"bound","cost_is":"hold","cost":{"input":0,"output":0,"hold":0.48828},"held_usd":0.48828,"cap":8084,"cap_source":"gateway","price_id":"pc-1b6129a2b2f85b7a","error":"broken","decision":{"objective":"cost","why":"cost: cheapest eligible","cheapest_usd":0.01581,"candidates":1},"prev":"0e6cb4fbf61bd81af33c0eabeeae272d7d15cb355c8deb4fb6bee3ba9845d058","hash":"37804df0589db70e52519eadf2404f1f090d3b203c0a87f3a4b7b59e4795c89b"}');
INSERT INTO "receipts" VALUES(3,'old',3,1795561032494766,7260000000,'{"request_id":"req-3","run_id":"old","agent":"a-1","timestamp":"2026-11-24T22:57:12.494766Z","provider":"only","model":"gpt-4","input_tokens":142,"output_tokens":50,"cost_usd":0.00726,"latency_ms":2,"status":"cut_off","attempt":1,"attempt_id":"01a20fc7-0b2b-717e-b43d-320118024475","seq":3,"usage":{"input_uncached":142,"output_visible":50},"usage_source":"counted","cost_is":"estimate","cost":{"input":0.00426,"output":0.003},"held_usd":0.00726,"cap":50,"cap_source":"caller","price_id":"pc-1b6129a2b2f85b7a","ttft_ms":1,"error":"broken","decision":{"objective":"cost","why":"cost: cheapest eligible","cheapest_usd":0.00372,"candidates":1},"prev":"37804df0589db70e52519eadf2404f1f090d3b203c0a87f3a4b7b59e4795c89b","hash":"35d825fafe3acb5209a24f14564ed287ec8656f7179561dc9b1d191f28cfcb62"}');
INSERT INTO "receipts" VALUES(4,'free',1,1795561032502512,1200000000,'{"request_id":"req-4","run_id":"free","agent":"a-1","timestamp":"2026-11-24T22:57:12.502512Z","provider":"only","model":"gpt-4","input_tokens":4,"output_tokens":18,"cost_usd":0.0012,"latency_ms":1,"status":"success","attempt":1,"attempt_id":"01a20fc7-0b34-7334-9048-8340d88929d1","seq":1,"usage":{"input_uncached":4,"output_visible":18},"usage_source":"reported","cost_is":"exact","cost":{"input":0.00012,"output":0.00108},"held_usd":0.48861,"cap":8095,"cap_source":"gateway","price_id":"pc-1b6129a2b2f85b7a","decision":{"objective":"cost","why":"cost: cheapest eligible","cheapest_usd":0.01575,"candidates":1},"prev":"","hash":"603f08c2338a8621c330e3ebc98eee59b8e84cbb0cefd5d3d1aa0c6d22d5a4bf"}');
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
, parent TEXT, period TEXT NOT NULL DEFAULT 'lifetime', period_us INTEGER NOT NULL DEFAULT 0, exposed INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
INSERT INTO "runs" VALUES('free','open','clamp',1,NULL,1200000000,0,0,0,6750000000,1,1,'603f08c2338a8621c330e3ebc98eee59b8e84cbb0cefd5d3d1aa0c6d22d5a4bf',1795561032500135,1795561032502512,NULL,'lifetime',0,0);
INSERT INTO "runs" VALUES('old','open','clamp',2,4000000000000,8670000000,4230000000,488280000000,0,4230000000,3,3,'35d825fafe3acb5209a24f14564ed287ec8656f7179561dc9b1d191f28cfcb62',1795561032463849,1795561032505983,'top','lifetime',0,0);
INSERT INTO "runs" VALUES('top','open','clamp',3,9000000000000,8670000000,4230000000,488280000000,0,0,0,0,'',1795561032460593,1795561032460593,NULL,'lifetime',0,0);
CREATE INDEX attempts_pending ON attempts (attempt_id) WHERE state = 'pending';
CREATE INDEX attempts_unknown ON attempts (attempt_id) WHERE state = 'unknown';
COMMIT;
