"""The stream's tables: candle revisions, feed gaps, live features, its lease and checkpoints, and consumer groups."""

from alembic import op

revision = "0006"
down_revision = "0005"

MARKET_DATA = """
CREATE TABLE market_data (
    origin text NOT NULL,
    pair text NOT NULL,
    timeframe text NOT NULL,
    open_time timestamptz NOT NULL,
    close_time timestamptz NOT NULL,
    open double precision NOT NULL,
    high double precision NOT NULL,
    low double precision NOT NULL,
    close double precision NOT NULL,
    volume double precision NOT NULL,
    trades integer,
    first_trade_id bigint,
    last_trade_id bigint,
    basis text NOT NULL CHECK (basis IN ('trades', 'venue')),
    known_at timestamptz NOT NULL CHECK (known_at >= close_time),
    PRIMARY KEY (origin, pair, timeframe, open_time, known_at)
);
CREATE VIEW market_restatements AS
SELECT * FROM (
    SELECT *, {before} FROM market_data
    WINDOW candle AS (PARTITION BY origin, pair, timeframe, open_time ORDER BY known_at)
) AS revision WHERE known_at_before IS NOT NULL;
CREATE TABLE market_features (
    origin text NOT NULL,
    pair text NOT NULL,
    timeframe text NOT NULL,
    close_time timestamptz NOT NULL,
    known_at timestamptz NOT NULL,
    regime text,
    "values" json NOT NULL,
    PRIMARY KEY (origin, pair, timeframe, close_time, known_at)
);
""".replace(
    "{before}",
    ", ".join(
        f"lag({name}) OVER candle AS {name}_before"
        for name in (
            "open", "high", "low", "close", "volume", "trades", "first_trade_id", "last_trade_id", "basis", "known_at",
        )
    ),
)  # fmt: skip

MARKET_GAPS = """
CREATE TABLE market_gaps (
    gap_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    origin text NOT NULL,
    pair text NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz,
    after_id bigint,
    before_id bigint,
    kind text NOT NULL CHECK (kind IN ('feed_gap', 'maintenance')),
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'repaired')),
    reason text NOT NULL,
    found_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    last_error text NOT NULL DEFAULT '',
    repaired_at timestamptz,
    UNIQUE NULLS NOT DISTINCT (origin, pair, since, after_id)
);
CREATE INDEX ON market_gaps (origin, state, next_attempt_at);
"""

STREAM = """
CREATE TABLE stream_leases (
    origin text PRIMARY KEY,
    epoch bigint NOT NULL,
    batch bigint NOT NULL DEFAULT 0,
    holder text NOT NULL,
    address text NOT NULL DEFAULT '',
    since timestamptz NOT NULL
);
CREATE TABLE stream_checkpoints (
    origin text NOT NULL,
    pair text NOT NULL,
    settled json NOT NULL,
    recent json NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (origin, pair)
);
"""

BUS = """
CREATE TABLE bus_groups (
    "group" text NOT NULL,
    topic text NOT NULL,
    "offset" bigint NOT NULL,
    holder text NOT NULL DEFAULT '',
    committed_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY ("group", topic)
);
CREATE INDEX ON bus_event (at);
CREATE TABLE bus_replays (
    letter bigint PRIMARY KEY,
    at timestamptz NOT NULL
);
CREATE TABLE bus_relayed (
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    digest bytea NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (topic, partition)
);
"""


def upgrade() -> None:
    for tables in (MARKET_DATA, MARKET_GAPS, STREAM, BUS):
        op.execute(tables)
