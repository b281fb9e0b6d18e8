"""What tokens cost: the price table of the settings, each price valid from a day."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from ml.models.specification import ModelSpec
from trading.errors import InvalidSettings, InvalidValue

ASCII_PER_TOKEN = 3.0  # bytes of a prompt, for the estimate before a call: English has about 4


def tokens_at_most(prompt: bytes) -> int:
    """Estimate the tokens of a prompt in UTF-8, rather too many.

    Tokenizers that work on bytes give a byte one token at most. Outside ASCII that bound is taken, since scripts that
    a tokenizer does not know do cost so much; ASCII is counted as English with a margin.
    """
    plain = sum(each < 0x80 for each in prompt)
    return math.ceil(plain / ASCII_PER_TOKEN) + len(prompt) - plain


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

    def estimate(self, prompt: bytes, max_output_tokens: int) -> float:
        """Return what a call costs when its answer is as long as it may be."""
        return self.cost(tokens_at_most(prompt), max_output_tokens)


FREE = TokenPrice(input=0.0, output=0.0)
_OWN_SERVER = (
    ", or input = 0.0 and output = 0.0 where the model runs on your own server and nobody sends a bill"
)


@dataclass(frozen=True, slots=True)
class DatedPrice:
    """`model` is provider and name, such as openai/gpt-5-mini."""

    model: str
    valid_from: date
    price: TokenPrice


def price_of(spec: ModelSpec, prices: Sequence[DatedPrice], day: date) -> TokenPrice:
    """Return the newest price that is valid on the day. Only what is known to run here is free without one.

    InvalidSettings where no price is valid, or where a model at a public address would cost nothing: no budget could
    be kept.
    """
    rows = [each for each in prices if each.model == spec.priced_as]
    if not rows and spec.runs_here:
        return FREE
    known = [each for each in rows if each.valid_from <= day]
    if not known:
        raise InvalidSettings(
            f"[[models.prices]] has no price of {spec.priced_as} on {day}: add one with what its provider charges"
            f"{_OWN_SERVER if spec.is_local else ''}; without it the daily budget could not be kept"
        )
    price = max(known, key=lambda each: each.valid_from).price
    if price == FREE and not spec.is_local:
        raise InvalidSettings(
            f"[[models.prices]] says that {spec.priced_as} costs nothing, and {spec.address or 'its provider'} is not "
            "in a private network: write what is charged there"
        )
    return price
