"""The tables of `ledger.db`.

Whatever grows with the log is keyed by its index and grows at its end: `entry`, `node` (rowid = `merkle.stored_index`), `void`, `version`.
`version` holds every accepted version of every policy with `[from_index, to_index)`; live and latest = no end. `lookup` files live policies
under hashed look-up keys (`state.lookups`) with the same intervals. So the state at any size is a read of these intervals, and a roll-back
an edit of them. `digest` finds statements by the first 64 bits of their digest; it is filled in sorted runs, never row by row.
"""

from __future__ import annotations

from ledger.engine.database import Schema

PLACES = 16  # `version.place` = from_index * PLACES + its number within the entry

LEDGER = Schema(
    application=0x4D4C4544,
    version=1,
    name="ledger",
    advice="Make a network with `ledger-cli create network`, or join one with `ledger-cli join`.",
    statements="""
CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE head(one INTEGER PRIMARY KEY CHECK(one = 0), size INTEGER NOT NULL, root BLOB NOT NULL);
CREATE TABLE entry(idx INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE node(place INTEGER PRIMARY KEY, hash BLOB NOT NULL);
CREATE TABLE checkpoint(size INTEGER PRIMARY KEY, note BLOB NOT NULL);
CREATE TABLE void(idx INTEGER PRIMARY KEY, code TEXT NOT NULL, reason TEXT NOT NULL);
CREATE TABLE version(
  place INTEGER PRIMARY KEY,
  from_index INTEGER NOT NULL,
  to_index INTEGER,
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  live INTEGER NOT NULL,
  digest TEXT NOT NULL,
  first INTEGER NOT NULL,
  owner TEXT NOT NULL,
  by TEXT NOT NULL,
  iat TEXT NOT NULL,
  body TEXT
);
CREATE INDEX version_id ON version(id);
CREATE INDEX version_kind ON version(kind, to_index);
CREATE INDEX version_cluster ON version(json_extract(body, '$.name')) WHERE kind='cluster' AND live AND to_index IS NULL;
CREATE TABLE keyrec(keyid TEXT PRIMARY KEY, id TEXT NOT NULL, idx INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE lookup(
  key BLOB NOT NULL,
  id TEXT NOT NULL,
  from_index INTEGER NOT NULL,
  to_index INTEGER,
  PRIMARY KEY(key, id, from_index)
) WITHOUT ROWID;
CREATE TABLE digest(prefix INTEGER NOT NULL, idx INTEGER NOT NULL, PRIMARY KEY(prefix, idx)) WITHOUT ROWID;
INSERT INTO head(one, size, root) VALUES(0, 0, x'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
""",
)
