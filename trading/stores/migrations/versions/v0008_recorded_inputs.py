"""What decisions read, by the digest of its content: the same candles are stored once, whoever read them."""

from alembic import op

revision = "0008"
down_revision = "0007"

RECORDED_INPUTS = """
CREATE TABLE recorded_inputs (
    sha256 text COLLATE "C" PRIMARY KEY CHECK (sha256 = encode(sha256(content), 'hex')),
    content bytea NOT NULL
);
"""


def upgrade() -> None:
    op.execute(RECORDED_INPUTS)
