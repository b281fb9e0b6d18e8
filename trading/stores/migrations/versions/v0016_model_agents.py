"""What invalidates a position, and what a model's opinion was made from: prompt, raw answer, tokens and cost."""

from alembic import op

revision = "0016"
down_revision = "0017"  # which was published first

MODEL_AGENTS = """
ALTER TABLE order_intents ADD COLUMN invalidations json NOT NULL DEFAULT '[]';
ALTER TABLE positions ADD COLUMN invalidations json NOT NULL DEFAULT '[]';
ALTER TABLE agent_opinions -- null: no language model was asked for it
    ADD COLUMN outcome text,
    ADD COLUMN prompt text,
    ADD COLUMN prompt_hash text,
    ADD COLUMN tokens bigint CHECK (tokens >= 0),
    ADD COLUMN cost_usd double precision CHECK (cost_usd >= 0 AND cost_usd < 'Infinity'),
    ADD COLUMN raw_response json; -- as the provider sent it last
CREATE INDEX agent_logs_by_time ON agent_logs (dataset, at DESC);
"""


def upgrade() -> None:
    op.execute(MODEL_AGENTS)
