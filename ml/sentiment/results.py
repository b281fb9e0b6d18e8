"""Reads a company's results: which figure moved, which way, and whether more of it is good.

`Operating profit fell to EUR 3 mn while sales rose` is bad news: of several figures the one nearest to the owners'
profit speaks. Where no verb says the way, two amounts that are compared do: `a loss of 0.8 mn, compared to a profit
of 0.5 mn`. Rules for English, written by hand.
"""

import re
from dataclasses import dataclass
from enum import IntEnum


class Grade(IntEnum):
    """How much a figure says; the largest speaks for the sentence."""

    COST = 1
    TURNOVER = 2
    PROFIT = 3


_PROFIT = (
    r"profits?|profitability|earnings(?! call)|eps|ebit(?:da?)?|pbt|(?:operating|net|pre-?tax) (?:income|result)"
    r"|results?(?= (?:rose|fell|improved|weakened|was|were|for|of|will))|margins?|cash flows?|return on \w+"
    r"|profit performance"
)
_LOSS = r"loss|losses|deficit"
_TURNOVER = (
    r"sales(?! (?:office|director|manager|network|company|channel|unit|team|organi[sz]ation|representative|force))"
    r"|revenues?|turnover|order (?:books?|intake|backlog|stock)|backlog|(?:\w+ )?volumes?|market shares?|demand"
    r"|orders(?= (?:received|rose|fell|grew|were|was|for|worth|in|increased|decreased|declined))"
    r"|deliver(?:y|ies)|production(?! (?:line|plant|unit|facilit))|exports?|passengers?|traffic|subscribers?"
    r"|circulation|load factor|income|premiums?|(?<!number of )(?<!new )(?<!own )shares|share price|stocks?|index"
    r"|market(?= (?:is|has|was|will|grew|fell|rose|shrank))|performance|dividends?|productivity|efficiency|forecast"
    r"|guidance"
)
_COST = r"costs?(?! savings)|expenses?|expenditures?|debts?|indebtedness|errors|fees"
_UP = (
    r"rise[sn]?|rising|rose|increas(?:e[sd]?|ing)|gr[eo]w(?:s|n|ing)?|growth|climb(?:s|ed|ing)?|jump(?:s|ed)?"
    r"|surg(?:e[sd]?|ing)|soar(?:s|ed|ing)?|improv(?:e[sd]?|ing|ement)|strengthen(?:s|ed|ing)?|higher"
    r"|up(?! to\b)|(?:more than )?doubled?|tripled|quadrupled|boost(?:s|ed)?|exceed(?:s|ed)?|advanced"
    r"|gain(?:s|ed)|recover(?:s|ed|y|ing)?|better|widen(?:s|ed|ing)?|expand(?:s|ed)?|rebound(?:s|ed)?|raised?"
    r"|accelerat(?:e[sd]?|ing)|boomed|went up|picked up"
)
_DOWN = (
    r"falls?|fell|fallen|falling|decreas(?:e[sd]?|ing)|declin(?:e[sd]?|ing)|drop(?:s|ped|ping)?|down|lower(?:s|ed)?"
    r"|plung(?:e[sd]?|ing)|plummet(?:s|ed)?|slump(?:s|ed|ing)?|shr[aiu]nk(?:s|ing)?|narrow(?:s|ed|ing)?"
    r"|weaken(?:s|ed|ing)?|weaker|reduc(?:e[sd]?|ing|tion)|cuts?|slid|slides?|slip(?:s|ped)?|sank|halved"
    r"|contract(?:ed|s(?= (?:by|to)\b))|diminish(?:es|ed)?|deteriorat(?:e[sd]?|ing|ion)|worsen(?:s|ed)?|worse"
    r"|slow(?:s|ed|er)?|below|smaller|tumbled?|lost|eased?"
)
# What follows gives a cause, a contrast or a second figure: it is read by itself.
_CLAUSE = re.compile(
    r"\s*(?:;|\b(?:while|whereas|but|although|though|despite|in spite of|due to|because|as a result of|thanks to"
    r"|owing to|when|after|following|driven by|on the back of|amid)\b(?! a year))\s*"
)
_SECOND = re.compile(
    r",? and (?=(?:[\w.'-]+ ){0,3}(?:profits?|sales|loss|margins?|earnings|eps|revenues?|turnover)\b)"
)
_AGAINST = re.compile(
    r"\b(?:(?:as )?compared (?:to|with)|versus|vs\.?|against|from|up from|down from|while a year (?:before|ago|earlier)"
    r"|in contrast to)\b"
)
_BRACKETS = re.compile(r"\([^()]*\)")
_CURRENCY = r"(?:eur(?:os?)?|usd|us \$|us\$|sek|nok|dkk|gbp|[$€£]|rs|skr|%)"
_AMOUNT = re.compile(
    rf"(?<![\w.,-])(?P<unit>{_CURRENCY})?\s?(?P<minus>-|minus )?\s?(?P<whole>\d{{1,3}}(?:,\d{{3}})+|\d+)"
    r"(?:\s?\.\s?(?P<part>\d+))?\s?(?P<scale>bn|billion|mn|mln|million|m\b|k\b|thousand)?"
)
_SCALES = {"b": 1e9, "m": 1e6, "k": 1e3, "t": 1e3}
_MINUS = re.compile(rf"\b(?:{_LOSS}|negative)\b")
_PLUS = re.compile(r"\b(?:profits?|positive)\b")
_TOKEN = re.compile(
    rf"\b(?:(?P<profit>{_PROFIT})|(?P<loss>{_LOSS})|(?P<turnover>{_TURNOVER})|(?P<cost>{_COST})"
    rf"|(?P<up>{_UP})|(?P<down>{_DOWN}))(?![\w-])"
)
_FIGURES = {
    "profit": (Grade.PROFIT, 1), "loss": (Grade.PROFIT, -1), "turnover": (Grade.TURNOVER, 1), "cost": (Grade.COST, -1)
}  # fmt: skip
_TURN = re.compile(
    r"\b(?:slip|fell|fall|sank|sink|swung|swing|turn|slid|mov|went|plung)\w* (?:back )?(?:in)?to (?:[\w.,$-]+ ){0,8}?"
    r"(?:(?P<profit>profits?)|loss)\b"
)
_JUDGING = re.compile(
    r"improv|better|strength|recover|weak|worse|deterior"
)  # good or bad whatever the figure
_BEHIND, _BEFORE = 90, 25  # characters between a figure and its verb, and between a verb and its figure


@dataclass(frozen=True, slots=True)
class Move:
    grade: Grade
    sign: int  # 1 is good for the owners, -1 is bad


def result_of(text: str) -> int:
    """Return 1 for a figure that moved for the better, -1 for the worse, 0 where no figure moved."""
    plain = _BRACKETS.sub(" ", text.lower().replace("pre-tax", "pretax").replace("per cent", "%"))
    moves = [
        move
        for clause in _CLAUSE.split(re.sub(r"\s+", " ", plain))
        for part in _SECOND.split(clause)
        if (move := _move(part)) is not None
    ]
    return max(moves, key=lambda move: move.grade).sign if moves else 0


def _move(clause: str) -> Move | None:
    """Return what the clause says of its most telling figure."""
    found = list(_TOKEN.finditer(clause))
    figures = [each for each in found if each.lastgroup in _FIGURES]
    verbs = [each for each in found if each.lastgroup in ("up", "down")]
    if not figures:
        return None
    if turn := _TURN.search(clause):
        return Move(Grade.PROFIT, 1 if turn["profit"] else -1)
    compared = _compared(clause, figures[0])
    if compared and _MINUS.search(clause) and _PLUS.search(clause):
        return Move(Grade.PROFIT, compared)
    moves = [move for verb in verbs if (move := _moved(verb, figures)) is not None]
    if moves:
        return max(moves, key=lambda move: move.grade)
    grade, sign = _FIGURES[str(figures[0].lastgroup)]
    return Move(grade, compared if grade is Grade.PROFIT else sign * compared) if compared else None


def _moved(verb: re.Match[str], figures: list[re.Match[str]]) -> Move | None:
    before = [each for each in figures if 0 <= verb.start() - each.end() <= _BEHIND]
    behind = [each for each in figures if 0 <= each.start() - verb.end() <= _BEFORE]
    if not before and not behind:
        return None
    figure = max(before, key=lambda each: _FIGURES[str(each.lastgroup)][0]) if before else behind[0]
    grade, sign = _FIGURES[str(figure.lastgroup)]
    sign = 1 if _JUDGING.match(verb[0]) else sign
    return Move(grade, sign if verb.lastgroup == "up" else -sign)


def _compared(clause: str, figure: re.Match[str]) -> int:
    """Return the sign of now less before, losses counted below zero; 0 where nothing is compared."""
    for against in _AGAINST.finditer(clause, figure.end()):
        first, second = clause[: against.start()], clause[against.end() :]
        before = _amounts(second, _MINUS.search(figure[0]) is not None)
        if not before:
            continue
        now = [each for each in _amounts(first, False) if each[0] == before[0][0]]
        if now and now[-1][1] != before[0][1]:
            return 1 if now[-1][1] > before[0][1] else -1
    return 0


def _amounts(text: str, negative: bool) -> list[tuple[str, float]]:
    """Return (unit, amount) in order; `negative` unless a word says otherwise; what looks like a year is left out."""
    amounts = []
    for found in _AMOUNT.finditer(text):
        whole = int(found["whole"].replace(",", ""))
        percent = text[found.end() :].lstrip().startswith(("%", "pct", "percent"))
        unit = "%" if percent else (found["unit"] or "").strip()
        if not unit and not found["scale"] and found["part"] is None and 1990 <= whole <= 2030:
            continue
        words = text[: found.start()]
        below = bool(_MINUS.search(words)) or (negative and not _PLUS.search(words))
        value = float(f"{whole}.{found['part'] or 0}") * _SCALES.get((found["scale"] or " ")[0], 1.0)
        amounts.append((unit, -value if below or found["minus"] else value))
    return amounts
