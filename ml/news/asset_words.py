"""What newspapers call the crypto assets, what only looks like one, and the words of the market around them.

Regular expressions without their ends, which `entities.py` adds. Those of `ANY_CASE`, `NOT_IT` and `OTHER_COINS` are
searched without regard to case.
"""

# What follows "bitcoin cash" where a company's money is meant, and not the asset; it is written small then.
_MONEY = (
    r"(?<=(?-i:cash))[ -](?:holdings?|reserves?|balances?|positions?|piles?|stash|flows?|equivalents?|buffers?|"
    r"settle\w*|payments?|payouts?|purchases?|machines?|infusions?|injections?)\b"
)
# What an authority does, and no asset.
_ACTS = (
    r"(?:fine[sd]?|su(?:es|ed)|propose[sd]?|order(?:s|ed)|audit\w*|investigat\w+|probe[sd]?|fire[sd]?|save[sd]?|"
    r"slash\w*|cancel\w*|terminat\w+|eliminat\w+|lays? off|laid off|warn(?:s|ed)|inspect\w*|require[sd]?)\b"
)
_PLACE = r"(?-i:Beach|BEACH|County|COUNTY|Street|Avenue|Road|Heights|Creek|Valley|Canyon|Lake|Peak)\b"

ANY_CASE = {
    "BTC": r"bitcoins?|btc|xbt",
    "XRP": r"xrp|ripple",
    "ETH": r"ethereum|ethers?",
    "LTC": r"litecoins?",
    "BCH": r"bitcoin cash|bch",
    "DOGE": r"dogecoins?",
    "ADA": r"cardano",
    "DOT": r"polkadot",
    "BNB": r"binance coin",
    "XLM": r"stellar lumens",
    "XMR": r"monero|xmr",
    "TRX": r"trx",
    "SOL": r"solana",
    "AVAX": r"avax",
    "LINK": r"chainlink",
    "USDT": r"usdt",
    "USDC": r"usdc|usd coin",
}
AS_WRITTEN = {
    "ETH": r"ETH|eth(?=/)",
    "LTC": r"LTC",
    "DOGE": r"DOGE",
    "ADA": r"ADA",
    "DOT": r"DOT",
    "BNB": r"BNB",
    "XLM": r"XLM",
    "TRX": r"Tron|TRON",
    "SOL": r"SOL",
    "AVAX": r"Avalanche",
    "LINK": r"LINK",
    "USDT": r"Tether|TETHER",
}
# What looks like the asset and is not it, by asset. Taken out of the text before the asset is looked for.
NOT_IT = {
    "BTC": (
        r"bitcoin (?:magazine|depot|suisse|pizza day)",
        rf"bitcoin cash(?!{_MONEY})",
        r"bitcoin\.(?:com|org)",
    ),
    "XRP": (
        r"ripple[ -]effects?",
        r"(?:a|the|another|every) ripples? (?=of\b)",
        r"(?-i:(?:a|another|any|hardly|barely|first|every) ripples?)\b",  # "without making a ripple"
        r"ripples?(?= (?:through|across|out|outwards?|beyond)\b)",
        r"ripples(?= (?:of|in|from|on|in|are|were|spread|reach)\b)",
    ),
    "ETH": (
        r"ETH[ -](?:zurich|zürich|lausanne)",
        r"(?:in|into|through|from|out of|to|on) the ether(?=\s*(?:[.,;:!?)\"”]|$|(?:and|as|with|of|for|after)\b))",
        r"ether (?:oil|bunny)",
    ),
    "BCH": (rf"bitcoin cash(?={_MONEY})",),
    "DOGE": (
        rf"doge(?:['’]s)? {_ACTS}",
        r"(?:musk|ramaswamy|trump|white house)['’]s doge\b(?! (?:tweets?|posts?|memes?|rally|pump|price|tokens?))",
        r"department of government efficiency[^.]*",
        r"doge(?:'s|’s)? (?:cuts?|layoffs?|staff(?:ers)?|team|savings|office|checks?|dividends?|employees|agency|"
        r"task force|department|lawsuit|boss|chief|cost-cutting|website|access)",
        r"the doges? of (?:venice|genoa)",
    ),
    "ADA": (
        r"ADA[ -](?:complian(?:ce|t)|lawsuits?|act|regulations?|accessib\w+|lovelace)",
        r"(?:gerolamo|girolamo|hieronymus|jerome) cardano",  # the mathematician, after whom the asset is named
        r"cardano['’]s (?:formula|method|rings?|paradox)",
    ),
    "DOT": (
        r"(?:US|U\.S\.|the) DOT(?! (?:token|price|coin|holders?|staking|ecosystem|blockchain))",
        rf"DOT(?:['’]s)? {_ACTS}",
        r"DOT[ -](?:com|plots?|regulat\w+|secretary|inspector|rules?|number|approved)",
    ),
    "TRX": (r"tron[: ]+(?:ares|legacy|uprising|movies?|films?|sequel)",),
    "AVAX": (
        r"avalanches?(?= (?:of|kills?|killed|hits|buries|danger|warnings?|risk|victims?|rescue)\b)",
        rf"avalanche {_PLACE}",
        r"(?:an|the|snow|colorado|price|sell) avalanches?(?! (?:network|blockchain|foundation|token|ecosystem))",
    ),
    "LINK": (r"LINK[ -](?:in bio|below|to)\b", r"(?-i:THE|A|THIS|THAT|EVERY|NO|MISSING) LINK"),
    "SOL": (rf"solana {_PLACE}", r"(?:del|el|costa del) sol\b", r"sol (?:peruano|negro)"),
    "USDT": (r"tether (?:ball|line|gold)",),
    "BNB": (r"air ?bnb",),
}

# Longer names of other coins, also of those that nobody here trades: taken out before anything is looked for.
_COIN = r"(?:bitcoin|btc|ether(?:eum)?|eth|solana|sol|bnb|xrp|cardano|ada|litecoin|ltc|dogecoin|doge|tron|trx|avax)"
OTHER_COINS = (
    r"(?:ethereum|litecoin|dogecoin|monero|solana) (?:classic|cash|gold|name service|max|pow|fair)",
    r"bitcoin (?:sv|diamond|private|hd|satoshi['’]s vision)",
    # "The bitcoin gold ratio" compares bitcoin with gold.
    r"bitcoin gold(?! (?:correlat\w+|ratio|compar\w+|parity|pair|rush|standard|narrative|debate|volatility|swap|"
    r"rotation|divergence|rivalry|vs|versus|or|and)\b)",
    rf"(?:wrapped|(?-i:Lido Staked|Staked|STAKED)(?= (?-i:[A-Z]))) {_COIN}",
    r"baby doge(?:coin)?",
)

# Tickers that are a word or an abbreviation of something else: they count where the text speaks of the market.
AMBIGUOUS = ("ADA", "DOGE", "DOT", "LINK", "LTC", "SOL")
# Anywhere in a text: it is about this trade.
CRYPTO_WORDS = (
    r"crypto\w*|\w*coins?|tokens?|tokeni[sz]\w+|blockchains?|stak(?:ing|ers?)|defi|nfts?|dapps?|web3|airdrops?|"
    r"validators?|mainnet|testnet|on-?chain|smart contracts?|memes?|binance|coinbase|kraken|bybit|okx|grayscale|"
    r"hodl\w*|stablecoins?|etps?|digital assets?|market cap|layer[ -]?[12]|usdt|usdc"
)
# Beside a ticker: what happens to something that is traded.
MOVES = (
    r"ris(?:es?|ing)|rose|jump\w*|surg\w+|soar\w*|rall(?:y|ies|ied)|climb\w*|gain\w*|fall(?:s|ing)?|fell|drop\w*|"
    r"plung\w+|slump\w*|slid\w*|sinks?|sank|tumbl\w+|crash\w*|dip(?:s|ped)?|slip(?:s|ped)?|recover\w*|rebound\w*|"
    r"outperform\w*|plummet\w*|pump(?:s|ed)?|dump(?:s|ed)?|break(?:s|out)?|bull(?:s|ish)?|bear(?:s|ish)?|lead(?:s|ing)?|"
    r"trad(?:es?|ed|ing|ers?)|pric(?:es?|ed)|futures|etfs?|volume|holders?|whales?|holds?|wallets?|network|ecosystem|"
    r"longs?|shorts?|hits?|tops?|nears?|tests?|eyes|loses?|lost|down|up|in (?:the )?(?:red|green)|payments?|"
    r"retraces?|consolidat\w+|flips?"
)
# Before a ticker: who deals in it, and how much.
DEALS = (
    r"(?:pric(?:e|es) of|buy(?:s|ing)?|bought|sell(?:s|ing)?|sold|dump(?:s|ed|ing)?|hold(?:s|ing)?|stak(?:e|es|ed|ing)|"
    r"trad(?:e|es|ing)|list(?:s|ed)?|delist(?:s|ed)?|swap(?:s|ped)?|accumulat\w+|"
    r"\d[\d.,]*(?: ?(?:k|m|mn|bn|million|billion|thousand))?)"
)
QUOTES = "USDT|USDC|USD|FDUSD|TUSD|BUSD|DAI|EUR|GBP|JPY|KRW|TRY|AUD|CAD|CHF|BRL|XBT|BTC|ETH|BNB"
