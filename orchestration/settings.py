"""marketloom.toml and the environment, read once into frozen objects; whatever is wrong is one clear message."""

import datetime as dt
import json
import os
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ml.agents.client import OllamaSettings
from ml.agents.consensus import ConsensusRules
from ml.registry import PromotionRules
from ml.training import TrainingConfig
from streaming.sandbox.config import SandboxConfig
from trading.backtest import AccountRules, Margin
from trading.errors import InvalidSettings
from trading.fills import Costs
from trading.market import Instrument, Pair, Timeframe, Universe
from trading.rebalancing import RebalancingRules
from trading.reports import Resampling
from trading.risk import Limits
from trading.signals import SignalRules

PROJECT = Path(__file__).resolve().parents[1]
PREFIX = "MARKETLOOM__"
CRYPTOCOMPARE_MARKET = "cadli"  # the vendor's own index, where the source names no market

PairName = Annotated[Pair, BeforeValidator(lambda text: Pair.parse(text) if isinstance(text, str) else text)]
Share = Annotated[float, Field(ge=0, lt=0.1)]
Positive = Annotated[Decimal, Field(gt=0)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Market(Section):
    pairs: tuple[PairName, ...] = Field(min_length=1)
    quote: str = Field(pattern="^[A-Z0-9]+$")
    timeframe: Timeframe
    source: str = Field(
        pattern="^(simulator|files|sandbox|kraken|cryptocompare(:[a-z0-9]+)?|ccxt:[a-z0-9_]+)$"
    )
    venue: str = Field(pattern="^[a-z0-9]+$")
    until: Annotated[
        dt.datetime | None,
        BeforeValidator(lambda text: dt.datetime.fromisoformat(str(text)) if text else None),
    ]
    news: str

    @property
    def origin(self) -> str:
        """Who published the candles."""
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
    def is_live(self) -> bool:
        """New candles close as the machine's clock goes on."""
        return self.source not in ("simulator", "files", "sandbox") and not self.until

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


class Simulator(Section):
    seed: int = Field(ge=0)
    start: dt.date
    end: dt.date


class Capital(BaseModel):
    """Opening balances per asset beside the total and the asset that takes the rest."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, Positive]
    total: Positive
    rest: str = Field(pattern="^[A-Z0-9]+$")

    @property
    def fixed(self) -> dict[str, Decimal]:
        return dict(self.__pydantic_extra__)


class VenueSettings(Section):
    mode: Literal["paper", "sandbox"]
    account: str = Field(pattern="^[a-z0-9-]+$")
    half_spread: Share
    slippage: Share
    capital: Capital


class InstrumentSettings(Section):
    price_increment: Positive
    quantity_increment: Positive
    minimum_quantity: Positive
    minimum_cost: Positive
    taker_fee: Annotated[Decimal, Field(ge=0, lt=0.1)]
    maker_fee: Annotated[Decimal, Field(ge=0, lt=0.1)]


class Sentiment(Section):
    model: Literal["auto", "ollama", "lexicon"]
    half_life_hours: float = Field(gt=0)
    minimum_articles: int = Field(ge=1)
    threshold: float = Field(gt=0, lt=1)


class Embeddings(Section):
    model: Literal["auto", "ollama", "packaged"]


class BacktestSettings(Section):
    shorts: Literal["never", "inventory", "borrow"]
    resamples: int = Field(ge=100, le=100_000)
    confidence: float = Field(gt=0.5, lt=1)
    seed: int = Field(ge=0)


class KrakenSettings(Section):
    rest_url: str = Field(pattern="^https?://")
    websocket_url: str = Field(pattern="^wss?://")
    tier: Literal["starter", "intermediate", "pro"]


class DagsterSettings(Section):
    host: str
    port: int = Field(ge=1, le=65535)


class Settings(Section):
    market: Market
    simulator: Simulator
    venue: VenueSettings
    instruments: dict[PairName, InstrumentSettings]
    signals: SignalRules
    risk: Limits
    backtest: BacktestSettings
    margin: Margin
    rebalancing: RebalancingRules
    policy: TrainingConfig
    promotion: PromotionRules
    sentiment: Sentiment
    embeddings: Embeddings
    ollama: OllamaSettings
    consensus: ConsensusRules
    kraken: KrakenSettings
    sandbox: SandboxConfig
    dagster: DagsterSettings

    @property
    def account(self) -> str:
        """One per dataset and mode: an account never sees prices of another market, or fills of another venue."""
        name = f"{self.venue.account}-{self.market.universe.dataset}"
        return name if self.venue.mode == "paper" else f"{name}-{self.venue.mode}"

    def instrument(self, pair: Pair) -> Instrument:
        return Instrument(pair=pair, **self.instruments[pair].model_dump())

    def account_rules(self, pair: Pair) -> AccountRules:
        """What back-tests of the pair obey: the costs and the rules of the account that trades."""
        return AccountRules(
            costs=self.costs(pair),
            drawdown_pause=self.risk.drawdown,
            daily_loss=self.risk.daily_loss,
            losing_streak=self.risk.losing_streak,
            cool_down=dt.timedelta(minutes=self.risk.cool_down_minutes),
            trailing_after=self.risk.trailing_after,
            leverage=1.0,  # no strategy asks for more than the account has
            shorts=self.backtest.shorts != "never",
            margin=self.margin if self.backtest.shorts == "borrow" else None,
        )

    @property
    def resampling(self) -> Resampling:
        return Resampling(self.backtest.resamples, self.backtest.confidence, self.backtest.seed)

    def costs(self, pair: Pair) -> Costs:
        return Costs(float(self.instruments[pair].taker_fee), self.venue.half_spread, self.venue.slippage)


def home_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where all data lies: MARKETLOOM_HOME, or `.marketloom` beside the project's own files."""
    return Path(environment.get("MARKETLOOM_HOME") or PROJECT / ".marketloom").expanduser().absolute()


def settings_file(environment: Mapping[str, str] = os.environ) -> Path:
    return Path(environment.get("MARKETLOOM_CONFIG") or PROJECT / "marketloom.toml").expanduser()


def chosen_file(home: Path) -> Path:
    """What the last demo chose ([market] source, venue ...), so that the UI afterwards sees the same data."""
    return home / "chosen.toml"


def lake_folder(home: Path, settings: "Settings") -> Path:
    """The tables of the chosen dataset."""
    return home / "lake" / settings.market.universe.dataset


def load_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings file, then the home's chosen.toml, then MARKETLOOM__SECTION__KEY variables; the last one wins.

    Raises InvalidSettings naming source, key and what is allowed; every problem found is listed.
    """
    path = settings_file(environment)
    values = _read(path)
    if (chosen := chosen_file(home_folder(environment))).exists():
        _merge(values, _read(chosen))
    variables = _override(values, environment)
    try:
        settings = Settings.model_validate_json(json.dumps(values, default=_plain), strict=True)
    except ValidationError as error:
        raise InvalidSettings("\n".join(_problems(error, path, variables))) from None
    _check_universe(settings, path)
    return settings


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidSettings(
            f"{path}: {error.strerror}; restore marketloom.toml or set MARKETLOOM_CONFIG to your settings file"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"{path}: not valid TOML: {error}") from None


def _override(values: dict[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    """Set what MARKETLOOM__SECTION__KEY variables say; returns the variable's name by `section.key`.

    Case does not matter: a variable is matched to the key that is there, BTC/USDT and USDT included.
    """
    names = {}
    for name, text in environment.items():
        if not name.startswith(PREFIX):
            continue
        section, path = values, []
        *sections, key = name.removeprefix(PREFIX).split("__")
        for part in sections:
            path.append(_matched(section, part))
            if not isinstance(section.setdefault(path[-1], {}), dict):
                raise InvalidSettings(
                    f"environment variable {name}: {'.'.join(path)} is a value, not a section"
                )
            section = section[path[-1]]
        path.append(_matched(section, key))
        section[path[-1]] = _toml_value(text)
        names[".".join(path)] = name
    return names


def _matched(section: Mapping[str, Any], word: str) -> str:
    return next((key for key in section if key.lower() == word.lower()), word.lower())


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # an unquoted word: the shell has eaten the quotes


def _merge(values: dict[str, Any], overlay: Mapping[str, Any]) -> None:
    for key, value in overlay.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            _merge(values[key], value)
        else:
            values[key] = value


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, dt.date | dt.time) else str(value)


def _problems(error: ValidationError, path: Path, variables: Mapping[str, str]) -> list[str]:
    return [_problem(path, detail, variables) for detail in error.errors()]


def _problem(path: Path, detail: Any, variables: Mapping[str, str]) -> str:
    *sections, key = [str(part) for part in detail["loc"]] or ["?"]
    variable = variables.get(".".join((*sections, key)))
    source = f"environment variable {variable}" if variable else str(path)
    where = f"{source}: [{'.'.join(sections)}] {key}" if sections else f"{source}: [{key}]"
    match detail["type"]:
        case "extra_forbidden" | "unexpected_keyword_argument":
            return f"{where} is not a known key; known are: {', '.join(_known_keys(sections))}"
        case "missing":
            return f"{where} is missing; the marketloom.toml of this version shows it with its default"
        case _:
            got = "" if isinstance(detail["input"], dict) else f" (got {detail['input']!r})"
            return f"{where}: {detail['msg'].removeprefix('Value error, ')}{got}"


def _known_keys(sections: list[str]) -> list[str]:
    kind: Any = Settings
    for section in sections:
        if section in getattr(kind, "model_fields", {}):
            kind = kind.model_fields[section].annotation
        else:
            kind = InstrumentSettings  # the one table whose keys are pairs
    return sorted(getattr(kind, "model_fields", None) or getattr(kind, "__dataclass_fields__", {}))


def _check_universe(settings: Settings, path: Path) -> None:
    """Keys that must fit together."""
    for pair in settings.market.pairs:
        if pair not in settings.instruments:
            raise InvalidSettings(
                f'{path}: [market] pairs names {pair}, but there is no [instruments."{pair}"]'
            )
    if settings.venue.mode == "sandbox" and settings.market.source != "sandbox":
        raise InvalidSettings(
            f'{path}: [venue] mode = "sandbox" trades at the sandbox\'s prices: set [market] source = "sandbox" too'
        )
    if settings.simulator.end <= settings.simulator.start:
        raise InvalidSettings(f"{path}: [simulator] end must be later than start")
    reachable = {settings.market.quote} | {
        asset for pair in settings.market.pairs for asset in (pair.base, pair.quote)
    }
    owned = {*settings.venue.capital.fixed, settings.venue.capital.rest}
    for section, assets in (
        ("venue.capital", owned),
        ("rebalancing.targets", set(settings.rebalancing.targets)),
    ):
        if strange := sorted(assets - reachable):
            raise InvalidSettings(
                f"{path}: [{section}] {strange[0]} is in none of the pairs; assets are {', '.join(sorted(reachable))}"
            )
    if missing := sorted(owned - set(settings.rebalancing.targets)):
        raise InvalidSettings(
            f"{path}: [rebalancing.targets] {missing[0]} is missing: 0 sells what is held of it"
        )


def _utc(time: dt.datetime) -> dt.datetime:
    return time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time.astimezone(dt.UTC)
