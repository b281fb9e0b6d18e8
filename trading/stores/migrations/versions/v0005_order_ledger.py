"""The order ledger: typed columns for what was text in `reason`, every change with its cause, leases, adjustments.

What no writer may break, whatever program it is, the database refuses itself: see `order_guards.py`.
"""

import uuid

from alembic import op
from sqlalchemy import text

from trading.stores.migrations.order_guards import GUARDS

revision = "0005"
down_revision = "0004"

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://marketloom.dev/order")

INTENTS = """
ALTER TABLE order_intents DROP CONSTRAINT order_intents_decision_id_key;
ALTER TABLE order_intents ALTER COLUMN decision_id DROP NOT NULL; -- null: no decision asked for it
ALTER TABLE order_intents
    ADD COLUMN asked boolean NOT NULL DEFAULT true, -- the decision's own; false: one that followed from it
    ADD COLUMN entry_price numeric,
    ADD COLUMN trailing_after numeric,
    ADD COLUMN trailing_distance numeric,
    ADD COLUMN trigger numeric CHECK (trigger > 0 AND trigger < 'Infinity'),
    ADD COLUMN converts boolean NOT NULL DEFAULT false,
    ADD COLUMN kind text NOT NULL GENERATED ALWAYS AS (
        CASE WHEN converts THEN 'conversion' WHEN NOT reduces THEN 'entry' WHEN trigger IS NULL THEN 'exit'
        ELSE 'stop' END
    ) STORED,
    ADD CHECK (trigger IS NULL OR reduces),
    ADD CHECK (NOT (converts AND reduces)),
    ADD CHECK (quantity < 'Infinity'),
    ADD UNIQUE (intent_id, account, pair, kind);
ALTER TABLE order_intents ALTER COLUMN asked DROP DEFAULT;
CREATE UNIQUE INDEX one_intent_per_decision ON order_intents (decision_id) WHERE asked;
CREATE INDEX ON order_intents (account, pair);
"""

ORDERS = """
ALTER TABLE orders
    ADD COLUMN account text,
    ADD COLUMN pair text,
    ADD COLUMN kind text,
    ADD COLUMN client_order_id text,
    ADD COLUMN attempt integer NOT NULL DEFAULT 0 CHECK (attempt >= 0), -- how many times it was sent
    ADD COLUMN venue_order_id text NOT NULL DEFAULT '',
    ADD COLUMN sent_at timestamptz, -- the last attempt
    ADD COLUMN void_after timestamptz, -- the venue cannot take the last attempt later than this
    ADD COLUMN filled numeric NOT NULL DEFAULT 0 CHECK (filled >= 0 AND filled < 'Infinity'),
    ADD COLUMN cancel_reason text NOT NULL DEFAULT '', -- why it must leave the venue
    ADD COLUMN trigger numeric CHECK (trigger > 0 AND trigger < 'Infinity'), -- of a stop: the present one
    ADD COLUMN working_since timestamptz, -- of a stop: since when that trigger holds
    ADD COLUMN fence bigint, -- number of the lease under which it was sent or amended last
    ADD COLUMN cause text NOT NULL DEFAULT '', -- of the last change, and when: copied into order_changes
    ADD COLUMN changed_at timestamptz;
CREATE TABLE order_changes (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    intent_id text COLLATE "C" NOT NULL REFERENCES order_intents,
    status text NOT NULL,
    attempt integer NOT NULL,
    filled numeric NOT NULL,
    trigger numeric,
    fence bigint,
    cause text NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX ON order_changes (intent_id, number);
"""

# Kraken's id, the deadline and what an attempt came to stood in the reason. Paper orders that waited were accepted.
ORDERS_SO_FAR = """
INSERT INTO orders (intent_id, status, reason, updated_at)
SELECT intent_id, 'pending', '', created_at FROM order_intents
WHERE intent_id NOT IN (SELECT intent_id FROM orders);
UPDATE orders o SET account = i.account, pair = i.pair, kind = i.kind, changed_at = o.updated_at,
    cause = 'as it was before the order ledger',
    filled = coalesce((SELECT sum(f.quantity) FROM fills f WHERE f.intent_id = o.intent_id), 0),
    venue_order_id = coalesce(substring(o.reason FROM '^Kraken order (O[A-Z0-9-]{3,40}): '), ''),
    void_after = substring(o.reason FROM '; void after ([^ ;]+)$')::timestamptz
FROM order_intents i WHERE i.intent_id = o.intent_id;
UPDATE orders SET void_after = updated_at + interval '60 seconds' WHERE status = 'unknown' AND void_after IS NULL;
UPDATE orders SET attempt = 1, sent_at = updated_at
WHERE void_after IS NOT NULL OR status IN ('accepted', 'filled', 'unknown') OR filled > 0;
UPDATE orders SET status = CASE
    WHEN status = 'accepted' AND filled > 0 THEN 'partly filled'
    WHEN status = 'accepted' THEN 'acknowledged'
    WHEN status = 'pending' AND filled > 0 THEN 'unknown'
    WHEN status = 'pending' AND void_after IS NOT NULL AND reason NOT LIKE 'Kraken never took it%' THEN 'sent'
    WHEN status = 'pending' THEN 'intended'
    ELSE status END;
"""

# Before, a position could be closed twice. What is too much is given up here, and a person looks at the account.
SECOND_EXITS = """
WITH numbered AS (
    SELECT o.intent_id, row_number() OVER (
        PARTITION BY o.account, o.pair ORDER BY (o.status = 'intended'), i.created_at, i.number
    ) AS place
    FROM orders o JOIN order_intents i USING (intent_id)
    WHERE o.kind = 'exit' AND o.status IN ('intended', 'sent', 'acknowledged', 'partly filled', 'unknown')
), given_up AS (
    UPDATE orders o SET status = 'cancelled', cause = 'a second exit of the same position'
    FROM numbered n WHERE n.intent_id = o.intent_id AND n.place > 1 RETURNING o.account, o.pair, o.attempt, o.updated_at
)
INSERT INTO halts (account, kind, since, reason)
SELECT account, 'reconciliation', max(updated_at), 'several exits of one position were sent: ' || string_agg(pair, ', ')
FROM given_up WHERE attempt > 0 GROUP BY account;
"""

ORDER_CONSTRAINTS = """
INSERT INTO order_changes (intent_id, status, attempt, filled, cause, at)
SELECT intent_id, status, attempt, filled, cause, changed_at FROM orders ORDER BY changed_at, intent_id;
ALTER TABLE orders
    ALTER COLUMN account SET NOT NULL,
    ALTER COLUMN pair SET NOT NULL,
    ALTER COLUMN kind SET NOT NULL,
    ALTER COLUMN client_order_id SET NOT NULL,
    ALTER COLUMN changed_at SET NOT NULL,
    ADD CHECK (status IN ('intended', 'sent', 'acknowledged', 'partly filled', 'filled', 'cancelled', 'rejected',
        'expired', 'unknown')),
    ADD CHECK (status <> 'sent' OR num_nulls(sent_at, void_after) = 0),
    ADD UNIQUE (account, client_order_id),
    ADD FOREIGN KEY (intent_id, account, pair, kind) REFERENCES order_intents (intent_id, account, pair, kind);
CREATE UNIQUE INDEX one_live_exit ON orders (account, pair)
WHERE kind = 'exit' AND status IN ('intended', 'sent', 'acknowledged', 'partly filled', 'unknown');
CREATE INDEX ON orders (account, venue_order_id) WHERE venue_order_id <> '';
CREATE INDEX working_orders ON orders (account)
WHERE status IN ('intended', 'sent', 'acknowledged', 'partly filled', 'unknown');
"""

LEASES = """
CREATE SEQUENCE lease_fences;
CREATE TABLE leases (
    account text PRIMARY KEY REFERENCES accounts,
    holder text NOT NULL, -- empty: given back
    fence bigint NOT NULL,
    held_until timestamptz NOT NULL -- by this server's clock
);
"""

ADJUSTMENTS = """
CREATE TABLE adjustments (
    account text NOT NULL REFERENCES accounts,
    reference text NOT NULL, -- the venue's id of it, or a person's decision
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    asset text NOT NULL,
    amount numeric NOT NULL CHECK (amount <> 0 AND abs(amount) < 'Infinity'),
    cause text NOT NULL CHECK (cause <> ''),
    at timestamptz NOT NULL,
    value numeric CHECK (abs(value) < 'Infinity'), -- then, in the account's quote; null: no price was known
    PRIMARY KEY (account, reference)
);
ALTER TABLE ledger_entries ADD COLUMN adjustment text;
ALTER TABLE ledger_entries DROP CONSTRAINT ledger_entries_account_fill_id_asset_key;
ALTER TABLE ledger_entries
    ADD UNIQUE NULLS NOT DISTINCT (account, fill_id, adjustment, asset),
    ADD FOREIGN KEY (account, adjustment) REFERENCES adjustments,
    ADD CHECK (fill_id IS NULL OR adjustment IS NULL);
"""

HALTS = """
ALTER TABLE halts DROP CONSTRAINT halts_kind_check;
ALTER TABLE halts ADD CHECK (kind IN
    ('drawdown', 'daily loss', 'losing streak', 'kill switch', 'reconciliation', 'protection'));
DROP INDEX one_pause;
CREATE UNIQUE INDEX one_pause ON halts (account, kind) WHERE until IS NULL AND resumed_at IS NULL;
"""

POSITIONS = """
ALTER TABLE positions
    ADD COLUMN trailing_after numeric,
    ADD COLUMN trailing_distance numeric,
    ADD COLUMN best_price numeric,
    ADD COLUMN checked_until timestamptz,
    ADD COLUMN exit_reason text NOT NULL DEFAULT '',
    ADD COLUMN entry_id text COLLATE "C" REFERENCES order_intents; -- the entry that opened it or made it grow last
UPDATE positions p SET entry_id = (
    SELECT f.intent_id FROM fills f JOIN order_intents i USING (intent_id)
    WHERE f.account = p.account AND f.pair = p.pair AND NOT i.reduces AND (f.side = 'buy') = (p.quantity > 0)
    ORDER BY f.filled_at DESC, f.number DESC LIMIT 1
);
ALTER TABLE accounts ADD COLUMN reconciled_at timestamptz; -- when ledger and venue agreed last
ALTER TABLE positions ADD CHECK (abs(quantity) < 'Infinity');
"""


def upgrade() -> None:
    for statements in (HALTS, INTENTS, ORDERS, ORDERS_SO_FAR, SECOND_EXITS):
        op.execute(statements)
    _name_orders()
    for statements in (ORDER_CONSTRAINTS, LEASES, ADJUSTMENTS, POSITIONS, GUARDS):
        op.execute(statements)


def _name_orders() -> None:
    """Store the id that each order has had at its venue."""
    connection = op.get_bind()
    ids = [row[0] for row in connection.execute(text("SELECT intent_id FROM orders"))]
    if ids:
        names = [{"id": each, "name": _client_order_id(each)} for each in ids]
        connection.execute(text("UPDATE orders SET client_order_id = :name WHERE intent_id = :id"), names)


def _client_order_id(intent_id: str) -> str:
    try:
        usable = str(uuid.UUID(intent_id)) == intent_id
    except ValueError:
        usable = False
    return intent_id if usable else str(uuid.uuid5(NAMESPACE, intent_id))
