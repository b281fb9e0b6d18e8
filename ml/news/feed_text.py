"""Text of feeds: from bytes in a stated encoding to a document, and from markup to plain words.

A document that declares entities is refused before any parser sees it: an entity that holds others, or is named a
thousand times, becomes gigabytes (XML bombs). No feed needs one.
"""

import codecs
import html
import re
import unicodedata

from trading.errors import NewsUnreachable

MAX_MARKS = (
    150_000  # "<" of a document: the parser takes 0.03 ms for each, and a feed of whole articles has 20,000
)
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
    if not re.search(r"<(?:\w+:)?(?:rss|feed|RDF)\b", text[:5000]):
        raise NewsUnreachable(f"{name}: it is neither RSS nor Atom")
    if not _END.search(text[-1000:]):
        raise NewsUnreachable(f"{name}: it ends before its end")
    return text


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
    unescaped = _TAG.sub(" ", _HIDDEN.sub(" ", html.unescape(shown)))
    visible = "".join(" " if each.isspace() else each for each in unescaped if _is_visible(each))
    words = " ".join(visible.split())
    return _FOOTER.sub("", words[:limit])


def _is_visible(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn")
