"""The clouds' own prices where they answer in time, the catalog's where they don't; `listings` has the rules."""

import datetime as dt
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydantic import TypeAdapter

from automation import market
from automation.cloud_api.refused import Refused
from automation.offers import LIVE, Listing, Wanted
from automation.prices.cache import Cache
from automation.prices.reading import PriceSource, Reading, ScoreSource
from components import catalog
from components.catalog import InstanceType
from provider import places

LIMIT_SECONDS: Final = 8.0
"""How long a command waits for prices, all clouds together."""

_SCORES: Final = TypeAdapter(dict[str, int])
_REASONS: Final = {"no_credentials": "no credentials", "unreachable": "can't be reached", "no_project": "no project"}


@dataclass(frozen=True)
class Answer:
    """What a cloud told of a region, and when."""

    reading: Reading
    read_at: dt.datetime


@dataclass(frozen=True)
class _Question:
    """One request; `key` says in the cache what was asked."""

    key: str
    ask: Callable[[], str]


@dataclass(frozen=True)
class _Answers:
    """What came in time, with when it was read in seconds since 1970, and why the rest did not."""

    told: dict[str, tuple[str, float]] = field(default_factory=dict)
    refused: dict[str, Refused] = field(default_factory=dict)


class LivePrices:
    """Prices for `market.find`; `say` gets one line for each cloud that could not be read in full."""

    def __init__(
        self,
        sources: Mapping[str, PriceSource],
        scores: Mapping[str, ScoreSource],
        cache: Cache,
        say: Callable[[str], None],
        limit_seconds: float = LIMIT_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sources = sources
        self._scores = scores
        self._cache = cache
        self._say = say
        self._limit_seconds = limit_seconds
        self._clock = clock

    def __call__(self, kinds: Sequence[InstanceType], wanted: Wanted) -> tuple[Listing, ...]:
        """Return what these types cost now, in the regions that are wanted; asks all clouds at once."""
        places_ = {(kind.provider, region) for kind in kinds for region in kind.regions if _is_in(region, wanted)}
        asked: dict[tuple[str, str], str] = {
            (provider, region): f"prices {provider} {region}" for provider, region in sorted(places_)
        }
        questions = [_Question(key, self._prices(*place)) for place, key in asked.items()]
        scored = [] if wanted.market == "on-demand" else [*self._score_questions(kinds, wanted)]
        came = self._ask([*questions, *scored])
        answers = {
            place: Answer(Reading.model_validate_json(came.told[key][0]), _moment(came.told[key][1]))
            for place, key in asked.items()
            if key in came.told
        }
        scores: dict[str, int] = {}
        for question in scored:
            if question.key in came.told:
                scores |= _SCORES.validate_json(came.told[question.key][0])
        listed = tuple(market.catalog_prices(kinds, wanted))
        refused = {place: came.refused[key] for place, key in asked.items() if key in came.refused}
        for line in self._lines(kinds, listed, answers, refused):
            self._say(line)
        return listings(kinds, listed, answers, scores)

    def _prices(self, provider: str, region: str) -> Callable[[], str]:
        """All of the catalog's types are asked for, so that the next command, with another model, finds its own."""
        kinds = [kind for kind in catalog.instance_types(provider) if region in kind.regions]
        source = self._sources[provider]
        return lambda: source.read(region, kinds).model_dump_json()

    def _score_questions(self, kinds: Sequence[InstanceType], wanted: Wanted) -> Iterator[_Question]:
        for provider, source in self._scores.items():
            names = sorted(kind.name for kind in kinds if kind.provider == provider)
            regions = sorted(wanted.regions & {region for kind in kinds for region in kind.regions})
            if names:
                key = f"scores {provider} {','.join(names)} {','.join(regions)}"
                yield _Question(key, _score(source, regions, names))

    def _ask(self, questions: Sequence[_Question]) -> _Answers:
        came, now = _Answers(), self._clock()
        waiting: dict[str, _Question] = {}
        for question in questions:
            known = self._cache.get(question.key, now)
            if known is None:
                waiting[question.key] = question
            else:
                came.told[question.key] = known
        arrived: queue.SimpleQueue[tuple[str, str | Refused]] = queue.SimpleQueue()
        for question in waiting.values():
            # A daemon: an answer that is late must not hold up the end of the command.
            threading.Thread(target=_answer, args=(question, arrived), daemon=True).start()
        until = time.monotonic() + self._limit_seconds
        while waiting:
            try:
                key, answer = arrived.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            del waiting[key]
            if isinstance(answer, Refused):
                came.refused[key] = answer
            else:
                came.told[key] = (answer, now)
                self._cache.put(key, answer, now)
        late = Refused("late", f"no answer within {self._limit_seconds:g} s")
        came.refused.update(dict.fromkeys(waiting, late))
        return came

    def _lines(
        self,
        kinds: Sequence[InstanceType],
        listed: Sequence[Listing],
        answers: Mapping[tuple[str, str], Answer],
        refused: Mapping[tuple[str, str], Refused],
    ) -> Iterator[str]:
        for provider in sorted({place[0] for place in (*answers, *refused)}):
            title = self._sources[provider].title
            known = {listing.region for listing in listed if listing.provider == provider}
            missed = {region: told for (cloud, region), told in refused.items() if cloud == provider}
            answered = {region for cloud, region in answers if cloud == provider}
            # A region that was not read and has no price in the catalog either changes nothing, as long as others were.
            counted = [region for region in missed if region in known or not answered]
            if counted:
                reason = _commonest(missed[region] for region in counted)
                where = f"{len(counted)} regions: " if answered else ""
                yield f"{title}: {where}{reason}; prices of the catalog, read {_read_on(provider)}"
            unpriced = [kind.name for kind in kinds if kind.provider == provider and _is_unpriced(kind, answers)]
            if unpriced:
                yield f"{title}: no live price of {', '.join(unpriced)}; the catalog's, where it has one"


def choose(*, catalog_only: bool, say: Callable[[str], None]) -> market.Prices:
    """Return where a command's prices come from: the catalog alone, or the clouds before it."""
    if catalog_only:
        return market.catalog_prices
    from automation.prices.aws import AwsPrices
    from automation.prices.azure import AzurePrices
    from automation.prices.gcp import GcpPrices

    aws = AwsPrices()
    sources: dict[str, PriceSource] = {"aws": aws, "azure": AzurePrices(), "gcp": GcpPrices()}
    return LivePrices(sources, {"aws": aws}, Cache(places.state_folder() / "prices.sqlite"), say)


def listings(
    kinds: Sequence[InstanceType],
    listed: Iterable[Listing],
    answers: Mapping[tuple[str, str], Answer],
    scores: Mapping[str, int],
) -> tuple[Listing, ...]:
    """Return the live prices, and those of the catalog for what the clouds did not tell.

    A cloud that told all prices of a type in a region has the last word there: a place without one does not sell it.
    """
    kept = [listing for listing in listed if not _is_told(listing, answers)]
    live = [
        Listing(
            provider=kind.provider,
            region=region,
            zone=zone,
            instance_type=kind.name,
            gpu=market.gpu_of(kind),
            spot=quote.spot,
            on_demand=quote.on_demand,
            source=LIVE,
            seen=answer.read_at.date(),
            read_at=answer.read_at,
        )
        for kind in kinds
        for (provider, region), answer in answers.items()
        if provider == kind.provider
        for quote in answer.reading.quotes
        if quote.instance_type == kind.name
        for zone in market.zones(kind.provider, region, quote.zone)
    ]
    return tuple(_scored(listing, scores) for listing in (*kept, *live))


def _is_told(listing: Listing, answers: Mapping[tuple[str, str], Answer]) -> bool:
    answer = answers.get((listing.provider, listing.region))
    if answer is None:
        return False
    return listing.instance_type in (answer.reading.on_demand if listing.spot is None else answer.reading.spot)


def _scored(listing: Listing, scores: Mapping[str, int]) -> Listing:
    score = scores.get(listing.zone) if listing.provider == "aws" else None
    return listing if score is None else listing.model_copy(update={"placement_score": score})


def _answer(question: _Question, arrived: "queue.SimpleQueue[tuple[str, str | Refused]]") -> None:
    try:
        arrived.put((question.key, question.ask()))
    except Refused as refused:
        arrived.put((question.key, refused))
    except Exception as error:  # noqa: BLE001 - an answer of a shape that nobody foresaw must not stop a launch
        arrived.put((question.key, Refused("unreadable", f"{type(error).__name__}: {error}")))


def _score(source: ScoreSource, regions: Sequence[str], names: Sequence[str]) -> Callable[[], str]:
    return lambda: _SCORES.dump_json(source.scores(regions, names)).decode()


def _is_in(region: str, wanted: Wanted) -> bool:
    return not wanted.regions or region in wanted.regions


def _is_unpriced(kind: InstanceType, answers: Mapping[tuple[str, str], Answer]) -> bool:
    read = [
        answer.reading
        for (provider, region), answer in answers.items()
        if provider == kind.provider and region in kind.regions
    ]
    return bool(read) and not any(kind.name in reading.spot | reading.on_demand for reading in read)


def _commonest(refused: Iterable[Refused]) -> str:
    told = Counter(_REASONS.get(one.code, str(one) if one.code == "late" else one.code) for one in refused)
    return told.most_common(1)[0][0]


def _read_on(provider: str) -> dt.date:
    return max(
        row.source.read for kind in catalog.instance_types(provider) for row in catalog.prices(provider, kind.name)
    )


def _moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, tz=dt.UTC).replace(microsecond=0)
