"""What a person sees of a text: what stays hidden from people must not reach a model either.

Invisible are control and format characters, private and unassigned ones, halves of surrogate pairs, and what Unicode
calls Default_Ignorable_Code_Point (DerivedCoreProperties.txt), some of which are letters or marks by category.
Variation selectors carry a whole hidden text, one byte each.
"""

import unicodedata

_HIDDEN_CATEGORIES = ("Cc", "Cf", "Cs", "Co", "Cn")
# Default ignorable, and of another category than those above.
_IGNORABLE = frozenset(
    chr(each)
    for first, last in (
        (0x034F, 0x034F),  # combining grapheme joiner
        (0x115F, 0x1160),  # Hangul fillers
        (0x17B4, 0x17B5),  # Khmer inherent vowels
        (0x180B, 0x180F),  # Mongolian variation selectors
        (0x3164, 0x3164),  # Hangul filler
        (0xFE00, 0xFE0F),  # variation selectors
        (0xFFA0, 0xFFA0),  # half-width Hangul filler
        (0x16FE4, 0x16FE4),  # Khitan filler: not default ignorable, and has no glyph
        (0xE0100, 0xE01EF),  # variation selectors of ideographs
    )
    for each in range(first, last + 1)
)
# Symbols without ink: braille and hieroglyphic blanks, the null notehead. They are seen as a space.
_BLANK = frozenset("\u2800\U00013441\U00013442\U0001d159")


def is_visible(character: str) -> bool:
    """Return whether a person sees it; white space is seen."""
    if character.isspace():
        return True
    return unicodedata.category(character) not in _HIDDEN_CATEGORIES and character not in _IGNORABLE


def visible(text: str, *, keep_lines: bool = False) -> str:
    """Return what a person sees: without invisible characters, and with a space for each white space.

    With `keep_lines` line feeds and tabs stay as they are; line and paragraph separators of Unicode never do.
    """
    kept = "\n\t" if keep_lines else ""
    return "".join(
        " " if each in _BLANK or (each.isspace() and each not in kept) else each
        for each in text
        if is_visible(each)
    )
