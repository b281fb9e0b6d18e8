"""What the past votes of each agent make of the weight of its next one."""

from alembic import op

revision = "0018"
down_revision = "0015"

VOTE_WEIGHTS = """
CREATE TABLE vote_weights (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dataset text NOT NULL,
    version text NOT NULL, -- SHA-256 of the content
    content text NOT NULL, -- JSON: records of the agents' votes and the weights that they make
    known_at timestamptz NOT NULL, -- by the clock of decisions: one made before it knows nothing of it
    UNIQUE (dataset, version)
);
CREATE INDEX vote_weights_by_time ON vote_weights (dataset, known_at, number);
"""


def upgrade() -> None:
    op.execute(VOTE_WEIGHTS)
