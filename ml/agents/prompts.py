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


def analyst_prompt() -> Prompt:
    return load_prompt("ml.agents", "analyst", 1)


def monitor_prompt() -> Prompt:
    return load_prompt("ml.agents", "monitor", 1)


def agent_prompt_hashes() -> frozenset[str]:
    """Return the hashes of the prompts that would be used now."""
    return frozenset([analyst_prompt().hash, *(trader_prompt(each).hash for each in Variant)])
