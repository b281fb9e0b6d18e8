"""Language models: how often a small real one keeps the form, by each means, and how fast wrong answers are refused."""

from collections.abc import Callable, Iterator
from datetime import date

from pydantic import BaseModel

from benchmarks.row import Benchmark, Row, best, row
from ml.agents.model_trader import MIN_OUTPUT_TOKENS, trader_message
from ml.agents.prompts import Variant, trader_prompt
from ml.agents.trading_decision import TradingDecision
from ml.decision.decide import ask
from ml.models.answers import raw_answer, read_answer
from ml.models.budget import BudgetLadder
from ml.models.clients import ModelClients
from ml.models.prompt_files import Prompt
from ml.models.rules import ClientRules
from ml.models.specification import ModelSpec, Provider, Structure
from ml.sentiment.language_model import SentimentAnswer
from ml.sentiment.prompts import SENTIMENT_PROMPT, delimited
from tests.doubles.stores import MemoryModelCalls
from tests.ml.decision.trading_day import RULES, decision_inputs
from tests.ml.models.malformed import malformed
from tests.ml.models.small_model import small_model
from tests.ml.models.test_malformed import DECISION, SENTIMENT

HEADLINES = (
    "Bitcoin falls after an exchange was hacked", "XRP rallies as the lawsuit ends", "Regulator delays its decision",
    "Miners sell as fees drop", "Bank opens custody for digital assets", "Network upgrade passes without trouble",
    "Stablecoin issuer publishes its reserves", "Whale moves 10,000 BTC to an exchange",
)  # fmt: skip
DRIFTS = (-0.004, -0.002, -0.001, -0.0005, 0.0005, 0.001, 0.002, 0.004)  # of the simulated markets
QUESTIONS: dict[str, tuple[Prompt, type[BaseModel], int, Callable[[], list[str]]]] = {
    "sentiment": (SENTIMENT_PROMPT, SentimentAnswer, 64, lambda: [delimited(each) for each in HEADLINES]),
    "decision": (
        trader_prompt(Variant.BALANCED),
        TradingDecision,
        MIN_OUTPUT_TOKENS,
        lambda: [trader_message(ask(decision_inputs(drift), RULES)) for drift in DRIFTS],
    ),
}
MALFORMED = 10_000


def valid_answers() -> Iterator[Row]:
    """Ask the tests' model about headlines and markets by every means; the share of valid answers, repairs included."""
    for name, (prompt, schema, tokens, texts) in QUESTIONS.items():
        shares: dict[Structure, float] = {}
        for means in Structure:
            shares[means], seconds = _share(prompt, schema, means, tokens, texts())
            yield row(
                f"models/{name}/{means}",
                f"share of valid answers of SmolLM2-135M, {name}, {len(texts())} questions, {seconds:.2f} s each",
                shares[means],
                "share",
                f"the same model, constrained to the schema: {shares[Structure.JSON_SCHEMA]:.0%}",
                None,
                target="none: it proves the path, not the judgement",
                packages=("xllamacpp", "langchain-openai"),
            )


def _share(
    prompt: Prompt, schema: type[BaseModel], means: Structure, tokens: int, texts: list[str]
) -> tuple[float, float]:
    calls = MemoryModelCalls()
    clients = ModelClients(
        calls, ClientRules(seconds=120.0, at_once=1), BudgetLadder(0.0), (), {}, lambda: date(2026, 12, 1)
    )
    spec = ModelSpec(Provider.LOCAL, str(small_model()), structure=means, max_output_tokens=tokens)
    answers = clients.client(spec, schema).ask_all(prompt, texts)
    spent = sum(each.response.seconds for each in calls.rows if each.response)
    return sum(each.value is not None for each in answers) / len(answers), spent / len(answers)


def malformed_answers() -> Iterator[Row]:
    """Read 10,000 malformed answers of two schemas; not one may give a value."""
    pairs = [(TradingDecision, DECISION), (SentimentAnswer, SENTIMENT)]
    raws = [
        (schema, raw_answer(_message(wrong)))
        for schema, right in pairs
        for wrong in malformed(right, MALFORMED // 2, seed=1)
    ]
    values = sum(read_answer(raw, schema).value is not None for schema, raw in raws)
    assert values == 0, f"{values} malformed answers gave a value"

    def read_all() -> None:
        for schema, raw in raws:
            read_answer(raw, schema)

    yield row(
        "models/malformed",
        f"{MALFORMED} malformed answers read: no crash, no value, hence no order",
        MALFORMED / best(read_all, 3),
        "answers/s",
        "none is compared",
        None,
        target="0 crashes, 0 orders",
    )


def _message(wrong: object) -> object:
    from langchain_core.messages import AIMessage

    return AIMessage(content=wrong) if isinstance(wrong, str) else wrong


BENCHMARKS: dict[str, Benchmark] = {"models/malformed": malformed_answers, "models/valid": valid_answers}
