"""What the doctor says of language models: what those of the settings lack, and how others are had."""

from pathlib import Path

import pytest
from rich.console import Console

from ml.models.budget import BudgetLadder, Rung
from orchestration.commands import doctor_models, model_status
from orchestration.commands.doctor_models import examine_models
from orchestration.commands.findings import Finding, Health
from orchestration.model_settings import BUILT_IN
from orchestration.settings import load_settings
from trading.errors import InvalidSettings

CLAUDE = '{provider = "anthropic", model = "claude-haiku-4-5"}'

PROJECT = Path(__file__).parents[3]


def findings(home: Path, keys: dict[str, str] | None = None, **variables: str) -> list[Finding]:
    environment = {"MARKETLOOM_HOME": str(home)} | {
        f"MARKETLOOM__{name}": text for name, text in variables.items()
    }
    return list(examine_models(load_settings(environment), keys or {}))


def test_without_a_named_model_it_says_how_each_provider_is_had(tmp_path: Path) -> None:
    (found,) = findings(tmp_path)
    assert found.health is Health.OK
    assert "[sentiment] model = auto; paid models may cost 5 USD a day" in found.detail
    for words in ("anthropic (set ANTHROPIC_API_KEY)", "xai (set XAI_API_KEY)", "local (ready for an entry"):
        assert words in found.detail


@pytest.mark.parametrize("word", BUILT_IN)
def test_every_word_that_chooses_a_packaged_model_is_allowed(tmp_path: Path, word: str) -> None:
    (found,) = findings(tmp_path, SENTIMENT__MODEL=word)
    assert f"[sentiment] model = {word};" in found.detail
    documented = (PROJECT / "docs" / "sentiment.md").read_text(encoding="utf-8")
    assert f"| `{word}` |" in documented


def test_a_package_that_is_missing_is_named_by_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        doctor_models, "missing_extra", lambda spec: f"pip install 'marketloom[{spec.facts.extra}]'"
    )
    (found,) = findings(tmp_path)
    assert "deepseek (pip install 'marketloom[deepseek]' and set DEEPSEEK_API_KEY)" in found.detail


def test_a_named_model_without_its_key_is_broken_where_it_is_used_and_a_note_elsewhere(
    tmp_path: Path,
) -> None:
    first, _ = findings(tmp_path, MODELS__NAMED__CLAUDE=CLAUDE)
    assert (first.health, "set ANTHROPIC_API_KEY" in first.detail) == (Health.NOTE, True)
    first, _ = findings(tmp_path, MODELS__NAMED__CLAUDE=CLAUDE, SENTIMENT__MODEL="claude")
    assert first.health is Health.BROKEN


def test_a_named_model_that_can_be_asked_shows_its_price_and_never_its_key(tmp_path: Path) -> None:
    first, _ = findings(
        tmp_path, {"ANTHROPIC_API_KEY": "sk-1"}, MODELS__NAMED__CLAUDE=CLAUDE, SENTIMENT__MODEL="claude"
    )
    assert first.health is Health.OK
    assert "judges headlines" in first.detail
    assert "1 USD per million tokens read, 5 written" in first.detail
    assert "sk-1" not in first.detail


def test_a_paid_model_without_a_price_is_no_model_that_can_be_asked(tmp_path: Path) -> None:
    grok = '{provider = "xai", model = "grok-9"}'
    first, _ = findings(tmp_path, {"XAI_API_KEY": "x"}, MODELS__NAMED__GROK=grok)
    assert "[[models.prices]] has no price of xai/grok-9" in first.detail


def test_a_local_file_that_is_missing_is_named(tmp_path: Path) -> None:
    file = f'{{provider = "local", model = "{tmp_path}/none.gguf"}}'
    first, _ = findings(tmp_path, MODELS__NAMED__FILE=file)
    assert "none.gguf: No such file" in first.detail


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"SENTIMENT__MODEL": "claude"},
            "allowed is one of auto, ollama, classifier, lexicon; a further model is an entry",
        ),
        ({"MODELS__NAMED__AUTO": CLAUDE}, "is a word of"),
        ({"MODELS__NAMED__A": '{provider = "openai-compatible", model = "a"}'}, "base_url must say"),
        ({"MODELS__NAMED__A": '{provider = "gpt", model = "a"}'}, "allowed is one of ollama, anthropic"),
        ({"MODELS__CACHED_FROM": "0.1"}, "one_model_from and cached_from must be shares"),
        ({"RISK__MODEL_BUDGET_USD": "-1"}, "model_budget_usd is -1"),
    ],
)
def test_settings_of_models_that_make_no_sense_are_refused_in_words(
    variables: dict[str, str], words: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidSettings) as refused:
        findings(tmp_path, **variables)
    assert words in str(refused.value)


def test_status_shows_the_budget_as_a_limit() -> None:
    out = Console(record=True, width=200)
    facts = {
        "sentiment": "auto",
        "spent_today_usd": 4.6,
        "budget_usd": 5.0,
        "rung": str(BudgetLadder(5.0).rung(4.6)),
    }
    model_status.show(facts, out)
    assert out.export_text().strip() == "language models: 4.60 of 5 USD spent today: cached sentiment"
    assert facts["rung"] == Rung.CACHED
