"""What no writer of orders and positions may break, whatever program it is: the database refuses it (version 0005)."""

GUARDS = """
CREATE FUNCTION refuse(words text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', words USING ERRCODE = 'check_violation';
END $$;

-- An order begins unsent, or as its venue placed it.
CREATE FUNCTION check_new_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status IN ('sent', 'unknown') OR NEW.filled <> 0 THEN
        PERFORM refuse(format('order %s cannot begin as %s with %s filled', NEW.intent_id, NEW.status, NEW.filled));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER check_new_order BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION check_new_order();

-- Only the newest lease sends and amends. The lock makes a newer one wait until this is committed.
CREATE FUNCTION check_lease(changed orders) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM leases
    WHERE account = changed.account AND fence = changed.fence AND holder <> '' FOR SHARE;
    IF NOT FOUND THEN
        PERFORM refuse(format('lease %s of account %s is not the newest: order %s is left to its holder',
            changed.fence, changed.account, changed.intent_id));
    END IF;
END $$;

-- What may be executed of the orders that close a position never adds up to more than the position.
CREATE FUNCTION check_reduction(changed orders) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    wanted order_intents;
    held numeric;
    others numeric;
BEGIN
    SELECT * INTO STRICT wanted FROM order_intents WHERE intent_id = changed.intent_id;
    SELECT coalesce(sum(CASE WHEN wanted.side = 'sell' THEN quantity ELSE -quantity END), 0) INTO held
    FROM positions WHERE account = changed.account AND pair = changed.pair;
    SELECT coalesce(sum(greatest(i.quantity - o.filled, 0)), 0) INTO others
    FROM orders o JOIN order_intents i USING (intent_id)
    WHERE o.account = changed.account AND o.pair = changed.pair AND o.intent_id <> changed.intent_id
    AND o.kind IN ('exit', 'stop') AND o.status IN ('sent', 'acknowledged', 'partly filled', 'unknown');
    IF others + wanted.quantity - changed.filled > greatest(held, 0) THEN
        PERFORM refuse(format('order %s would %s %s %s to close a position of %s, and %s may be on its way already',
            changed.intent_id, wanted.side, wanted.quantity - changed.filled, changed.pair, held, others));
    END IF;
END $$;

-- The account's row lock keeps two writers from looking at the same position, and sending both.
CREATE FUNCTION check_sending(changed orders) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM accounts WHERE account = changed.account FOR NO KEY UPDATE;
    PERFORM check_lease(changed);
    IF changed.cancel_reason <> '' THEN
        PERFORM refuse(format('order %s is to be cancelled: %s', changed.intent_id, changed.cancel_reason));
    END IF;
    IF changed.kind IN ('exit', 'stop') THEN
        PERFORM check_reduction(changed);
    ELSIF EXISTS (
        SELECT 1 FROM halts WHERE account = changed.account AND resumed_at IS NULL
        AND (until IS NULL OR changed.updated_at < until) -- also one that began after the sender read its clock
    ) THEN
        PERFORM refuse(format('order %s closes nothing, and account %s is halted', changed.intent_id, changed.account));
    END IF;
END $$;

CREATE FUNCTION check_order_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    is_sending boolean := OLD.status = 'intended' AND NEW.status = 'sent';
    followers text[] := CASE OLD.status
        WHEN 'intended' THEN '{sent,unknown,cancelled,rejected,expired}'
        WHEN 'sent' THEN '{unknown,intended,acknowledged,partly filled,filled,cancelled,rejected,expired}'
        WHEN 'unknown' THEN '{intended,acknowledged,partly filled,filled,cancelled,rejected,expired}'
        WHEN 'acknowledged' THEN '{partly filled,filled,cancelled,rejected,expired}'
        WHEN 'partly filled' THEN '{filled,cancelled,rejected,expired}'
        ELSE '{}' END;
BEGIN
    IF (NEW.intent_id, NEW.account, NEW.pair, NEW.kind, NEW.client_order_id)
        <> (OLD.intent_id, OLD.account, OLD.pair, OLD.kind, OLD.client_order_id) THEN
        PERFORM refuse(format('order %s cannot become another one', OLD.intent_id));
    END IF;
    IF NEW.status <> OLD.status AND NEW.status <> ALL (followers) THEN
        PERFORM refuse(format('order %s is %s: it cannot become %s', OLD.intent_id, OLD.status, NEW.status));
    END IF;
    IF NEW.attempt <> OLD.attempt + is_sending::integer THEN
        PERFORM refuse(format('order %s was sent %s times, not %s', OLD.intent_id, OLD.attempt, NEW.attempt));
    END IF;
    IF NEW.filled <> OLD.filled AND NEW.filled <>
        (SELECT coalesce(sum(quantity), 0) FROM fills WHERE intent_id = NEW.intent_id) THEN
        PERFORM refuse(format('the fills of order %s do not add up to %s', OLD.intent_id, NEW.filled));
    END IF;
    IF NEW.status <> OLD.status AND (
        (NEW.status = 'filled' AND NEW.filled < (SELECT quantity FROM order_intents WHERE intent_id = NEW.intent_id))
        OR (NEW.status = 'intended' AND NEW.filled > 0)
        OR (OLD.status = 'intended' AND NEW.status = 'unknown' AND NEW.filled = 0)) THEN
        PERFORM refuse(format('order %s cannot be %s with %s filled', OLD.intent_id, NEW.status, NEW.filled));
    END IF;
    IF is_sending THEN
        PERFORM check_sending(NEW);
    ELSIF NEW.trigger IS DISTINCT FROM OLD.trigger THEN
        PERFORM check_lease(NEW);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER check_order_change BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION check_order_change();

-- Every change is kept with its cause.
CREATE FUNCTION keep_order_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR
        (NEW.status, NEW.attempt, NEW.filled, NEW.venue_order_id, NEW.cancel_reason, NEW.trigger) IS DISTINCT FROM
        (OLD.status, OLD.attempt, OLD.filled, OLD.venue_order_id, OLD.cancel_reason, OLD.trigger) THEN
        INSERT INTO order_changes (intent_id, status, attempt, filled, trigger, fence, cause, at)
        VALUES (NEW.intent_id, NEW.status, NEW.attempt, NEW.filled, NEW.trigger, NEW.fence, NEW.cause, NEW.changed_at);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER keep_order_change AFTER INSERT OR UPDATE ON orders
FOR EACH ROW EXECUTE FUNCTION keep_order_change();

-- A position is opened, and grows, by fills of an entry alone; it never turns.
CREATE FUNCTION check_position() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.account, NEW.pair, sign(NEW.quantity)) <> (OLD.account, OLD.pair, sign(OLD.quantity)) THEN
            PERFORM refuse(format('the position in %s of account %s cannot turn', OLD.pair, OLD.account));
        END IF;
        IF abs(NEW.quantity) <= abs(OLD.quantity) THEN
            RETURN NEW;
        END IF;
    END IF;
    PERFORM 1 FROM order_intents i WHERE i.intent_id = NEW.entry_id AND i.account = NEW.account
    AND i.pair = NEW.pair AND i.kind = 'entry' AND (i.side = 'buy') = (NEW.quantity > 0)
    AND EXISTS (SELECT 1 FROM fills f WHERE f.intent_id = i.intent_id);
    IF NOT FOUND THEN
        PERFORM refuse(format('no entry of account %s has opened a position of %s in %s',
            NEW.account, NEW.quantity, NEW.pair));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER check_position BEFORE INSERT OR UPDATE ON positions
FOR EACH ROW EXECUTE FUNCTION check_position();

-- Facts stay as they were written.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse(format('rows of %s are facts: they are never changed', TG_TABLE_NAME));
    RETURN NULL;
END $$;
CREATE TRIGGER facts BEFORE UPDATE OR DELETE ON fills FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER facts BEFORE UPDATE OR DELETE ON order_changes FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER facts BEFORE UPDATE OR DELETE ON ledger_entries FOR EACH ROW EXECUTE FUNCTION refuse_change();
"""
