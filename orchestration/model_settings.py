"""The section [models] of marketloom.toml: limits, price table and named chat models."""

import datetime as dt
from contextlib import suppress
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml.agents.prompts import Variant
from ml.agents.rules import AnswerSeconds
from ml.models.budget import BudgetLadder
from ml.models.prices import DatedPrice, TokenPrice
from ml.models.rules import ClientRules
from ml.models.specification import ModelSpec, Provider, Structure
from ml.track_record.cut_off import CutOffs
from trading.errors import InvalidModel

ModelName = Annotated[
    str, Field(pattern="^[a-z][a-z0-9-]*$", description="a name in small letters, digits and hyphens")
]
Address = Annotated[
    str,
    Field(pattern="^(https?://.+)?$", description='an address that begins with https:// or http://, or ""'),
]
Share = Annotated[float, Field(gt=0, le=1, description="a share above 0 and up to 1")]
BUILT_IN = ("auto", "ollama", "classifier", "lexicon")  # what [sentiment] model can be besides a named model


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AgentSettings(Section):
    technical: float
    quant: float
    analyst: float
    analyst_model: str = Field(
        pattern="^([a-z][a-z0-9-]*)?$", description='the name of a [models.named] entry, or "" for none'
    )
    analyst_news: Literal["newest", "retrieved"]
    analyst_articles: int = Field(ge=1, le=32)
    monitor_model: str = Field(
        pattern="^([a-z][a-z0-9-]*)?$", description='the name of a [models.named] entry, or "" for none'
    )
    monitor_minutes: float = Field(ge=5, le=1440)
    debate: bool
    traders: dict[ModelName, Variant]

    @model_validator(mode="after")
    def check(self) -> Self:
        """Refuse a limit that is none."""
        _ = self.seconds
        return self

    @property
    def seconds(self) -> AnswerSeconds:
        return AnswerSeconds(self.technical, self.quant, self.analyst)

    @property
    def models(self) -> set[str]:
        """Return the names of the chat models that agents ask."""
        return {*self.traders, *filter(None, [self.analyst_model, self.monitor_model])}


class PriceSettings(Section):
    model: str = Field(
        pattern="^[a-z-]+/.+$", description="provider and model, such as anthropic/claude-haiku-4-5"
    )
    valid_from: dt.date
    input: float = Field(ge=0, lt=100_000)
    output: float = Field(ge=0, lt=100_000)


class NamedModelSettings(Section):
    provider: Provider
    model: str
    base_url: Address = ""
    key: str = Field(default="", pattern="^[A-Z0-9_]*$", description="the name of an environment variable")
    structure: Structure | None = None
    temperature: float = Field(default=0.0, ge=0, le=2)
    max_output_tokens: int = Field(default=256, ge=16, le=32_768)
    cut_off: dt.date | None = None  # the last day of what it was trained on, as its vendor says

    @property
    def spec(self) -> ModelSpec:
        return ModelSpec(
            provider=self.provider,
            model=self.model,
            base_url=self.base_url,
            key_variable=self.key,
            structure=self.structure,
            temperature=self.temperature,
            max_output_tokens=self.max_output_tokens,
        )

    @model_validator(mode="after")
    def check(self) -> Self:
        """Refuse what no client could be built of."""
        _ = self.spec
        return self


class ModelsSettings(Section):
    seconds: float = Field(gt=0, le=600)
    at_once: int = Field(ge=1, le=64)
    failures: int = Field(ge=1, le=100)
    pause_seconds: float = Field(gt=0, le=86_400)
    one_model_from: Share
    cached_from: Share
    prices: tuple[PriceSettings, ...]
    named: dict[ModelName, NamedModelSettings]

    @model_validator(mode="after")
    def check(self) -> Self:
        """Refuse rungs in the wrong order."""
        _ = self.ladder(1.0)
        return self

    @property
    def rules(self) -> ClientRules:
        return ClientRules(self.seconds, self.at_once, self.failures, self.pause_seconds)

    def ladder(self, daily_usd: float) -> BudgetLadder:
        return BudgetLadder(daily_usd, self.one_model_from, self.cached_from)

    @property
    def dated_prices(self) -> list[DatedPrice]:
        return [
            DatedPrice(each.model, each.valid_from, TokenPrice(each.input, each.output))
            for each in self.prices
        ]

    @property
    def specs(self) -> dict[str, ModelSpec]:
        return {name: each.spec for name, each in self.named.items()}

    @property
    def cut_offs(self) -> CutOffs:
        """Return what is known of each model's cut-off, by the name that stands in results.

        Entries of one name, such as those of two servers, have the latest of their days, and none where one has none.
        """
        days: dict[str, dt.date] = {}
        for each in self.named.values():
            with suppress(InvalidModel):  # a file that is not there has judged nothing
                name, day = each.spec.name, each.cut_off or dt.date.max
                days[name] = max(days.get(name, day), day)
        return CutOffs({name: day for name, day in days.items() if day != dt.date.max})
