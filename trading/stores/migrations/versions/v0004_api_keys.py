"""Nonces and rate counters of API keys, shared by all processes and machines; before, files of one machine."""

from alembic import op

revision = "0004"
down_revision = "0003"

# `key` is a fingerprint, never the key. Few rows that change often: room for updates on the same page.
API_KEYS = """
CREATE TABLE api_key_nonces (
    key text PRIMARY KEY,
    nonce bigint NOT NULL -- the last one that was given out
) WITH (fillfactor = 50);
CREATE TABLE api_key_counters (
    key text NOT NULL,
    counter text NOT NULL,
    level double precision NOT NULL CHECK (level >= 0 AND level < 'infinity'),
    at timestamptz NOT NULL, -- when it stood at `level`, by the clock of the database
    PRIMARY KEY (key, counter)
) WITH (fillfactor = 50);
"""


def upgrade() -> None:
    op.execute(API_KEYS)
