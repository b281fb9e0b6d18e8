"""All tables as they were first published.

Receipts, evidence and payloads are `json`, not `jsonb`: jsonb turns -0.0 into 0 and 1e16 into an integer, and the
digests in a receipt are taken of its exact numbers. `json` answers the same -> and ->> questions.
Ids compare by byte (collation C), so that the beginning of an id finds it through the index.
"""

from alembic import op

revision = "0001"
down_revision = None

ACCOUNTS = """
CREATE TABLE accounts (
    account text PRIMARY KEY,
    opened_at timestamptz NOT NULL
);
CREATE TABLE portfolio_snapshots (
    account text NOT NULL,
    day date NOT NULL,
    equity numeric NOT NULL,
    balances json NOT NULL,
    snapshot json NOT NULL,
    PRIMARY KEY (account, day)
);
"""

DECISIONS = """
CREATE TABLE trade_decisions (
    decision_id text COLLATE "C" PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    decided_at timestamptz NOT NULL,
    dataset text NOT NULL,
    account text NOT NULL,
    pair text NOT NULL,
    model text NOT NULL,
    action text NOT NULL,
    confidence double precision NOT NULL,
    position_size numeric,
    entry_price numeric,
    stop_loss numeric,
    take_profit numeric,
    reasoning text NOT NULL,
    raw_response json,
    executed boolean NOT NULL DEFAULT false,
    receipt json NOT NULL
);
CREATE INDEX ON trade_decisions (account, decided_at DESC, number DESC);
CREATE TABLE agent_opinions (
    decision_id text COLLATE "C" NOT NULL REFERENCES trade_decisions,
    number integer NOT NULL,
    agent text NOT NULL,
    model text NOT NULL,
    action text,
    confidence double precision NOT NULL,
    reasoning text NOT NULL,
    evidence json NOT NULL,
    PRIMARY KEY (decision_id, number)
);
CREATE TABLE agent_logs (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    dataset text NOT NULL,
    agent text NOT NULL,
    level text NOT NULL,
    message text NOT NULL,
    details json
);
CREATE INDEX ON agent_logs (dataset, agent, at DESC);
"""

ORDERS = """
CREATE TABLE order_intents (
    intent_id text COLLATE "C" PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    decision_id text COLLATE "C" NOT NULL UNIQUE REFERENCES trade_decisions,
    account text NOT NULL,
    pair text NOT NULL,
    side text NOT NULL CHECK (side IN ('buy', 'sell')),
    quantity numeric NOT NULL CHECK (quantity > 0),
    reduces boolean NOT NULL,
    stop_loss numeric,
    take_profit numeric,
    created_at timestamptz NOT NULL
);
CREATE INDEX ON order_intents (account, created_at);
CREATE TABLE orders (
    intent_id text COLLATE "C" PRIMARY KEY REFERENCES order_intents,
    status text NOT NULL,
    reason text NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE TABLE fills (
    fill_id text COLLATE "C" PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    intent_id text COLLATE "C" NOT NULL REFERENCES order_intents,
    account text NOT NULL,
    pair text NOT NULL,
    side text NOT NULL,
    price numeric NOT NULL CHECK (price > 0),
    quantity numeric NOT NULL CHECK (quantity > 0),
    fee numeric NOT NULL,
    fee_asset text NOT NULL,
    filled_at timestamptz NOT NULL
);
CREATE INDEX ON fills (account, filled_at);
CREATE INDEX ON fills (intent_id);
CREATE TABLE ledger_entries (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account text NOT NULL REFERENCES accounts,
    asset text NOT NULL,
    amount numeric NOT NULL,
    entered_at timestamptz NOT NULL,
    fill_id text COLLATE "C" REFERENCES fills, -- null: the opening balance
    UNIQUE NULLS NOT DISTINCT (account, fill_id, asset)
);
CREATE TABLE positions (
    account text NOT NULL REFERENCES accounts,
    pair text NOT NULL,
    quantity numeric NOT NULL CHECK (quantity <> 0),
    entry_price numeric NOT NULL,
    stop_loss numeric,
    take_profit numeric,
    opened_at timestamptz NOT NULL,
    PRIMARY KEY (account, pair)
);
"""

MODELS = """
CREATE TABLE promotions (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dataset text NOT NULL,
    pair text NOT NULL,
    policy_id text NOT NULL,
    promoted boolean NOT NULL,
    evidence json NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX ON promotions (dataset, pair, number DESC);
CREATE TABLE model_performance (
    dataset text NOT NULL,
    day date NOT NULL,
    model text NOT NULL,
    pair text NOT NULL,
    mode text NOT NULL,
    candles integer NOT NULL,
    votes integer NOT NULL,
    hit_rate double precision,
    mean_return double precision,
    pnl double precision NOT NULL,
    cost_usd double precision NOT NULL,
    metrics json NOT NULL, -- whatever else was measured
    PRIMARY KEY (dataset, day, pair, model, mode)
);
"""

NEWS = """
CREATE TABLE news_articles (
    dataset text NOT NULL,
    article_id text COLLATE "C" NOT NULL,
    published_at timestamptz NOT NULL,
    known_at timestamptz NOT NULL,
    source text NOT NULL,
    title text NOT NULL,
    text text NOT NULL,
    url text NOT NULL,
    PRIMARY KEY (dataset, article_id)
);
CREATE INDEX ON news_articles (dataset, known_at);
CREATE TABLE news_embeddings (
    dataset text NOT NULL,
    model text NOT NULL,
    article_id text COLLATE "C" NOT NULL,
    vector vector NOT NULL, -- every model has its own number of dimensions
    PRIMARY KEY (dataset, model, article_id),
    FOREIGN KEY (dataset, article_id) REFERENCES news_articles
);
CREATE TABLE news_sentiment (
    dataset text NOT NULL,
    article_id text COLLATE "C" NOT NULL,
    asset text NOT NULL,
    known_at timestamptz NOT NULL,
    score double precision NOT NULL,
    confidence double precision NOT NULL,
    model text NOT NULL,
    prompt_hash text NOT NULL,
    cost_usd double precision NOT NULL,
    PRIMARY KEY (dataset, article_id, asset, model)
);
CREATE INDEX ON news_sentiment (dataset, asset, known_at);
"""

BUS = """
CREATE TABLE bus_event (
    "offset" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    key text NOT NULL,
    payload json NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX ON bus_event (topic, "offset");
CREATE INDEX ON bus_event (topic, key, "offset" DESC);
"""


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS vector")
    for tables in (ACCOUNTS, DECISIONS, ORDERS, MODELS, NEWS, BUS):
        op.execute(tables)
