"""The prompts of agents that are language models; each is a file, and a text that was used is never edited."""

from enum import StrEnum

from ml.models.prompt_files import Prompt, load_prompt


class Variant(StrEnum):
    """How a trader is asked to weigh evidence."""

    CONSERVATIVE = "conservative"
    BALANCED = "balanced"
    AGGRESSIVE = "aggressive"


def trader_prompt(variant: Variant) -> Prompt:
    return load_prompt("ml.agents", f"trader-{variant}", 1)


def debate_prompt(variant: Variant) -> Prompt:
    """Return what a trader is told that is shown the others' answers: its own prompt, and how to read them."""
    own, debate = trader_prompt(variant), load_prompt("ml.agents", "debate", 1)
    return Prompt(f"{own.name}-debate", debate.version, f"{own.text}\n\n{debate.text}")


def analyst_prompt() -> Prompt:
    return load_prompt("ml.agents", "analyst", 1)


def monitor_prompt() -> Prompt:
    return load_prompt("ml.agents", "monitor", 1)


def agent_prompt_hashes() -> frozenset[str]:
    """Return the hashes of the prompts that would be used now."""
    used = [prompt(each).hash for prompt in (trader_prompt, debate_prompt) for each in Variant]
    return frozenset([analyst_prompt().hash, *used])
