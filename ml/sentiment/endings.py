"""Reads what ends: `drops its appeal`, `outflows slow`, `no signs of capitulation` are good news made of bad words.

An ending turns a bad thing into good news (`relief_found`) and a good thing into bad news (`setback_found`). A denied
rumour says nothing of either kind (`denial_found`), and a refused relief (`refuses to dismiss the lawsuit`) is a
setback. Rules for English headlines, written by hand.
"""

import re


def _any(words: str) -> str:
    return "(?:" + "|".join(words.replace("_", r"\s+").split()) + ")"


# Words between a verb and its object: the next clause (`as`, `after`, `on` ...) is not reached, nor is a number.
_STOP = _any(
    r"""
    as after amid on following despite while but because before since when not never yet if over with
    about
    """
)
_PREPOSITION = _any(
    r"""
    in to by from below under with for at up off near against into about past toward towards the_day
    """
)
_WORD = rf"(?!{_STOP}\b)[\w'’$-]+"
_NEAR = (
    rf"(?!{_any('as after amid following while but because since when not never yet if over')}\b)[\w'’$-]+"
)
_GAP = rf"\s+(?:{_WORD}\s+){{0,5}}?"
_OBJECT = rf"\s+(?!{_PREPOSITION}\b|\d)(?:{_WORD}\s+){{0,4}}?"

_RUMOUR = _any("rumou?rs? speculation claims? reports? allegations? accusations? fud talk gossip")
_FEAR = _any("fears? concerns? worries panic anxiety jitters doubts? threats? risks?")
_LEGAL = _any(
    r"""
    lawsuits? class[-\s]action suits? probes? investigations? inquir(?:y|ies) charges complaints? case
    cases indictments? subpoenas? convictions? injunctions? enforcement_action
    """
)
_CURB = _any(
    r"""
    bans? sanctions? restrictions? curbs? penalt(?:y|ies) fines? blacklist freezes? crackdown moratorium
    delisting
    """
)
_HARM = _any(
    r"""
    insolvency bankruptcy defaults? hacks? attacks? exploits? breach(?:es)? outages? downtime bugs?
    flaws? vulnerabilit(?:y|ies) sell-?offs? loss(?:es)? outflows? redemptions? liquidations? bleeding
    declines? slumps? downturn losing_streak (?:crypto_)?winter bear_market slides? cris[ie]s contagion
    capitulation recession layoffs foul_play fraud wrongdoing manipulation shutdown delays? disruptions?
    deficits? backlog selling_pressure sell_pressure turmoil volatility scams?
    """
)
_BAD = rf"(?:{_RUMOUR}|{_FEAR}|{_LEGAL}|{_CURB}|{_HARM})"
_GOOD = _any(
    r"""
    inflows? gains? rally rallies growth demand momentum recovery rebound adoption optimism hopes?
    uptrend upswing bull_run buying_pressure appetite enthusiasm euphoria interest
    """
)

_REGULATOR = _any(
    r"""
    sec sec['’]s cftc doj ftc fca regulators? regulator['’]s watchdogs? prosecutors? prosecutors['’]
    government government['’]s plaintiffs? plaintiffs['’] justice_department
    """
)
_MOVE = _any("appeals? bids? motions? petitions? requests? cases? claims? arguments? demands?")
_COURT = _any("courts? judges? judge['’]s tribunals? panels? jur(?:y|ies) justices")

_DROP = _any(
    r"""
    drops? dropped dropping dismiss dismisses dismissed dismissing ends? ended ending closes? closed
    closing withdraws? withdrew withdrawn withdrawing abandons? abandoned scraps? scrapped lifts? lifted
    lifting removes? removed clears? cleared throws?_out threw_out thrown_out toss(?:es|ed)?(?:\s+out)?
    overturns? overturned reverses? reversed quash(?:es|ed)? vacates? vacated averts? averted avoids?
    avoided avoiding escapes? escaped survives? survived resolves? resolved fix(?:es|ed)?
    patch(?:es|ed)? thwarts? thwarted foils? foiled prevents? prevented contains? contained stops
    stopped halts? halted eases? eased recoups? recouped erases? erased shrugs?_off shrugged_off
    brush(?:es|ed)?_off repeals? repealed revokes? revoked relax(?:es|ed)? rules?_out ruled_out
    (?<!to\s)settles? settled trims? trimmed narrows? narrowed
    """
)
_REFUSE = _any(
    r"""
    rejects? rejected denies denied deny dismiss dismisses dismissed throws?_out threw_out
    toss(?:es|ed)? blocks? blocked refuses? refused
    """
)
_FADE = _any(
    r"""
    slows? slowed slowing eases? eased easing narrows? narrowed narrowing shrinks? shrank shrinking
    fades? faded fading abates? abated subsides? subsided recedes? receded wanes? waned dissipates?
    dissipated cools? cooled cooling ends? ended ending halts? halted stops? stopped
    (?:is_|are_|was_|were_|gets_)?(?:dismissed|dropped|thrown_out|tossed|withdrawn|lifted|overturned|averted|resolved)
    dr(?:y|ies|ied)_up vanish(?:es|ed)? evaporates? evaporated disappears? disappeared reverses?
    reversed
    """
)
_STALL = _any(
    r"""
    stalls? stalled fizzles? fizzled falters? faltered sputters? sputtered loses?_steam lost_steam
    runs?_out_of_steam
    """
)
_WORSEN = _any(
    r"""
    accelerates? accelerated mounts? mounted mounting widens? widened widening deepens? deepened
    deepening swells? swelled intensif(?:y|ies|ied) surges? surged soars? soared rises? rose rising
    grows? grew growing spreads? spreading returns? returned hits?_record
    """
)
_DENY = _any(
    r"""
    den(?:y|ies|ied|ying) refutes? refuted disputes? disputed rebuts? rebutted rubbish(?:es|ed)? quells?
    debunks? debunked dismiss(?:es|ed)? rejects? rejected
    """
)
_CANCEL = _any(
    r"""
    ends? ended drops? dropped withdraws? withdrew abandons? abandoned scraps? scrapped cancels?
    cancell?ed shelves shelved suspends? suspended halts? halted pauses? paused delays? delayed
    postpones? postponed freezes? froze terminates? terminated stops? stopped
    """
)
_OFFER = _any(
    r"""
    support partnerships? plans? listings? launch(?:es)? etf deals? mergers? acquisitions? rollout
    offerings? ipo integration withdrawals deposits trading services? purchases applications?
    licen[cs]es? coverage payouts conversions
    """
)
_GIVE_BACK = _any(
    r"""
    returns? returned returning gives?_back gave_back sends?_back sent_back recovers? recovered refunds?
    refunded reimburses? reimbursed repays? repaid restores? restored compensates? compensated
    unfreezes? unfroze
    """
)
_TAKEN = _any("stolen hacked lost looted drained exploited missing seized frozen")
_THIEF = _any("hackers? attackers? exploiters? thief thieves scammers?")
_SIGN = _any("signs? evidence indications? hints? fears? talk risk threat")
_NONE = (
    r"(?:no|without|free\s+of|zero|not\s+any|lack\s+of)(?:\s+(?:clear|real|new|further|more|any|major|big))?"
    rf"(?:\s+{_SIGN}(?:\s+(?:of|that|for))?)?(?:\s+(?:an?|the))?"
)


def _words(most: int, word: str = _WORD) -> str:
    """Return a pattern of up to `most` words, each with the blank behind it."""
    return rf"(?:{word}\s+){{0,{most}}}?"


def _rule(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){pattern}(?![\w-])", re.IGNORECASE)


_ABOUT = rf"(?:\s+(?:of|about|over|that|on|around|against)\s+{_words(3)}{_BAD})?"
_BE = r"(?:(?:is|are|was|were)\s+)?"
_FAIL = r"(?:fails?|failed|loses?|lost|unable|declines?|declined|won['’]t|not|never)"
_NOT_BAD = r"not\s+(?:guilty|insolvent|bankrupt|hacked|a\s+scam|a\s+security)"
_RETURNED = r"(?:returned|recovered|refunded|repaid)"

RELIEF, SETBACK, DENIAL = "relief_found", "setback_found", "denial_found"
VALENCES = {RELIEF: 2.4, SETBACK: -2.4, DENIAL: 0.0}

# In this order: what a rule has replaced is no longer there for the next.
_RULES = [
    (_rule(pattern), mark)
    for mark, patterns in (
        (
            RELIEF,
            (
                rf"(?:{_THIEF}{_GAP})?{_GIVE_BACK}\s+{_words(4)}{_TAKEN}(?:\s+{_WORD})?",
                rf"{_TAKEN}\s+{_words(4)}{_BE}{_RETURNED}",
                rf"{_REFUSE}\s+{_words(2)}{_REGULATOR}\s+{_words(2)}{_MOVE}",
                rf"{_REGULATOR}\s+{_words(2)}{_DROP}\s+{_words(3)}{_MOVE}(?:\s+against)?",
            ),
        ),
        (DENIAL, (rf"{_DENY}\s+{_words(4)}(?:{_RUMOUR}|{_HARM}){_ABOUT}",)),
        (
            RELIEF,
            (
                rf"{_DROP}{_OBJECT}{_BAD}{_ABOUT}",
                rf"{_BAD}\s+{_words(4, _NEAR)}{_FADE}",
                rf"{_NONE}\s+{_BAD}",
                _NOT_BAD,
            ),
        ),
        (
            SETBACK,
            (
                rf"{_BAD}\s+{_words(4, _NEAR)}{_WORSEN}",
                rf"{_REGULATOR}\s+{_words(2)}(?:appeals|appealed|to\s+appeal)",
                rf"{_COURT}\s+{_words(1)}{_REFUSE}\s+{_words(3)}{_MOVE}(?:\s+to\s+{RELIEF})?",
                rf"(?:{_REFUSE}|{_FAIL})\s+{_words(4)}{RELIEF}",
                rf"{_GOOD}\s+{_words(4, _NEAR)}(?:{_FADE}|{_STALL})",
                rf"{_NONE}\s+{_GOOD}",
                rf"{_CANCEL}{_OBJECT}{_OFFER}",
            ),
        ),
    )
    for pattern in patterns
]


def mark_endings(text: str) -> str:
    """Replace each ending by the word of `VALENCES` that says what it is."""
    for pattern, mark in _RULES:
        text = pattern.sub(f" {mark} ", text)
    return text
