"""Every call of a language model: what was asked, what came back, and what it cost."""

from alembic import op

revision = "0014"
down_revision = "0013"

MODEL_CALLS = """
CREATE TABLE model_calls (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text NOT NULL, -- SHA-256 of model, messages and parameters
    purpose text NOT NULL,
    provider text NOT NULL,
    model text NOT NULL,
    prompt_hash text NOT NULL,
    request jsonb NOT NULL,
    attempt smallint NOT NULL,
    estimated_usd float8 NOT NULL CHECK (estimated_usd >= 0 AND estimated_usd < 'Infinity'),
    began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    outcome text, -- these are null until it has ended; where the process died they stay so, and the estimate counts
    answer jsonb, -- as the provider sent it; null: nothing that can be read
    detail text,
    input_tokens bigint,
    output_tokens bigint,
    usd float8 CHECK (usd >= 0 AND usd < 'Infinity'),
    seconds float8,
    reused bigint NOT NULL DEFAULT 0, -- times that the answer served again in place of a call
    reused_at timestamptz
);
CREATE INDEX model_calls_by_key ON model_calls (key, number) WHERE answer IS NOT NULL;
CREATE INDEX model_calls_by_time ON model_calls (began_at);
"""


def upgrade() -> None:
    op.execute(MODEL_CALLS)
