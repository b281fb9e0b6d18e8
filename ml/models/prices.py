"""What tokens cost: the price table of the settings, each price valid from a day."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from ml.models.specification import ModelSpec
from trading.errors import InvalidSettings, InvalidValue

BYTES_PER_TOKEN = (
    3.0  # of a prompt, for the estimate before a call: English has about 4, so it is rather too high
)


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """USD per million tokens; both 0 for a model on this machine."""

    input: float
    output: float

    def __post_init__(self) -> None:
        for value in (self.input, self.output):
            if not (math.isfinite(value) and value >= 0):
                raise InvalidValue(f"a price must be a finite number of USD from 0, not {value}")

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        """Return USD."""
        return (input_tokens * self.input + output_tokens * self.output) / 1e6

    def estimate(self, prompt_bytes: int, max_output_tokens: int) -> float:
        """Return what a call costs when its answer is as long as it may be."""
        return self.cost(math.ceil(prompt_bytes / BYTES_PER_TOKEN), max_output_tokens)


FREE = TokenPrice(input=0.0, output=0.0)


@dataclass(frozen=True, slots=True)
class DatedPrice:
    """`model` is provider and name, such as openai/gpt-5-mini."""

    model: str
    valid_from: date
    price: TokenPrice


def price_of(spec: ModelSpec, prices: Sequence[DatedPrice], day: date) -> TokenPrice:
    """Return the newest price that is valid on the day; InvalidSettings without one: no budget could be kept."""
    if spec.is_free:
        return FREE
    known = [each for each in prices if each.model == spec.priced_as and each.valid_from <= day]
    if not known:
        raise InvalidSettings(
            f"[[models.prices]] has no price of {spec.priced_as} on {day}: add one with what its provider charges; "
            "without it the daily budget could not be kept"
        )
    return max(known, key=lambda each: each.valid_from).price
