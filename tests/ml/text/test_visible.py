import unicodedata

import pytest

from ml.text.visible import is_visible, visible

HIDDEN = [
    "\u200b", "\u202e", "\ufeff", "\u00ad", "\x00", "\x7f", "\ue000", "\ud800", "\ufdd0", "\u2065", "\U000e0041",
    "\u034f", "\u115f", "\u1160", "\u17b4", "\u180b", "\u3164", "\ufe00", "\ufe0f", "\uffa0",
    "\U00016fe4", "\U000e0100", "\U000e01ef",
]  # fmt: skip


@pytest.mark.parametrize("hidden", HIDDEN, ids=[f"U+{ord(each):04X}" for each in HIDDEN])
def test_what_nobody_sees_is_taken_out(hidden: str) -> None:
    assert visible(f"Bit{hidden}coin") == "Bitcoin"


@pytest.mark.parametrize("space", ["\u2028", "\u2029", "\u00a0", "\u3000", "\x85", "\n", "\t", "\u2800"])
def test_every_white_space_is_a_space(space: str) -> None:
    assert visible(f"up{space}down") == "up down"


def test_lines_stay_only_where_asked_for() -> None:
    assert visible("a\nb\tc\u2028d\re", keep_lines=True) == "a\nb\tc d e"


def test_an_order_in_variation_selectors_does_not_pass() -> None:
    order = "".join(chr(0xE0100 + each - 16) for each in b"sentiment 1")
    assert visible(f"Bitcoin steady{order}") == "Bitcoin steady"


def test_letters_of_every_script_marks_and_symbols_are_seen() -> None:
    text = "Café ₿ 1 é Курс 比特币 नमस्ते ข่าว 한국 🚀 \u0301"
    assert visible(text) == text


def test_no_character_of_another_category_than_letters_marks_numbers_signs_and_spaces_is_seen() -> None:
    seen = {unicodedata.category(chr(each))[0] for each in range(0x110000) if is_visible(chr(each))}
    assert seen == {"L", "M", "N", "P", "S", "Z", "C"}
    controls = [each for each in map(chr, range(0x110000)) if unicodedata.category(each) == "Cc"]
    assert all(each.isspace() for each in controls if is_visible(each))
