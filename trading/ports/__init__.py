"""Protocols of the stores, sources, venues and bus that the system uses. Times are UTC; months are their first day."""

from trading.ports.account_watch import AccountView, AccountWatch
from trading.ports.balance_history import BalanceHistory, MinuteWriter
from trading.ports.bus import Bus, Consumer, Event, EventLog, Message, Reader, Record
from trading.ports.failures import FailureLog, FailureNote
from trading.ports.hot import HotTier
from trading.ports.journal import AccountBooks, Adjustment, FailureKind, Journal, Lease
from trading.ports.market import CandleSource, Quote
from trading.ports.market_data import GapLedger, MarketData, Tape, TapeTable
from trading.ports.model_calls import ModelCall, ModelCalls, ModelResponse, ModelUsage
from trading.ports.models import DESK, VOTE_SCHEMA, PerformanceStore, PromotionLog, VoteLog, WeightLog
from trading.ports.news import ARTICLE_SCHEMA, DESCRIBED_SCHEMA, SENTIMENT_SCHEMA, STORED_SCHEMA, NewsStore
from trading.ports.tables import TableStore
from trading.ports.venue import BookEntry, Venue, VenueBooks, VenueOrder, VenueReport

__all__ = [
    "ARTICLE_SCHEMA",
    "DESCRIBED_SCHEMA",
    "DESK",
    "SENTIMENT_SCHEMA",
    "STORED_SCHEMA",
    "VOTE_SCHEMA",
    "AccountBooks",
    "AccountView",
    "AccountWatch",
    "Adjustment",
    "BalanceHistory",
    "BookEntry",
    "Bus",
    "CandleSource",
    "Consumer",
    "Event",
    "EventLog",
    "FailureKind",
    "FailureLog",
    "FailureNote",
    "GapLedger",
    "HotTier",
    "Journal",
    "Lease",
    "MarketData",
    "Message",
    "MinuteWriter",
    "ModelCall",
    "ModelCalls",
    "ModelResponse",
    "ModelUsage",
    "NewsStore",
    "PerformanceStore",
    "PromotionLog",
    "Quote",
    "Reader",
    "Record",
    "TableStore",
    "Tape",
    "TapeTable",
    "Venue",
    "VenueBooks",
    "VenueOrder",
    "VenueReport",
    "VoteLog",
    "WeightLog",
]
