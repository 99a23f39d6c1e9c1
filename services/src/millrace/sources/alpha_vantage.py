"""Alpha Vantage GLOBAL_QUOTE: the latest quote of a share, with one request per symbol.

Every value is a string, and failures have status 200 and texts that have changed often: only a
filled `Global Quote` is success, and other texts only classify the failure. One of them echoes the
API key, so texts of the upstream never leave this module unmasked.

A quote names its trading day but no time. During the day, price and volume change between polls,
and each change is a separate observation; an unchanged quote is not. So `observed_at` is the time
when the quote was first seen, which is kept across restarts, or the close of its trading day if
that is earlier. The event id is made of that time and the values, so that the same quote is the
same event, however often it is polled.

A quote does not name its currency either. The currency and the close of the exchange are known only
for US shares; for others the day ends with the day in UTC.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any

from millrace.config import Settings
from millrace.feeds.currencies import currency_of, is_of_the_us
from millrace.feeds.minting import mint, second
from millrace.feeds.stocks import STOCKS
from millrace.runtime.redaction import shown
from millrace.sources.base import Auth, Batch, Permanent, Quota, Rejected, SourceError, Transient
from millrace.sources.budget import Budget
from millrace.sources.http import Client, Upstream
from millrace.sources.metered import Metered, budget_file
from millrace.sources.seen import Seen
from millrace.sources.times import NEW_YORK, close_of, next_day_in_new_york

URL = "https://www.alphavantage.co"
SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")
SECONDS_PER_DAY = 86_400
_FIRST_ZONE = timezone(timedelta(hours=14))
"""The time zone in which a day begins first."""
PAUSES = {"second": timedelta(seconds=1.2), "minute": timedelta(minutes=1)}
_LIMIT = re.compile(
    r"(\d[\d,]{0,11})\s+(?:[a-z]+\s+)?(?:requests?|calls?)\s+per\s+(second|minute|day)"
)
_DECIMAL = re.compile(r"\d{1,15}(\.\d{1,10})?")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_WHOLE = re.compile(r"\d{1,15}")


class AlphaVantage(Metered):
    """The source: one request per symbol, within a daily budget and with a minimum spacing."""

    feed = "stocks"

    def __init__(self, *args: Any, seen: Seen, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._seen = seen

    def _ask(self, unit: str) -> Batch:
        """The latest quote of one symbol."""
        reply = self._client.get(
            "/query", {"function": "GLOBAL_QUOTE", "symbol": unit}, key_parameter="apikey"
        )
        now = self._now()
        quote = reply.body.get("Global Quote")
        if isinstance(quote, dict) and quote:
            return normalise(quote, unit, now, self._seen.first, simulated=reply.simulated)
        raise error_in(reply.body, now, self._budget.requests)


def from_settings(settings: Settings) -> AlphaVantage:
    """The configured source: the real API with its budget, or the simulator."""
    upstream = Upstream.choose(settings, "alpha_vantage_api_key", URL)
    allowance = None if upstream.simulated else settings.alpha_vantage_requests_per_day
    symbols = settings.producer_symbols or SYMBOLS
    budget = Budget(
        budget_file(settings, upstream),
        upstream.key,
        allowance,
        next_day_in_new_york,
        spacing=1 / settings.alpha_vantage_requests_per_second,
    )
    return AlphaVantage(
        Client(upstream),
        budget,
        symbols,
        interval=SECONDS_PER_DAY * len(symbols) / allowance if allowance else 0,
        simulated=upstream.simulated,
        seen=Seen(settings.producer_state_dir / "quotes.json"),
    )


def normalise(
    quote: Mapping[str, Any],
    symbol: str,
    now: datetime,
    first_seen: Callable[[str, str, datetime], datetime],
    *,
    simulated: bool,
) -> Batch:
    """The event of a quote; an implausible quote is rejected.

    `first_seen` returns when a value of a series was first seen, given the value and the time.
    """
    source = "alpha_vantage-simulator" if simulated else "alpha_vantage"
    is_in_new_york = is_of_the_us(symbol)
    try:
        if quote.get("01. symbol") != symbol:
            raise ValueError(f"the answer is about {shown(quote.get('01. symbol'), 20)}")
        day = _day(quote, now.astimezone(NEW_YORK if is_in_new_york else _FIRST_ZONE).date())
        prices = {
            name: _positive(quote, key)
            for name, key in (
                ("open", "02. open"),
                ("high", "03. high"),
                ("low", "04. low"),
                ("price", "05. price"),
            )
        }
        volume = int(_match(_WHOLE, quote, "06. volume"))
        values = ",".join(map(repr, (*prices.values(), volume)))
        digest = hashlib.sha256(values.encode()).hexdigest()[:16]
        seen = first_seen(f"{source}:{symbol}", f"{day}:{digest}", now)
        observed_at = min(seen, close_of(day) if is_in_new_york else _end_of(day))
        event = mint(
            STOCKS,
            source,
            symbol,
            second(observed_at),
            digest,
            simulated=simulated,
            symbol=symbol,
            observed_at=observed_at,
            produced_at=now,
            volume=volume,
            currency=currency_of(symbol),
            **prices,
        )
    except ValueError as error:
        return Batch((), simulated, (Rejected(symbol, str(error)),))
    return Batch((event,), simulated)


def error_in(body: Mapping[str, Any], now: datetime, requests: int) -> SourceError:
    """The typed error of an answer without a quote.

    The text does not show which limit is meant, because each has named the others, too. The numbers
    in it do, together with the `requests` that were made today, including this one.
    """
    said = next(
        (body[key] for key in ("Error Message", "Information", "Note") if key in body), None
    )
    if said is None and "Global Quote" in body:
        return Permanent("no such symbol")
    if said is None:
        return Transient("the answer has no quote and no reason")
    reason, words = shown(said), str(said).lower()
    if "Error Message" in body:
        return Auth(reason) if "apikey" in words else Permanent(reason)
    limits = {unit: int(number.replace(",", "")) for number, unit in _LIMIT.findall(words)}
    if not limits and "Note" not in body:
        return Permanent(reason)
    midnight = next_day_in_new_york(now)
    if requests >= limits.get("day", requests + 1) and "second" not in limits:
        return Quota(reason, midnight)
    unit = "second" if "second" in limits else "minute"
    return Quota(reason, min(now + PAUSES[unit], midnight))


def _day(quote: Mapping[str, Any], today: date) -> date:
    day = date.fromisoformat(_match(_DAY, quote, "07. latest trading day"))
    if day > today:
        raise ValueError(f"the trading day {day} has not come yet")
    return day


def _end_of(day: date) -> datetime:
    return datetime.combine(day, time(), UTC) + timedelta(days=1)


def _positive(quote: Mapping[str, Any], key: str) -> float:
    number = float(_match(_DECIMAL, quote, key))
    if not number:
        raise ValueError(f"{key} is zero")
    return number


def _match(pattern: re.Pattern[str], quote: Mapping[str, Any], key: str) -> str:
    value = quote.get(key)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{key} is not what it should be: {shown(value, 20)}")
    return value
