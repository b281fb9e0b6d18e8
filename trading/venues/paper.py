"""PROVISIONAL, only to try the rest out: the author of the stores room replaces this file."""

from decimal import Decimal
from trading.orders import *
from trading.fills import execution_price


class PaperVenue:
    def __init__(self, journal, source, instruments, costs):
        self.j, self.s, self.i, self.c = journal, source, instruments, costs

    def instrument(self, pair):
        return self.i[pair]

    def place(self, intent):
        o = self.j.order(intent.intent_id)
        if o and o.status in (OrderStatus.FILLED, OrderStatus.REJECTED):
            return o
        q = self.s.quote_after(intent.pair, intent.created_at)
        if q is None:
            o = Order(
                intent.intent_id, OrderStatus.ACCEPTED, "waits for the next candle's open", intent.created_at
            )
            self.j.record_order(o, [])
            return o
        costs = self.c[intent.pair] if isinstance(self.c, dict) else self.c
        p = round_price(
            Decimal(str(execution_price(q.price, float(intent.side.sign), costs))),
            self.i[intent.pair].price_increment,
        )
        f = Fill(
            intent.intent_id + "-1",
            intent.intent_id,
            intent.account,
            intent.pair,
            intent.side,
            p,
            intent.quantity,
            p * intent.quantity * self.i[intent.pair].taker_fee,
            intent.pair.quote,
            q.time,
        )
        o = Order(intent.intent_id, OrderStatus.FILLED, "", q.time)
        self.j.record_order(o, [f])
        return o

    def settle(self, account):
        return [self.place(i) for i in self.j.unsettled(account)]
