"""Every error that Marketloom raises on purpose.

MarketloomError
├── Permanent              the same call can never succeed: fix the input
│   ├── InvalidSettings    marketloom.toml or an environment variable
│   ├── InvalidValue       a number or word outside what its type allows
│   ├── InvalidCandles     candles that break an invariant
│   ├── UnreadableFile     corrupt, empty, or of a kind that no importer knows
│   ├── NotStored          nothing is stored under that name yet
│   ├── InvalidBundle      a policy whose files do not match their manifest
│   ├── InvalidModel       model weights that are not the published ones
│   ├── UnusableHome       the home folder cannot be created, read or written
│   ├── InvalidMessage     a frame or response of a venue that breaks its protocol
│   ├── AlreadyRuns        another process does this work now
│   ├── VenueRefused       the venue understood the request and refused it
│   └── NotAuthorised      the venue does not accept the key, or the key may not do this
└── Transient              the same call may succeed later
    ├── StoreUnreachable   PostgreSQL does not respond
    ├── ModelUnreachable   a language model does not respond
    ├── NewsUnreachable    a source of news does not respond, or not with news
    ├── ModelBudgetSpent   the day's budget does not allow to ask a language model
    ├── TrainingFailed     the training process ended without a policy
    ├── VenueUnreachable   the venue does not respond, or is down for maintenance
    ├── RateLimited        the venue wants fewer requests
    ├── MessengerUnreachable  a messenger did not take an alert
    ├── LeaseLost          another process does what this one held the lease for
    └── OutcomeUnknown     a request that may or may not have taken effect: look it up before anything else
"""

# What a person can do when a venue or a vendor on the internet cannot be reached.
OFFLINE_ADVICE = (
    "check the internet connection, or a proxy or firewall in between; what is stored stays usable, and [market] "
    'source = "simulator" or "files" needs no network'
)


class MarketloomError(Exception):
    """Base of all errors raised on purpose; the message says what was wrong, where, and what to do."""

    retryable = False


class Permanent(MarketloomError):
    """Do not retry: the input has to change first."""


class Transient(MarketloomError):
    """Retrying later may help."""

    retryable = True


class InvalidSettings(Permanent):
    """Names the file, the key and what is allowed."""


class InvalidValue(Permanent, ValueError):
    """A ValueError too, so that parsers report it beside the key it came from."""


class InvalidCandles(Permanent):
    """Carries the first offending open time in its message."""


class UnreadableFile(Permanent):
    """Names the file and why no importer takes it."""


class NotStored(Permanent):
    """Names what is missing and what writes it."""


class InvalidBundle(Permanent):
    """A policy bundle that was changed, truncated or made for other features."""


class InvalidModel(Permanent):
    """Weights whose digest is not the published one."""


class UnusableHome(Permanent):
    """Names the folder and what is wrong with it."""


class StoreUnreachable(Transient):
    """Nothing that was committed is lost."""


class ModelUnreachable(Transient):
    """The caller decides whether to abstain; no neutral opinion is made up."""


class NewsUnreachable(Transient):
    """Names the source; what could not be read is never taken for a quiet day."""


class ModelBudgetSpent(Transient):
    """Nothing was asked and nothing paid; the next UTC day has a budget of its own."""


class TrainingFailed(Transient):
    """Carries the end of the training process's output."""


class InvalidMessage(Permanent):
    """A frame or response that breaks the venue's protocol; nothing of it was used.

    `channel` is empty where even that could not be read.
    """

    def __init__(self, channel: str, reason: str) -> None:
        super().__init__(f"{channel or 'unknown channel'}: {reason}")
        self.channel = channel
        self.reason = reason


class AlreadyRuns(Permanent):
    """Names the process that does it, and since when."""


class VenueRefused(Permanent):
    """Quotes the venue's own words, and says what they mean."""


class NotAuthorised(Permanent):
    """Names the variable that holds the key and the permission that is missing."""


class VenueUnreachable(Transient):
    """Nothing was changed at the venue."""


class RateLimited(Transient):
    """Says how long to wait where the venue's budget is known."""


class MessengerUnreachable(Transient):
    """A messenger, such as Telegram, did not take an alert; its address is not in the message."""


class LeaseLost(Transient):
    """Nothing was done: the newer holder of the lease goes on."""


class OutcomeUnknown(Transient):
    """Repeating blindly could do it twice; retrying means looking it up first."""
