"""PostgreSQL back ends of the ports: one class per port, each method one transaction."""

from trading.stores.postgres.api_keys import PostgresKeyState
from trading.stores.postgres.connection import Database
from trading.stores.postgres.gaps import PostgresGaps
from trading.stores.postgres.journal import PostgresJournal
from trading.stores.postgres.live_accounts import PostgresLiveAccounts
from trading.stores.postgres.market_data import PostgresMarketData
from trading.stores.postgres.model_calls import PostgresModelCalls
from trading.stores.postgres.news import PostgresNews
from trading.stores.postgres.news_index import PostgresNewsIndex
from trading.stores.postgres.performance import PostgresPerformance
from trading.stores.postgres.promotions import PostgresPromotions
from trading.stores.postgres.schema import migrate
from trading.stores.postgres.votes import PostgresVotes

__all__ = [
    "Database",
    "PostgresGaps",
    "PostgresJournal",
    "PostgresKeyState",
    "PostgresLiveAccounts",
    "PostgresMarketData",
    "PostgresModelCalls",
    "PostgresNews",
    "PostgresNewsIndex",
    "PostgresPerformance",
    "PostgresPromotions",
    "PostgresVotes",
    "migrate",
]
