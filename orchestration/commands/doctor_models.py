"""What `marketloom doctor` says of language models: which could be used, and what those of the settings lack."""

import os
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

from ml.models.gguf import fingerprint
from ml.models.prices import FREE, price_of
from ml.models.providers import api_key, missing_extra
from ml.models.specification import FACTS, ModelSpec, Provider
from orchestration.clocks import machine_now
from orchestration.commands.findings import Finding, Health
from orchestration.settings_schema import Settings
from trading.errors import MarketloomError

OLD_PRICE_DAYS = 180
HERE = (Provider.OLLAMA, Provider.COMPATIBLE)  # they have findings of their own, or need only an address


def examine_models(settings: Settings, environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Yield one finding per named model, and one that says what other providers need. Nothing is asked or paid."""
    for name, spec in settings.models.specs.items():
        yield _named(name, spec, settings, environment, use=_use(name, settings))
    yield Finding(
        "language models", Health.OK, f"{_choice(settings)}. Others: {_others(environment)} (docs/models.md)"
    )


def _use(name: str, settings: Settings) -> str:
    """Say what the model is asked for; empty where nobody asks it."""
    uses = ["judges headlines"] if settings.sentiment.model == name else []
    uses += ["reads articles"] if settings.agents.analyst_model == name else []
    uses += ["looks at the market"] if settings.agents.monitor_model == name else []
    uses += [f"trades ({settings.agents.traders[name]})"] if name in settings.agents.traders else []
    return " and ".join(uses)


def _choice(settings: Settings) -> str:
    budget = settings.risk.model_budget_usd
    return f"[sentiment] model = {settings.sentiment.model}; paid models may cost {budget:g} USD a day"


def _others(environment: Mapping[str, str]) -> str:
    return ", ".join(
        f"{provider} {_needs(ModelSpec(provider, 'any'), environment)}"
        for provider in FACTS
        if provider not in HERE
    )


def _needs(spec: ModelSpec, environment: Mapping[str, str]) -> str:
    steps = [missing_extra(spec)]
    if spec.key_name and not environment.get(spec.key_name):
        steps.append(f"set {spec.key_name}")
    return f"({' and '.join(filter(None, steps)) or 'ready for an entry in [models.named]'})"


def _named(
    name: str, spec: ModelSpec, settings: Settings, environment: Mapping[str, str], *, use: str
) -> Finding:
    what = f"model {name}"
    try:
        facts = _look(spec, settings, environment, machine_now().date())
    except MarketloomError as error:
        return Finding(what, Health.BROKEN if use else Health.NOTE, str(error))
    used = use or "is not used: [sentiment] model names another"
    return Finding(what, Health.OK, f"{spec.priced_as}, {used}; answers by {spec.means}; {facts}")


def _look(spec: ModelSpec, settings: Settings, environment: Mapping[str, str], today: date) -> str:
    """Return what is there; raise for the first thing that is not."""
    if command := missing_extra(spec):
        raise MarketloomError(f"{spec.priced_as} needs packages that are not installed: {command}")
    api_key(spec, environment)
    if spec.provider is Provider.LOCAL:
        return f"file {fingerprint(Path(spec.model).expanduser())}, free"
    price = price_of(spec, settings.models.dated_prices, today)
    if price == FREE:
        return f"{spec.base_url}, free"
    known = [each.valid_from for each in settings.models.dated_prices if each.model == spec.priced_as]
    age = (today - max(each for each in known if each <= today)).days
    old = f", {age} days old: compare it with the provider's list" if age > OLD_PRICE_DAYS else ""
    return f"{price.input:g} USD per million tokens read, {price.output:g} written{old}"
