"""Answers that are wrong by construction, made of a right one: what models, proxies and attackers are known to send."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from langchain_core.messages import AIMessage

Change = Callable[[dict[str, Any], random.Random], str | AIMessage]
WRONG_VALUES = ["0.5", True, None, [], {}, 1e9, -1e9, "LONG ", ""]
PAGE = "<html><head><title>502 Bad Gateway</title></head></html>"


def text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def cut(right: dict[str, Any], rng: random.Random) -> str:
    whole = text(right)
    return whole[: rng.randrange(len(whole))]


def without_a_field(right: dict[str, Any], rng: random.Random) -> str:
    dropped = rng.choice(sorted(right))
    return text({name: value for name, value in right.items() if name != dropped})


def renamed(right: dict[str, Any], rng: random.Random) -> str:
    name = rng.choice(sorted(right))
    other = rng.choice([name.upper() + "_", f" {name}", f"{name}\u200b", "置信度", name[:-1]])
    return text({other if key == name else key: value for key, value in right.items()})


def doubled(right: dict[str, Any], rng: random.Random) -> str:
    name = rng.choice(sorted(right))
    return text(right)[:-1] + f",{text(name)}:{text(right[name])}}}"


def wrong_value(right: dict[str, Any], rng: random.Random) -> str:
    return text(right | {"confidence": rng.choice(WRONG_VALUES)})


def no_number(right: dict[str, Any], rng: random.Random) -> str:
    return text(right).replace(
        f'"confidence":{right["confidence"]}', f'"confidence":{rng.choice(["NaN", "Infinity", "-Infinity"])}'
    )


def huge_number(right: dict[str, Any], rng: random.Random) -> str:
    return text(right).replace(
        f'"confidence":{right["confidence"]}', f'"confidence":{"9" * rng.choice([30, 400, 5000])}'
    )


def one_field_more(right: dict[str, Any], rng: random.Random) -> str:
    return text(
        right | {rng.choice(["order", "leverage", "__class__", "limit"]): rng.choice([1, "buy", None])}
    )


def wrapped(right: dict[str, Any], rng: random.Random) -> str:
    whole = text(right)
    forms = [
        f"[{whole}]", text(whole), f'{{"answer":{whole}}}', f"Sure! {whole}", f"{whole}\nI hope this helps.",
        f"{whole}{whole}", f"```json\n{whole}\n```\n```json\n{whole}\n```", f"<think>{whole}", f"({whole})",
        whole.replace('"', "'"), whole.replace('"', "\u201c"), f"{whole[:-1]},}}", f"{whole}</think>",
    ]  # fmt: skip
    return rng.choice(forms)


def nothing(right: dict[str, Any], rng: random.Random) -> str:
    return rng.choice(
        ["", " ", "\n\t", "\0", "null", "true", "[]", "{}", "42", "NaN", PAGE, "<think></think>"]
    )


def deep(right: dict[str, Any], rng: random.Random) -> str:
    depth = rng.choice([10, 1000, 60_000])
    return rng.choice(["[" * depth, '{"a":' * depth, "[" * depth + "]" * depth, "<think>" * (depth // 7)])


def garbage(right: dict[str, Any], rng: random.Random) -> str:
    return "".join(
        chr(rng.choice([0, 7, 0x22, 0x7B, 0x202E, 0xD800, 0xFFFF, 0x1F600]))
        for _ in range(rng.randrange(200))
    )


def two_calls(right: dict[str, Any], rng: random.Random) -> AIMessage:
    call = {"name": "answer", "args": right}
    return AIMessage(content="", tool_calls=[call | {"id": "1"}, call | {"id": "2"}])


def strange_blocks(right: dict[str, Any], rng: random.Random) -> AIMessage:
    blocks: list[Any] = [
        {"type": "thinking", "thinking": text(right)},
        {"type": "text"},
        {"type": "image", "text": "x"},
    ]
    return AIMessage(content=blocks)


CHANGES: tuple[Change, ...] = (
    cut, without_a_field, renamed, doubled, wrong_value, no_number, huge_number, one_field_more, wrapped, nothing, deep,
    garbage, two_calls, strange_blocks,
)  # fmt: skip


def malformed(right: dict[str, Any], count: int, seed: int) -> Iterator[str | AIMessage]:
    """Yield `count` wrong answers, the kinds in turn."""
    rng = random.Random(seed)
    for number in range(count):
        yield CHANGES[number % len(CHANGES)](right, rng)
