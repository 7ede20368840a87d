"""Small made-up corpora for trying things out, from a seeded grammar.

Both are built so that the order of words decides. A review's opinions are plain, negated ("was not
dull") or contrasted ("was dull but ..."); a news text tells who does what to whom, and who does
decides. Words alone say little, so a bag of words stays well behind a network that reads phrases.
Names and nouns are many and rare ones are frequent, as in real text; some labels are wrong.
"""

from __future__ import annotations

import random
import re
from bisect import bisect
from collections.abc import Sequence
from functools import cache
from itertools import accumulate

from lottery.data.formats import Table


def _words(text: str) -> list[str]:
    return text.split()


NOISE = 0.04  # share of labels replaced by another class
AGAINST = 0.4  # share of texts in which one sentence of three speaks for another class

GOOD = _words(
    """
    good great funny brilliant moving charming clever fresh lovely gripping honest superb warm
    witty elegant stunning delightful tender bold lively sharp inspired graceful magical
    thoughtful rich smart touching exciting gorgeous memorable hilarious sincere haunting vivid
    playful radiant believable captivating polished refreshing sweet rewarding stylish powerful
    engaging wonderful satisfying imaginative heartfelt impressive thrilling enjoyable amusing
    splendid terrific dazzling uplifting subtle excellent
    """
)
BAD = _words(
    """
    bad awful dull boring weak stupid lazy stale ugly tedious fake poor cold clumsy crude messy
    annoying dreary silly bland flat wooden shallow hollow pointless empty dumb forced tiresome
    hideous forgettable unfunny phony lifeless muddled grating drab ridiculous sluggish cheap
    predictable sour tasteless painful confusing horrible frustrating contrived insulting lame
    irritating pathetic terrible depressing obvious dreadful
    """
)
ASPECTS = _words(
    """
    film story plot acting script cast music ending dialogue camera direction hero villain pace
    humor opening editing romance mystery lighting score idea finale drama chemistry setting
    costumes narration tension action sound design photography premise performance soundtrack
    scenery dubbing mood style
    """
)
JOBS = _words(
    """
    teacher sailor detective farmer nurse pilot painter soldier lawyer baker singer priest thief
    doctor student widow writer dancer hunter clerk boxer driver waiter cook actor gambler miner
    judge tailor postman
    """
)
DEEDS = _words(
    """
    meets follows loses marries hides betrays rescues chases hires forgives leaves finds robs
    visits fears helps trusts blames remembers protects
    """
)
THINGS = _words(
    """
    letter house secret treasure diary horse painting village boat murder wedding storm island
    train promise inheritance war garden ghost key journey theatre farm circus bridge
    """
)

ACTORS = {
    "World": _words(
        """
        government president minister rebels army parliament embassy militia senate police king
        prisoners soldiers diplomats voters refugees mayor troops envoy premier union ambassador
        general inspectors opposition
        """
    ),
    "Sports": _words(
        """
        team coach striker club captain goalkeeper champions league quarterback pitcher sprinter
        referee swimmers cyclist boxer rookie fans golfer olympians defender batsmen manager
        athlete skipper sluggers
        """
    ),
    "Business": _words(
        """
        bank company airline investors retailer lender shareholders insurer brewer broker carmaker
        economists traders exporter grocer fund supplier chairman bondholders auditor manufacturer
        landlord wholesaler treasurer accountants
        """
    ),
    "Sci/Tech": _words(
        """
        scientists laboratory engineers astronomers software hackers satellite probe programmers
        browser researchers chipmaker telescope biologists robot website startup gamers spacecraft
        geologists server physicists inventor botanists developers
        """
    ),
}
VERBS = _words(
    """
    sued praised warned defeated blamed joined visited rejected backed attacked followed surprised
    criticised helped challenged questioned ignored thanked stopped outwitted welcomed accused
    defended supported
    """
)
TIES = _words(
    """
    dispute deal contest meeting agreement row partnership hearing truce lawsuit visit talks
    letter ruling settlement
    """
)
DAYS = _words("monday tuesday wednesday thursday friday saturday sunday")


@cache
def _steps(size: int) -> list[float]:
    return list(accumulate(1 / (k + 2) for k in range(1, size + 1)))


class _Draw(random.Random):
    """Draws by `random()` alone: the one method whose numbers Python promises never to change."""

    def below(self, number: int) -> int:
        return int(self.random() * number)

    def one(self, of: Sequence[str]) -> str:
        return of[self.below(len(of))]

    def often(self, chance: float) -> bool:
        return self.random() < chance

    def zipf(self, of: Sequence[str]) -> str:
        """One by Zipf's law: the k-th in proportion to 1 / (k + 2)."""
        steps = _steps(len(of))
        return of[bisect(steps, self.random() * steps[-1])]

    def shuffled(self, of: Sequence[str]) -> list[str]:
        of = list(of)
        for last in range(len(of) - 1, 0, -1):
            other = self.below(last + 1)
            of[last], of[other] = of[other], of[last]
        return of


def _names(draw: _Draw, number: int) -> list[str]:
    """Different made-up names of two or three syllables."""
    starts = _words("b br c ch d dr f g gr h j k kl l m n p pr r s st t tr v w z")
    vowels, ends = _words("a e i o u ai ea"), ["", *_words("l m n r s nd rk th")]
    names: dict[str, None] = {}  # a set would forget the order
    while len(names) < number:
        parts = [draw.one(starts) + draw.one(vowels) for _ in range(2 + draw.often(0.2))]
        names["".join([*parts, draw.one(ends)]).capitalize()] = None
    return list(names)


def _wrong(draw: _Draw, label: int, classes: int) -> int:
    """The label, or in a few texts another one."""
    return (label + 1 + draw.below(classes - 1)) % classes if draw.often(NOISE) else label


def _sentence(words: str) -> str:
    words = re.sub(r"\ba (?=[aeiou])", "an ", words)
    return words[0].upper() + words[1:] + "."


def reviews(seed: int = 1, number: int = 7_500) -> dict[str, Table]:
    """Two classes, 0 negative and 1 positive; one part, "all"."""
    draw = _Draw(seed)
    names = _names(draw, 5_000)
    words = (BAD, GOOD)

    def opinion(label: int) -> str:
        said, other = draw.zipf(words[label]), draw.zipf(words[1 - label])
        aspect, second = draw.zipf(ASPECTS), draw.zipf(ASPECTS)
        form = draw.below(100)
        if form < 42:  # plain
            return draw.one(
                (
                    f"the {aspect} was {said}",
                    f"it has a {said} {aspect}",
                    f"i found the {aspect} {said}",
                    f"what a {said} {aspect}",
                )
            )
        if form < 66:  # negated
            much = draw.one(("", "", "very ", "so ", "really that "))
            return draw.one(
                (
                    f"the {aspect} was not {much}{other}",
                    f"it was never {much}{other}",
                    f"the {aspect} is hardly {other}",
                    f"this is not a {other} {aspect}",
                )
            )
        if form < 88:  # what stands after "but" decides, what stands after "although" does not
            return draw.one(
                (
                    f"the {aspect} was {other} but the {second} was {said}",
                    f"it looked {other} but turned out {said}",
                    f"although the {aspect} was {other}, the {second} was {said}",
                )
            )
        return draw.one(
            (
                f"i expected a {other} {aspect} and got a {said} one",
                f"rather {said} than {other}, i would say",
            )
        )

    def story() -> str:
        one, two = draw.zipf(names), draw.zipf(names)
        return draw.one(
            (
                f"{one}, a {draw.zipf(JOBS)} from {two}, {draw.zipf(DEEDS)} a {draw.zipf(JOBS)}",
                f"in {two} a {draw.zipf(JOBS)} {draw.zipf(DEEDS)} {one} for a {draw.zipf(THINGS)}",
                f"{one} plays the {draw.zipf(JOBS)} who {draw.zipf(DEEDS)} {two}",
                f"it is about a {draw.zipf(THINGS)}, a {draw.zipf(THINGS)} and {one} of {two}",
            )
        )

    texts, labels = [], []
    for _ in range(number):
        label = draw.below(2)
        parts = [opinion(label) for _ in range(3)]
        if draw.often(AGAINST):
            parts[0] = opinion(1 - label)
        parts += [story() for _ in range(1 + draw.often(0.5))]
        texts.append(" ".join(_sentence(part) for part in draw.shuffled(parts)))
        labels.append(_wrong(draw, label, 2))
    return {"all": (texts, labels)}


def news(seed: int = 2, number: int = 6_000, test: int = 1_500) -> dict[str, Table]:
    """Four classes as in AG-news; parts "train" and "test"."""
    draw = _Draw(seed)
    names = _names(draw, 5_000)
    actors = list(ACTORS.values())
    known = [names[label::8] for label in range(4)]  # people each class is about, many of them rare
    places = names[4::8] + names[5::8] + names[6::8] + names[7::8]

    def party(label: int) -> str:
        return draw.zipf(known[label]) if draw.often(0.4) else f"the {draw.zipf(actors[label])}"

    def event(label: int, other: int) -> str:
        """The one who acts is of class `label`, the other one of class `other`."""
        who, whom = party(label), party(other)
        verb, place, tie = draw.zipf(VERBS), draw.zipf(places), draw.zipf(TIES)
        return draw.one(
            (
                f"{who} {verb} {whom} in {place}",
                f"in {place} {who} {verb} {whom} on {draw.one(DAYS)}",
                f"after the {tie} {whom} got {verb} by {who}",
                f"{whom} from {place} waited for {who} after the {tie}",
            )
        )

    def aside() -> str:
        one, two = draw.zipf(places), draw.zipf(places)
        return draw.one(
            (
                f"{one} reported it from {two} on {draw.one(DAYS)}",
                f"officials in {two} spoke of a {draw.zipf(TIES)}",
                f"{one}, who saw the {draw.zipf(TIES)}, left {two} on {draw.one(DAYS)}",
                f"the {draw.zipf(TIES)} near {two} had begun on {draw.one(DAYS)}, said {one}",
            )
        )

    parts: dict[str, Table] = {}
    for part, rows in (("train", number), ("test", test)):
        texts, labels = parts.setdefault(part, ([], []))
        for _ in range(rows):
            label = draw.below(4)
            others = [(label + 1 + draw.below(3)) % 4 for _ in range(3)]
            if draw.often(0.6):  # one and the same other class: words alone cannot tell the two
                others = others[:1] * 3
            sentences = [event(label, other) for other in others]
            if draw.often(AGAINST):
                sentences[0] = event(others[0], label)
            sentences.append(aside())
            if draw.often(0.3):
                sentences.append(aside())
            texts.append(" ".join(_sentence(sentence) for sentence in sentences))
            labels.append(_wrong(draw, label, 4))
    return parts
