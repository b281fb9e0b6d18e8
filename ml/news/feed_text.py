"""Text of feeds: from bytes in a stated encoding to a document, and from markup to plain words.

A document that declares entities is refused before any parser sees it: an entity that holds others, or is named a
thousand times, becomes gigabytes (XML bombs). No feed needs one.
"""

import codecs
import html
import re

from ml.text.visible import visible
from trading.errors import NewsUnreachable

MAX_MARKS = (
    150_000  # "<" of a document: the parser takes 0.03 ms for each, and a feed of whole articles has 20,000
)
MAX_ATTRIBUTES = 100  # of one element: the parser's time grows with their square; a feed's elements have 10
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_ENCODINGS = re.compile(
    r"utf-?8|us-ascii|ascii|iso-?8859-\d+|latin-?1|windows-125\d|koi8-[ru]|shift_jis|euc-(?:jp|kr)|gb(?:k|2312|18030)|big5"
)
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]{0,200}encoding\s*=\s*["']([\w.:-]{1,40})["']""")
_CHARSET = re.compile(r"charset=[\"']?([\w.:-]{1,40})")
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
# A tag as an XML parser sees it, with what is in quotes left out of its attributes; "<" stands in none.
_XML_TAG = re.compile(r"""<[^\s<>/!?"'=](?:[^<>"']++|"[^"<]*+"|'[^'<]*+')*+""")
_QUOTED = re.compile(r""""[^"]*"|'[^']*'""")
# References to what is no character of XML, a half of a surrogate pair for one: a strict parser refuses the document.
_REFERENCE = re.compile(r"&#(?:[xX]([0-9a-fA-F]++)|([0-9]++));")
# The library refuses to read the number of a reference with thousands of digits.
_ENDLESS = re.compile(r"&#[0-9]{8,};?")
_MAX_DIGITS = 7  # of the number of a character
_END = re.compile(r"</(?:\w+:)?(?:rss|feed|RDF)\s*>\s*(?:<!--[^>]*-->\s*)*$")
_HIDDEN = re.compile(r"<(script|style)\b.*?(?:</\1\s*>|$)|<!--.*?(?:-->|$)", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
# What WordPress puts below each item; it names the paper, which may be named after an asset.
_FOOTER = re.compile(r"\s*The post .{1,300}? (?:appeared first|first appeared) on .{1,100}$", re.DOTALL)


def feed_document(body: bytes, content_type: str, name: str) -> str:
    """Return the XML document without its declaration; NewsUnreachable for what is no whole feed."""
    text = _DECLARATION.sub("", _decoded(body, content_type, name).lstrip("\ufeff"), count=1).replace(
        "\0", ""
    )
    if re.search(r"<!ENTITY", text, re.IGNORECASE):
        raise NewsUnreachable(f"{name}: it declares entities, which no feed needs: refused unread")
    if (marks := text.count("<")) > MAX_MARKS:
        raise NewsUnreachable(f"{name}: it has {marks} elements, at most {MAX_MARKS} are read")
    attributes = [_QUOTED.sub("", tag[0]).count("=") for tag in _XML_TAG.finditer(text)]
    if max(attributes, default=0) > MAX_ATTRIBUTES:
        raise NewsUnreachable(
            f"{name}: an element has {max(attributes)} attributes, at most {MAX_ATTRIBUTES} are read"
        )
    if marks + sum(attributes) > MAX_MARKS:
        raise NewsUnreachable(
            f"{name}: it has {marks} elements and {sum(attributes)} attributes, at most {MAX_MARKS} are read"
        )
    if not re.search(r"<(?:\w+:)?(?:rss|feed|RDF)\b", text[:5000]):
        raise NewsUnreachable(f"{name}: it is neither RSS nor Atom")
    if not _END.search(text[-1000:]):
        raise NewsUnreachable(f"{name}: it ends before its end")
    return _REFERENCE.sub(_character, text)


def _character(reference: re.Match[str]) -> str:
    """Return the reference as it is, or the sign for what cannot be shown where XML has no such character."""
    digits = (reference[1] or reference[2]).lstrip("0") or "0"
    number = int(digits, 16 if reference[1] else 10) if len(digits) <= _MAX_DIGITS else 0
    known = number in (9, 10, 13) or 0x20 <= number < 0xD800 or 0xE000 <= number <= 0x10FFFF
    return reference[0] if known and number not in (0xFFFE, 0xFFFF) else "\ufffd"


def _decoded(body: bytes, content_type: str, name: str) -> str:
    for mark, encoding in _BOMS:
        if body.startswith(mark):
            return body[len(mark) :].decode(encoding, "replace")
    declared = _DECLARED.match(body[:300])
    charset = _CHARSET.search(content_type.lower())
    stated = declared[1].decode() if declared else charset[1] if charset else "utf-8"
    if not _ENCODINGS.fullmatch(stated.lower()):
        raise NewsUnreachable(f"{name}: its encoding {stated!r} is not read")
    try:
        return body.decode(stated.lower(), "replace")
    except LookupError:
        raise NewsUnreachable(f"{name}: its encoding {stated!r} is not known") from None


def plain_text(markup: str, limit: int) -> str:
    """Reduce markup to words in one line: no tags, scripts, comments or invisible characters; at most `limit` long."""
    shown = _TAG.sub(" ", _HIDDEN.sub(" ", markup[: 2 * limit]))
    # Twice: what is escaped in a feed is often markup itself.
    unescaped = _TAG.sub(" ", _HIDDEN.sub(" ", html.unescape(_ENDLESS.sub("\ufffd", shown))))
    words = " ".join(visible(unescaped).split())
    return _FOOTER.sub("", words[:limit])
