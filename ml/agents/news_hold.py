"""News alone open nothing, and bad news hold an entry by themselves: one rule, for a candle and for a history."""

from ml.agents.analyst import AGENT, TONES
from ml.agents.opinions import Action
from ml.agents.votes import CODE, ConsensusRules, Flags, Votes

NEWS = frozenset({AGENT, TONES})  # whose opinions are the news alone
OTHER = {Action.LONG: Action.SHORT, Action.SHORT: Action.LONG}


def held_by_news(votes: Votes, is_news: Flags, rules: ConsensusRules, action: Action) -> tuple[Flags, Flags]:
    """Return (n,) where nothing but news is for `action`, LONG or SHORT, and where news speak against it.

    `is_news` (k,) says whose votes are the news alone. Against it speaks a vote for the other side whose confidence is
    `minimum_confidence` or more. A record that leaves an agent no vote takes its support away, and not its warning.
    """
    heard = votes.by_record()
    supports = (heard.actions == CODE[action]) & (heard.confidences > 0)
    against = (votes.actions == CODE[OTHER[action]]) & (votes.confidences >= rules.minimum_confidence)
    return ~(supports & ~is_news).any(axis=1), (against & is_news).any(axis=1)
