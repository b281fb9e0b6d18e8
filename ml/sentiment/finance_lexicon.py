"""What words mean on a trading desk: valences from -4 to 4 on VADER's scale, for company and crypto news.

Hand written from the trade's vocabulary. `WORDS` and `PHRASES` override VADER's lexicon; a phrase of 0
shields its words (`order book`, `smart contract`). `NEUTRAL` removes words whose everyday warmth says nothing
about a price (`share`, `trust`).
"""


def _words(groups: dict[float, str]) -> dict[str, float]:
    return {word: valence for valence, words in groups.items() for word in words.split()}


def _phrases(groups: dict[float, str]) -> dict[str, float]:
    phrases = ((phrase, valence) for valence, text in groups.items() for phrase in text.split(","))
    return {" ".join(phrase.split()): valence for phrase, valence in phrases}


WORDS = _words(
    {
        3.4: """moon mooning moonshot outperform outperformed outperforms skyrocket skyrocketed skyrocketing
            skyrockets soar soared soaring soars""",
        3.0: """boom booming breakthrough bull-run bullish doubled doubles doubling exceeded exceeds
            outperforming quadrupled quadruples rallied rallies rally rallying record-breaking surge
            surged surges surging thrive thrives thriving tripled triples tripling upgrade upgraded
            upgrades windfall""",
        2.6: """accelerate accelerated accelerates accelerating acceleration beat beats bull bulls climb
            climbed climbing climbs gain gained gaining gains grew grow growing grown grows growth improve
            improved improvement improvements improves improving increase increased increases increasing
            jump jumped jumping jumps optimism optimistic outpace outpaced outpaces oversubscribed
            profitability profitable rebound rebounded rebounding rebounds recover recovered recovering
            recovers recovery rise risen rises rising rose spike spiked spikes strengthen strengthened
            strengthening strengthens surpass surpassed surpasses surpassing topped tops undervalued
            upbeat upswing uptick uptrend upturn""",
        2.2: """accumulate accumulates accumulating accumulation adopt adopted adopting adoption adopts
            advantage approval approve approved approves attractive award awarded awards benefit benefited
            benefits boost boosted boosting boosts competitiveness delighted donated donates donation
            donations efficiency efficient efficiently embrace embraced embraces enhance enhanced enhances
            enhancing exceed expand expanded expanding expands expansion favorable favourable fortune
            funded funding glad greenlight greenlights greenlit halving healthy higher hits hodl inflow
            inflows lucrative milestone milestones nab nabbed nabs pleased positive raise raised raises
            raising reward rewarded rewards robust satisfied savings secured secures securing solid strong
            stronger strongest success successful successfully unicorn win winning wins won""",
        1.6: """accepting acquires adds alliance backed backing backs better buyback co-operation collaborate
            collaborates collaboration cooperation debut debuted debuts double earning ease eases easing
            faster granted grants innovation innovative integrate integrated integrates integrating
            integration investing invests launch launches launching leader mainnet modernisation modernise
            modernization partnered partners partnership partnerships pioneering relaunch reopen restore
            restored resumed resumes rollout support supported supporting supports upgrading""",
        0.9: """accept accepted accepts acquire acquired acquiring acquisition acquisitions agreement
            agreements best closes contract contracts deal deals demand dividend dividends earn earned
            earnings earns enables fund good great hire hires hiring introduce introduced introduces
            invest invested investment investments join joins largest launched listing lists opens order
            orders partner profit profits reach reached reaches recruits secure signed signs staking
            supplier supply unveil unveiled unveils up valuation valued well""",
        -0.9: """affect affected affects bail below bug bugs challenge challenges disclose faded fine limit
            limits missing questioned reduce reduced reduces reducing regulator regulators regulatory tax
            taxation taxes temporarily""",
        -1.2: """backlash caution cautious cease ceases complaint complaints concern concerned concerns
            criticises criticizes critics cut cuts cutting delay delayed delaying delays denied denies
            deny departs departure disable dispute disputes downtime enforcement fade fades flaw glitch
            halt halted halts instability investigate outage outages outflow outflows overvalued pause
            paused pauses postpone postponed postpones resign resignation resigned resigns restrict
            restricted restriction restrictions restricts scrutiny setback setbacks stoppage struggles
            surrender surrenders uncertain uncertainty volatile volatility vulnerability vulnerable warn
            withdraw withdrawn withdraws withdrew worried worries worry""",
        -1.8: """accuse accused accuses adverse adversely allegation allegations allege alleged allegedly
            barred bars bear bears blacklist blacklisted blocked burden congestion contraction correction
            cutback cutbacks damage damaged damages damaging decline declined declines declining decrease
            decreased decreases decreasing deficit depressed dip dipped dips disappoint disappointed
            disappointing disappointment disappoints dismiss dismissals down downgrade downgraded
            downgrades downtrend downturn drop dropped dropping drops dumped fall fallen falling falls
            fear feared fears fell fined fines hurt hurts illegal illegally illicit impairment
            investigation investigations laid- lawsuit lawsuits lay-off lay-offs layoff layoffs litigation
            lose loses losing loss losses lost lower miss missed misses negative off penalties penalty
            pessimism pessimistic poor probe probed probes pullback recession redundancies redundancy
            regret reject rejected rejection rejects retreat retreated retreats risk-off sanction
            sanctioned sanctions sank sell-off selloff shrank shrink shrinking shrinks shut shutdown shuts
            shutting sink sinking sinks slid slide slides sliding slip slipped slipping slips slow
            slowdown slowed slower slowing slows sluggish soft strike subpoena subpoenaed subpoenas sue
            sued sues suffer suffered suffers suing suit threat threaten threatened threatens underperform
            underperformed underperforms unlawful unlicensed unprofitable unregistered violate violated
            violation violations warned warning warns weak weaken weakened weakening weakens weaker
            weakest write-down writedown writedowns""",
        -2.6: """arrest arrested arrests attack attacked attacker attackers attacks ban bankrupt bankruptcy
            banned banning bans bearish bloodbath bogus breach breached breaches capitulation charged
            collapse collapsed collapses collapsing contagion convicted crackdown crackdowns crash crashed
            crashes crashing crime criminal criminals crisis default defaulted defaults delist delisted
            delisting delists depeg depegged depegs drained drains dump dumping dumps embezzled
            embezzlement exploit exploited exploiter exploits extortion fake fraud fraudster fraudsters
            fraudulent guilty hack hacked hacker hackers hacking hacks halved hijack hijacked hijacks
            indicted indictment insolvency insolvent jailed launder laundered laundering liquidated
            liquidation liquidations malware manipulation misappropriated nosedive nosedives panic
            phishing plummet plummeted plummeting plummets plunge plunged plunges plunging ponzi prison
            ransomware rout rug rug-pull rugpull scam scammed scammer scammers scams seize seized seizes
            seizure seizures sentenced slump slumped slumping slumps steal steals stole stolen tank tanked
            tanking tanks theft tumble tumbled tumbles tumbling turmoil""",
    }
)

PHRASES = _phrases(
    {
        3.2: """all time high, all time highs, new high, new highs, record high, record highs, record profit,
            record sales""",
        2.8: """above expectations, ahead of schedule, approves etf, back in profit, beats estimates, better
            than expected, bull market, bull run, buying pressure, etf approval, exceeds expectations,
            fresh high, golden cross, net profit rose, price surge, price target raised, short squeeze,
            spot etf approved, swung to a profit, turned to profit, up from""",
        2.0: """all in on, amounts to a record, ban lifted, beat expectations, case dismissed, cash flow
            positive, charges dropped, closes raise, cost savings, funding round, go live, goes live,
            higher than, hits new, hits record, improved to, in the black, institutional adoption,
            institutional demand, joins forces, joint venture, lawsuit dismissed, legal tender, lifts ban,
            long term contract, major order, market leader, market share gains, more than doubled, net
            inflows, no longer under investigation, seed funding, seed round, series a, series b, series
            c, series d, signed a deal, signed an agreement, signs deal, strategic investment, strategic
            partnership, tax relief, team up, teaming up, teams up, token sale, total value locked,
            unbanned, well positioned, went live, won an order""",
        0.0: """air drop, as well, as well as, back up, best practices, bored ape, credit card, credit cards,
            credit rating, deal with, demand deposit, due to, earnings per share, exchange rate, fair
            value, fell under, financial crisis, fine tune, flash loan, flash loans, follow up, free
            float, free sheet, hackathon, hard fork, in order to, interest income, interest rate, launch
            pad, limit order, line up, made up, made up of, moving average, net loss per share, nft drop,
            nft drops, no change, no charge, number of shares, order book, order to, play to earn, profit
            and loss, profit for the period, profit margin, proof of stake, raises questions, rate of
            return, risk exposure, risk management, rule out, security token, set up, short term, sign up,
            smart contract, smart contracts, start up, stop loss, strike price, tax free, token drop,
            united kingdom, united states, up to, upcoming drop, value added, voting rights, well known,
            white hat""",
        -2.0: """all time low, bank run, bear market, below expectations, cease and desist, class action,
            codetermination negotiations, crypto ban, cut jobs, cuts jobs, cutting jobs, data breach,
            death cross, delays decision, down from, employer employee negotiations, etf delayed, etf
            rejected, etf rejection, exit scam, flash crash, found guilty, freezes withdrawals, fresh low,
            goes missing, halted trading, halts withdrawals, hot on their trail, in the red, job cuts,
            laid off, lay off, lost funds, lower than, margin call, mining ban, missing funds, money
            laundering, net loss, net outflows, network outage, new low, new lows, no longer, operating
            loss, personnel negotiations, personnel reductions, pleaded guilty, pleads guilty, postpones
            decision, pretax loss, price drop, price target cut, private key leak, profit fell, profit
            warning, pulled out, pulls out, put off, record low, regulatory crackdown, rejects etf, rug
            pull, security breach, sell off, selling pressure, shut down, shuts down, shutting down,
            slipped to a loss, smaller than expected, staff cuts, step down, stepping down, steps down,
            suspends withdrawals, swung to a loss, temporary lay offs, turned to loss, under
            investigation, weighed on, went missing, wind down, winding down, winds down, worse than
            expected, wound down""",
    }
)

NEUTRAL = frozenset(
    _words(
        {
            0.0: """ability active actively advanced agree agreed agrees alert apologise art asset assets
                authorities authority avoid avoided avoids battle block blocks bored capability capable
                care cash certain chance chances charge charges clear clearly comfort comfortable
                commitment commitments committed competitive comprehensive cool create created creates
                creating credit credits dead dear debt debts defend defense defi demanded demands
                determined die dies dynamic effective effectively emergency energy engaged ensure ensures
                ensuring entertainment exclusive exclusively fair fairly fight flexible focus focused free
                freedom fresh friend friendly friends fun game games giving gross hand hands hard help
                helps hero heroes hope hoped hopes important intelligence intelligent interest interested
                interests isolated kill killer legal like likes lobby lobbying low luck lucky meme natural
                no novel number original originally outstanding paid parties party pay pays perfect play
                player playing plays popular prevent preventing prevents problem problems promise promises
                proof ready resolve resolved respectively responsibility responsible safe safety
                securities security share shared shares sharing significant significantly sincerely smart
                solution solutions sorry special straight straightforward substantial substantially super
                super-app top tough treasure treasury true trust trusted truth united value values vision
                visions want wanted wants war wars wealth weapon welcome welcomes wish worth"""
        }
    )
)
