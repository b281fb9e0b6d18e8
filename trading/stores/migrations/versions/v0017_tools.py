"""Calls of tools by language models, and the plans that a person approves before anything is changed."""

from alembic import op

revision = "0017"
down_revision = "0014"

TOOL_CALLS = """
CREATE TABLE tool_calls (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    caller text NOT NULL, -- whom the transport has authenticated
    client text NOT NULL, -- as the program calls itself: nobody has checked it
    transport text NOT NULL,
    method text NOT NULL,
    name text NOT NULL, -- of the tool, resource or prompt
    arguments_sha256 text NOT NULL,
    outcome text, -- null until it has ended; where the process died it stays so
    detail text,
    seconds float8
);
CREATE INDEX tool_calls_by_time ON tool_calls (began_at);
"""
TOOL_PLANS = """
CREATE TABLE tool_plans (
    plan_id text PRIMARY KEY,
    code text NOT NULL UNIQUE, -- what a person types to approve it; no tool returns it
    action text NOT NULL,
    account text NOT NULL,
    request jsonb NOT NULL,
    facts jsonb NOT NULL, -- what it was planned on
    facts_sha256 text NOT NULL,
    words text NOT NULL, -- what a person approves
    caller text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'approved', 'declined', 'started', 'done', 'failed')),
    decided_at timestamptz, -- by a person
    decided_by text,
    decided_through text,
    started_at timestamptz, -- a plan starts once; where the process died then, it stays started
    ended_at timestamptz,
    outcome jsonb
);
CREATE INDEX tool_plans_by_time ON tool_plans (created_at);
"""


def upgrade() -> None:
    op.execute(TOOL_CALLS)
    op.execute(TOOL_PLANS)
