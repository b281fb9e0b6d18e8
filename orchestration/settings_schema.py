"""The sections of marketloom.toml: one class each, and the values derived from it."""

import datetime as dt
import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from ml.agents.analyst import AnalystRules
from ml.agents.consensus import ConsensusRules
from ml.agents.rules import DecisionRules
from ml.learning.promotion import PromotionRules
from ml.learning.training import TrainingConfig
from ml.models.budget import BudgetLadder
from ml.models.ollama import OllamaSettings
from ml.track_record.weighing import MemoryRules
from orchestration.model_settings import AgentSettings, ModelsSettings
from streaming.alerting.limits import AlertLimits
from streaming.sandbox.config import SandboxConfig
from trading.backtest import AccountRules, Margin
from trading.errors import InvalidValue
from trading.fills import Costs, VenueFees, fees_at
from trading.market import Instrument, Pair, Timeframe, Universe
from trading.rebalancing import RebalancingRules
from trading.reports import Resampling
from trading.risk import Limits
from trading.signals import SignalRules

CRYPTOCOMPARE_MARKET = "cadli"  # the vendor's own index, where the source names no market

NEWS_FEEDS = "feeds"  # the value of [market] news that is no folder

PairName = Annotated[Pair, BeforeValidator(lambda text: Pair.parse(text) if isinstance(text, str) else text)]
AssetName = Annotated[
    str, Field(pattern="^[A-Z0-9]+$", description="an asset in capital letters and digits, such as USDT")
]
HttpAddress = Annotated[
    str, Field(pattern="^https?://", description="an address that begins with https:// or http://")
]
WebSocketAddress = Annotated[
    str, Field(pattern="^wss?://", description="an address that begins with wss:// or ws://")
]
Share = Annotated[float, Field(ge=0, lt=0.1)]
Positive = Annotated[Decimal, Field(gt=0)]
Fee = Annotated[Decimal, Field(ge=0, lt=0.05, description="a share from 0 to 0.05, such as 0.004 for 0.40 %")]


def _refuse_local_venue(venue: str) -> str:
    if venue in ("simulated", "sandbox"):
        raise InvalidValue(f"{venue} is no venue: its candles would mix with those made on this machine")
    return venue


def _check_clickhouse_address(url: str) -> str:
    """Raise InvalidValue, which does not show the address: a password may be in it."""
    if not re.fullmatch(r"https?://[^\s@/?#]+/?", url):
        raise InvalidValue(
            "write an address such as http://127.0.0.1:8123; user and password go into the environment variables "
            "CLICKHOUSE_USER and CLICKHOUSE_PASSWORD"
        )
    return url


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class MarketSettings(Section):
    pairs: tuple[PairName, ...] = Field(min_length=1)
    quote: AssetName
    timeframe: Timeframe
    source: str = Field(
        pattern="^(simulator|files|sandbox|kraken|cryptocompare(:[a-z0-9]+)?|ccxt:[a-z0-9_]+)$",
        description="simulator, files, sandbox, kraken, ccxt:<venue> such as ccxt:binance, cryptocompare, or "
        "cryptocompare:<market>",
    )
    venue: Annotated[str, AfterValidator(_refuse_local_venue)] = Field(
        pattern="^[a-z0-9]+$", description="a venue in small letters and digits, such as binance"
    )
    until: Annotated[
        dt.datetime | None,
        BeforeValidator(lambda text: dt.datetime.fromisoformat(str(text)) if text else None),
    ] = Field(description='a UTC time such as "2020-02-21T23:00:00", or "" for none')
    since: Annotated[
        dt.date | None, BeforeValidator(lambda text: dt.date.fromisoformat(str(text)) if text else None)
    ] = Field(description='a UTC day such as "2017-08-17", or "" for none')
    news: str

    @property
    def origin(self) -> str:
        """Publisher of the candles."""
        match self.source:
            case "simulator":
                return "simulated"
            case "files":
                return self.venue
            case "cryptocompare":
                return f"cryptocompare-{CRYPTOCOMPARE_MARKET}"
            case source:
                return source.removeprefix("ccxt:").replace(":", "-")

    @property
    def sources_in_words(self) -> tuple[str, str]:
        """Say where candles and news come from."""
        words = {
            "simulator": "the seeded simulator",
            "files": f"imported files of {self.venue}",
            "sandbox": "the sandbox exchange on this machine",
        }
        simulated = "headlines of the simulator" if self.source == "simulator" else "no news source yet"
        news = f"files in {self.news}" if self.news else simulated
        if self.reads_feeds:
            news = "feeds, over the network"
        return words.get(self.source, f"{self.origin}, over the network"), news

    @property
    def reads_feeds(self) -> bool:
        """News come from the network, as [news] says, and not from files."""
        return self.news == NEWS_FEEDS

    @property
    def is_live(self) -> bool:
        """New candles close as the machine's clock goes on."""
        return not self.is_history and self.source != "sandbox"

    @property
    def is_history(self) -> bool:
        """No new candle closes: the dataset has an end, or lies on this machine."""
        return bool(self.until) or self.source in ("simulator", "files")

    @property
    def pool(self) -> str | None:
        """Runs that ask the same venue go one at a time; what lies on this machine needs no turn."""
        if self.source in ("simulator", "files"):
            return None
        return self.source.replace(":", "-")

    @property
    def universe(self) -> Universe:
        return Universe(self.pairs, self.quote, self.timeframe, self.origin)

    @property
    def known_until(self) -> dt.datetime | None:
        return _utc(self.until) if self.until else None


class SimulatorSettings(Section):
    seed: int = Field(ge=0)
    start: dt.date
    end: dt.date


class CapitalSettings(BaseModel):
    """Opening balances per asset beside the total and the asset that takes the rest."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, Positive]
    total: Positive
    rest: AssetName

    @property
    def fixed(self) -> dict[str, Decimal]:
        return dict(self.__pydantic_extra__)


class FeeSettings(Section):
    valid_from: dt.date
    taker: Fee
    maker: Fee


class VenueSettings(Section):
    mode: Literal["paper", "sandbox", "live"]
    account: str = Field(
        pattern="^[a-z0-9-]+$", description="small letters, digits and hyphens, such as paper"
    )
    half_spread: Share
    slippage: Share
    participation: Annotated[float, Field(ge=0, le=1, description="a share from 0 (no limit) to 1")]
    protected_within: float = Field(ge=1, le=3600)
    fees: tuple[FeeSettings, ...] = Field(min_length=1)
    capital: CapitalSettings


class InstrumentSettings(Section):
    price_increment: Positive
    quantity_increment: Positive
    minimum_quantity: Positive
    minimum_cost: Positive


class FeedSettings(Section):
    name: str = Field(min_length=1, max_length=100)
    url: HttpAddress
    language: str = Field(pattern="^[a-z]{2}$", description="two small letters, such as en")


def _refuse_same_names(feeds: tuple[FeedSettings, ...]) -> tuple[FeedSettings, ...]:
    names = [feed.name for feed in feeds]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidValue(f"two feeds are named {twice[0]}: each needs a name of its own")
    return feeds


class NewsSettings(Section):
    languages: tuple[Annotated[str, Field(pattern="^[a-z]{2}$", description="such as en")], ...] = Field(
        min_length=1
    )
    max_age_hours: float = Field(gt=0, le=24 * 30)
    poll_minutes: float = Field(ge=1, le=60)
    max_bytes: int = Field(ge=10_000, le=50_000_000)
    timeout_seconds: float = Field(gt=0, le=15)
    coindesk: bool
    feeds: Annotated[tuple[FeedSettings, ...], AfterValidator(_refuse_same_names)] = Field(max_length=16)


class SentimentSettings(Section):
    model: str = Field(
        pattern="^[a-z][a-z0-9-]*$",
        description="auto, ollama, classifier, lexicon, or the name of a [models.named] entry",
    )
    weights: str = Field(min_length=1)
    half_life_hours: float = Field(gt=0)
    minimum_articles: int = Field(ge=1)
    threshold: float = Field(gt=0, lt=1)


class EmbeddingSettings(Section):
    model: Literal["auto", "ollama", "packaged"]


class RetrievalSettings(Section):
    half_life_hours: float = Field(gt=0, le=24 * 3650)


class BacktestSettings(Section):
    shorts: Literal["never", "inventory", "borrow"]
    resamples: int = Field(ge=100, le=100_000)
    confidence: float = Field(gt=0.5, lt=1)
    seed: int = Field(ge=0)


class ShadowSettings(Section):
    challenger: bool


class KrakenSettings(Section):
    rest_url: HttpAddress
    websocket_url: WebSocketAddress
    private_websocket_url: WebSocketAddress
    tier: Literal["starter", "intermediate", "pro"]


class StreamSettings(Section):
    timeframes: tuple[Timeframe, ...] = Field(min_length=1)
    book_depth: Literal[10, 25, 100, 500, 1000]
    book_interval: float = Field(gt=0, le=60)
    close_grace: float = Field(ge=0, le=60)
    max_unrepaired: Annotated[float, Field(ge=0, le=1, description="a share from 0 to 1")]
    metrics_host: str = Field(min_length=1)  # empty text would be every address of the machine
    metrics_port: int = Field(ge=0, le=65535)


class GuardSettings(Section):
    max_silence: float = Field(ge=1, le=60)
    max_spread: float = Field(gt=0, lt=1)
    stop_overdue: float = Field(ge=1, le=600)
    trail_seconds: float = Field(ge=0.1, le=600)
    switch_seconds: int = Field(ge=5, lt=86400)


class AlertSettings(Section):
    min_severity: Literal["info", "warning", "error"]
    per_minute: int = Field(ge=1, le=60)
    per_kind: int = Field(ge=1, le=60)
    repeat_minutes: float = Field(ge=0, le=1440)
    late_minutes: float = Field(ge=1, le=1440)
    kinds: dict[str, Annotated[int, Field(ge=0, le=60)]]

    @property
    def limits(self) -> AlertLimits:
        return AlertLimits(
            min_severity=self.min_severity,
            per_minute=self.per_minute,
            per_kind=self.per_kind,
            repeat_seconds=60 * self.repeat_minutes,
            late_seconds=60 * self.late_minutes,
            kinds=self.kinds,
        )


class BusSettings(Section):
    kind: Literal["postgres", "kafka"]
    brokers: str = Field(min_length=1)
    retention_hours: float = Field(gt=0)


class AnalyticsSettings(Section):
    store: Literal["lake", "clickhouse"]
    clickhouse_url: Annotated[str, AfterValidator(_check_clickhouse_address)]
    clickhouse_database: str = Field(
        pattern="^[a-z][a-z0-9_]*$", description="small letters, digits and underscores, such as marketloom"
    )


class HotSettings(Section):
    store: Literal["process", "redis"]
    redis_url: str = Field(
        pattern="^(rediss?|unix)://", description="an address that begins with redis://, rediss:// or unix://"
    )


class DagsterSettings(Section):
    host: str
    port: int = Field(ge=1, le=65535)
    allowed_hosts: tuple[str, ...]


class McpSettings(Section):
    host: str = Field(min_length=1)  # empty text would be every address of the machine
    port: int = Field(ge=0, le=65535)
    allowed_hosts: tuple[str, ...]
    issuer: str = Field(pattern="^(https?://[^ ]+)?$", description='an address, or "" for none')
    resource: str = Field(pattern="^(https?://[^ ]+)?$", description='an address, or "" for none')
    write: bool
    elicitation: bool
    plan_minutes: float = Field(gt=0, le=1440)
    price_move: float = Field(gt=0, lt=0.1, description="a share from 0 to 0.1, such as 0.005")


class Settings(Section):
    market: MarketSettings
    simulator: SimulatorSettings
    venue: VenueSettings
    instruments: dict[PairName, InstrumentSettings]
    signals: SignalRules
    risk: Limits
    backtest: BacktestSettings
    margin: Margin
    rebalancing: RebalancingRules
    policy: TrainingConfig
    promotion: PromotionRules
    news: NewsSettings
    sentiment: SentimentSettings
    embeddings: EmbeddingSettings
    retrieval: RetrievalSettings
    ollama: OllamaSettings
    models: ModelsSettings
    agents: AgentSettings
    consensus: ConsensusRules
    memory: MemoryRules
    shadow: ShadowSettings
    kraken: KrakenSettings
    sandbox: SandboxConfig
    stream: StreamSettings
    guard: GuardSettings
    alerts: AlertSettings
    bus: BusSettings
    analytics: AnalyticsSettings
    hot: HotSettings
    dagster: DagsterSettings
    mcp: McpSettings

    @property
    def paper_account(self) -> str:
        """One per name and origin of prices, whatever the timeframe: it never sees prices of another market."""
        return f"paper-{self.venue.account}-{self.market.origin}"

    @property
    def decision_rules(self) -> DecisionRules:
        """Return the rules of a decision, live or back-tested."""
        analyst = AnalystRules(
            maximum_age_hours=self.risk.sentiment_age_hours,
            minimum_articles=self.sentiment.minimum_articles,
            threshold=self.sentiment.threshold,
        )
        return DecisionRules(self.signals, analyst, self.consensus, self.risk, self.agents.seconds)

    @property
    def model_ladder(self) -> BudgetLadder:
        """Return the daily budget of language models, and where its rungs begin."""
        return self.models.ladder(self.risk.model_budget_usd)

    @property
    def fees(self) -> tuple[VenueFees, ...]:
        """The fees of the venue by the day on which they began, oldest first."""
        return tuple(VenueFees(each.valid_from, each.taker, each.maker) for each in self.venue.fees)

    def fees_at(self, time: dt.datetime | None) -> VenueFees:
        """Return the fees at a time; None: the newest ones."""
        return fees_at(self.fees, time) if time else self.fees[-1]

    def instrument(self, pair: Pair, at: dt.datetime | None = None) -> Instrument:
        """Return how the pair is traded on paper, with the fees of `at`; None: with the newest ones."""
        fees = self.fees_at(at)
        return Instrument(
            pair=pair, taker_fee=fees.taker, maker_fee=fees.maker, **self.instruments[pair].model_dump()
        )

    def account_rules(self, pair: Pair) -> AccountRules:
        """Return the costs and account rules that back-tests of the pair use: those of the account that trades."""
        return AccountRules(
            costs=self.costs(pair),
            drawdown_pause=self.risk.drawdown,
            daily_loss=self.risk.daily_loss,
            losing_streak=self.risk.losing_streak,
            cool_down=dt.timedelta(minutes=self.risk.cool_down_minutes),
            cool_down_candles=self.risk.cool_down_candles,
            trailing_after=self.risk.trailing_after,
            leverage=1.0,  # no strategy asks for more than the account has
            shorts=self.backtest.shorts != "never",
            margin=self.margin if self.backtest.shorts == "borrow" else None,
            taker_fees=tuple((each.valid_from, float(each.taker)) for each in self.fees),
        )

    @property
    def resampling(self) -> Resampling:
        return Resampling(self.backtest.resamples, self.backtest.confidence, self.backtest.seed)

    def costs(self, pair: Pair) -> Costs:
        """Return the pair's costs with the newest fees: what is learned has to earn them from now on."""
        return Costs(float(self.instrument(pair).taker_fee), self.venue.half_spread, self.venue.slippage)


def _utc(time: dt.datetime) -> dt.datetime:
    return time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time.astimezone(dt.UTC)
