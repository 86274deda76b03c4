"""Words that tell a customer's name from the rest of a sentence. Data only; everything in lower case."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Never part of a name, whatever their case: question words, verbs that begin a request, pronouns, courtesies.
_GRAMMAR = """
a about above after again against ain all almost already also although always am an and another any anybody anyone
anything anyway are aren around as ask asked at away back be became because become been before began behind being
below beside between both but by call called calls came can cannot check checked come comes compare confirm could
couldn count current currently customer customers client clients caller days describe did didn display
do does doesn doing don done down during each either else email emails enough even ever every everybody everyone
everything explain fetch find for forget from further gave get gets getting give given gives go goes going gone good
goodbye got great had hadn happened happens has hasn have haven having he hello help her here hers herself hey hi him
himself his hiya how however i id identify if in include including info information into is isn it its itself i'd i'll
i'm i've just keep know known last latest least less let let's like list little load locate lookup look looking looks
made make makes many may maybe me mean means meant might mine more morning most much must my myself name named names
near need needs neither never new next no nobody none nor not nothing now number of off often ok okay old on once one
ones only onto or other others our ours out over overall own per perhaps person phone please possible print profile
provide pull quick quickly quite rather read really recent recently regarding remind repeat report retrieve return
right said same say says search see seen send sent she should shouldn show shows since so some somebody someone
something sorry speak speaking start started status still stop such sum summarise summarize summary switch take talk
talked talking tell tells than thank thanks that that's the their theirs them themselves then there these they thing
things this those though through till to today together told tomorrow tonight too total toward tried try
trying under understand until up update updated upon us use used using usually very via view wait want wanted wants
was wasn way we welcome well went were weren what what's whatever when whenever where where's whether which while who
who's whoever whole whom whose why will wish with within without would wouldn write wrong wrote yeah yes yesterday yet
you your yours yourself he's she's it's they're we're you're here's there's how's
mr mrs ms miss mx dr prof professor sir madam madame lord lady herr frau monsieur señor señora
assistant agent bot ai chatgpt
conversation question answer answers chat story joke poem weather
"""

# What the questions are about. With a spectrum's own words these end a name ("Edwina Hawthorne Credit Score").
_BUSINESS = """
account accounts address addresses amount amounts application applications approval approved apr atm average balance
balances bank banking bankruptcies bankruptcy billing bills bureau bureaus card cards cash check checks collection
collections company contact contract contracts credit credits currency data date dates deal deals debit debt debts
debtor default defaults delinquencies delinquency delinquent deposit deposits details dob document documents due
e-mail employer employment equifax expense expenses experian fee fees fico file files finance finances financial fraud
gdpr history holder iban income inquiries inquiry insurance interest invoice invoices kyc lead leads lender lifetime
limit limits loan loans loyalty marketing mastercard member merchant mobile monthly mortgage mortgages offer offers
open opened order orders overdraft overdue owe owed owes paid paypal pay payment payments payoff pin plan plans points
policies policy product products profile purchase purchases rating ratings ratio record records refund refunds
relationship revenue risk salary sales saving savings score scores scoring segment service services sms spend spending
ssn statement statements subscription subscriptions support systems tax taxes telephone ticket tickets transaction
transactions transfer transfers transunion trend trends type utilisation utilization value vantagescore vat vip visa
website withdrawal withdrawals year years month months week weeks quarter quarters annual yearly weekly daily
european eur usd gbp euro euros dollar dollars pound pounds usa uk eu api csv json pdf faq
"""

_CALENDAR = """
january february march april june july august september october november december
monday tuesday wednesday thursday friday saturday sunday christmas easter
jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun
"""

# Common words that are surnames too ("John Price", "Anna Long"): only a bar where capitals do not help.
_COMMON = """
able across action active actual add added advice age ago agree area available average bad based basic beautiful best
better big billion birth birthday bit black blue body book born both bought box break bring broken brother brown build
built business buy buying capital car care carefully case cause center central chance change changed changes cheap
child children choice city clear close closed code cold colour color common complete condition consolidation cost
costs country couple course cover daughter day dead dear decide decision decrease detail difference different
difficult direct doctor door double downtown drive drop early earn earned easy eat email end english equity estimate
european evening event exact exactly example excellent expensive extra eye face fact fair family far fast father fell
felt few field figure fill final fine finish fire first five fix fixed follow food force form former forward found
four fraction free french friend front full fully fun future game gap gas general german girl goal gold government
green ground group grow growth guess guy half hand happy hard head health hear heard heart high higher highest hit
hold home homeowner hour hours house huge human hundred husband idea ideas important improve improved improvement
impact increase increased industry initial inside instead international issue issues item job join kid kind king
knowledge lady language large largest late later law lead learn leave led left legal lend letter level life light
line link live lived lives living local location london long longer lost lot love low lower lowest main major man
market matter maximum meeting men method middle million mind minimum minor minute minutes missed missing mistake model
modern mom moment money month mother mountain move moved music national nature nearest negative network news nice
night non normal north note notes numbers obvious office older oldest online option options original outstanding
paid paper parent parents part particular partner party past payday people percent period personal phone photo picture
piece place planet plus point poor popular population position positive potential present president previous price
prices prime private pro problem problems process program project proof property public put quality query question
questions rain range rank rate rates reach reached ready real reason reasons recap received red reduce refinance
refinancing regular related relative remain remaining remember rent replace reply request require required rest result
results rich rise road room round rule rules run running safe sale second secret section secured security self sell
send sense sentence sentences separate serious set seven several share sharp short side sign similar simple single
sister site situation six size small smallest social software sold son song soon sort source south space special
specific spent spouse spring stable stand standard state states stay step steps stock store street string strong
student study subject success suddenly suit sun super sure system table tall target team technical ten term terms test
text third thought thousand three time times tip tips title top topic topics town track trade travel trip true turn
twice two typical typically unpaid unsecured unusual upcoming upper usual valid various version video visit voice
vs war warm watch water weak wear weekend west white wife win wine winter woman word words work worked working works
world worst worth write young younger youngest your zero
act acts agencies agency authority commission council directive federal privacy protection regulation reporting rights
"""

# Capitalised pairs that are no customers in the questions of a desk.
PLACES = frozenset(
    """
united states|united kingdom|new york|new york city|los angeles|san francisco|san diego|new zealand|new orleans|
south africa|north america|south america|european union|hong kong|las vegas|new jersey|new mexico|north carolina|
south carolina|saudi arabia|sri lanka|costa rica|great britain|northern ireland|middle east|white house|
american express|capital one|wells fargo|deutsche bank|lloyds bank|goldman sachs|morgan stanley|open ai|
tilores core|entity resolution|south korea|north korea|puerto rico|san antonio|fort worth|salt lake city|wall street
""".replace("\n", "").split("|")
)

# Given names that are hardly ever words: they make a pair in lower case look like a person.
GIVEN_NAMES = _words(
    """
aaron abdul abigail adam adriana adrian agnes ahmed aisha alan albert alejandro alex alexander alexandra alfred ali
alice alicia alison allison amanda amelia amir amy ana andrea andreas andrew andy angela anita ann anna anne annette
anthony antonio arjun arthur ashley audrey barbara beatrice ben benjamin bernard beth betty beverly bjorn björn bob
brandon brenda brian bridget bruce bryan carla carlos carol caroline carolyn catherine charles charlotte cheryl chris
christian christina christine christopher claire clara claudia colin connor craig cynthia daniel daniela david deborah
deepak denise dennis derek diana diane diego dmitri donald donna dorothy douglas duncan edith eduardo edward edwin
edwina eileen elena eleanor elizabeth ella ellen emily emma eric erica erik ernest esther ethan eugene eva evelyn
fatima felix fernando fiona florence frances francesco francis françois frederick gabriel gareth gary geoffrey george
gerald giovanni giulia gloria gordon graham greg gregory günter gunter hannah hans harold harriet harry hassan heather
heidi helen helena henry hiroshi howard hugh ian ibrahim ines ingrid irene isaac isabel isabella ivan jacob
jacqueline jake james jamie jane janet janice jason javier jean jeff jeffrey jennifer jenny jeremy jerry jesse jessica
jill jim jimmy joan joanna joe joel johan johanna johannes john johnny jonathan jorge jose josé joseph joshua joyce
juan judith judy julia julian julie jürgen jurgen karen karl kate katherine kathleen kathryn katie keith kelly kenneth
kevin khalid kim klaus kristina kumar kyle larry laura lauren laurence lawrence leah leo leonard leslie liam linda
lisa louis louise lucas lucia lucy luis luke lydia mabel malcolm marcus margaret maria marie marilyn mario marion
marjorie martha martin mary matilda matthew maureen max megan melanie melissa michael michelle miguel mike mohamed
mohammed monica muhammad nadia nancy naomi natalie natasha nathan neil nicholas nicola nicole nigel nina noah nora
norman oleg oliver olivia omar oscar pamela patricia patrick paul paula pedro peter philip phillip phyllis priya
rachel rafael ralph raymond rebecca rhys ricardo richard rita robert roberto robin roger ronald ruth ryan samantha
samuel sandra sanjay sarah scott sean sebastian sergei sharon shirley sigrid simon sofia sophia sophie stanley
stefan stella stephanie stephen steve steven stuart susan suzanne svetlana sylvia tara teresa theodore theresa thomas
tim timothy tina tom tony tracy ulrich ursula valerie vanessa vera veronica victor victoria vincent virginia vladimir
walter wendy wilhelm william wolfgang xavier yasmin yuki yusuf yvonne zachary zoe zoë
"""
)

# Common words that are a family name behind a given name, in lower case too.
FAMILY_NAMES = _words("black brown gray green grey king price rose stone white wood young")

PARTICLES = _words("van von der den de del della di da dos das du la le zu zur ten ter bin bint ibn al el af y")

# A capitalised sequence with one of these is a thing or a firm, hardly a person.
THINGS = _words(
    """
airport airways airlines ag avenue bank bay beach bridge castle church city club college company corp corporation
county court empire falls foundation gmbh group hospital hotel inc island islands isles kingdom lake limited llc llp
ltd
mount mountain mountains museum ocean olympics
 palace park plc republic river road school sea square stadium station
street tower union university valley wall war
"""
)

TITLES = _words("mr mrs ms miss mx dr prof professor sir madam madame lord lady herr frau monsieur señor señora")

# Before and behind a name in lower case, and before a place.
PREPOSITIONS = _words("for of about on regarding with does did is was has and from by find show lookup me")
FOLLOWERS = _words("last latest next recent current wants wanted needs called calls asks asked says said has owes is")
PLACE_CUES = _words("the in at to near visit visited via")

# A follow-up to somebody spoken of before.
REFERRING = _words("he she him her hers his they them their theirs he's she's they're same my mine")

# What may stand beside a name without saying anything more.
COURTESIES = _words(
    "please thanks thank you hi hello hey yes no ok okay sorry well so and it its it's is for the customer client "
    "name i mean meant"
)

# Never in a name, save in these: "Will Smith", "April Jones". The first also begin a question: "Will Edwina pay?"
MODALS = _words("will may")
NAMES_TOO = MODALS | _words("april june august jan sun")

SUBJECTS = _words(_BUSINESS)
"""What a question may be about: a lower-case pair directly before one of these may be a name."""

NEVER = _words(f"{_GRAMMAR} {_BUSINESS} {_CALENDAR}")
"""Words that end a capitalised sequence."""

COMMON = NEVER | _words(_COMMON)
"""Words that are no names when everything is in lower case."""
