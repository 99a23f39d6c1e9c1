"""Alpha Vantage GLOBAL_QUOTE: the latest quote of a share, one request a symbol.

Every value is a string, and failures come with status 200 in words that have changed often: only
a filled `Global Quote` is success, and the words merely sort the failures. One of them echoes the
API key, so nothing the upstream says leaves this module unscrubbed.

A quote names its trading day but no time. While the day trades, its price and volume change from
poll to poll, and each change is an observation of its own; polling an unchanged quote again is
not. So the event id is made of the trading day and the values, not of the time of the poll: the
same quote is the same event, also after a restart, and a day that traded on has a new id because
its volume grew. `observed_at` is the time of the poll, or the close of the trading day if that is
earlier, in UTC.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from millrace.config import Settings
from millrace.feeds.minting import mint, second
from millrace.feeds.stocks import STOCKS
from millrace.redaction import shown
from millrace.sources.base import Auth, Batch, Permanent, Quota, Rejected, SourceError, Transient
from millrace.sources.budget import Budget
from millrace.sources.http import Client, Upstream
from millrace.sources.metered import Metered, budget_file
from millrace.sources.times import NEW_YORK, close_of, next_day_in_new_york

URL = "https://www.alphavantage.co"
SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")
SECONDS_PER_DAY = 86_400
BURST_PAUSE = timedelta(seconds=1.2)
MINUTE_PAUSE = timedelta(seconds=60)
_DECIMAL = re.compile(r"\d{1,15}(\.\d{1,10})?")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_WHOLE = re.compile(r"\d{1,15}")


class AlphaVantage(Metered):
    """The source: one request a symbol, within a budget a day and a distance between two."""

    feed = "stocks"

    def fetch(self, unit: str) -> Batch:
        """The latest quote of one symbol."""
        self._budget.take()
        reply = self._client.get(
            "/query", {"function": "GLOBAL_QUOTE", "symbol": unit}, key_parameter="apikey"
        )
        now = datetime.now(UTC)
        quote = reply.body.get("Global Quote")
        if isinstance(quote, dict) and quote:
            return normalise(quote, unit, now, simulated=reply.simulated)
        error = error_in(reply.body, now)
        if isinstance(error, Quota) and error.retry_at - now > MINUTE_PAUSE:
            self._budget.exhaust()
        raise error


def from_settings(settings: Settings) -> AlphaVantage:
    """The source as configured: the real API with its budget, or the simulator."""
    upstream = Upstream.choose(settings, settings.alpha_vantage_api_key.get_secret_value(), URL)
    allowance = None if upstream.simulated else settings.alpha_vantage_requests_per_day
    symbols = settings.producer_symbols or SYMBOLS
    budget = Budget(
        budget_file(settings, upstream),
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
    )


def normalise(quote: Mapping[str, Any], symbol: str, now: datetime, *, simulated: bool) -> Batch:
    """The event in a quote; a quote that cannot be believed is rejected."""
    source = "alpha_vantage-simulator" if simulated else "alpha_vantage"
    try:
        if quote.get("01. symbol") != symbol:
            raise ValueError(f"the answer is about {shown(quote.get('01. symbol'), 20)}")
        day = _day(quote, now)
        prices = {
            name: _positive(quote, key)
            for name, key in (
                ("open", "02. open"),
                ("high", "03. high"),
                ("low", "04. low"),
                ("price", "05. price"),
            )
        }
        if prices["low"] > prices["high"]:
            raise ValueError("the low is above the high")
        volume = int(_match(_WHOLE, quote, "06. volume"))
        values = ",".join(map(repr, (*prices.values(), volume)))
        digest = hashlib.sha256(values.encode()).hexdigest()[:16]
        observed_at = min(now.replace(microsecond=0), close_of(day))
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
            currency="USD",
            **prices,
        )
    except ValueError as error:
        return Batch((), simulated, (Rejected(symbol, str(error)),))
    return Batch((event,), simulated)


def error_in(body: Mapping[str, Any], now: datetime) -> SourceError:
    """The typed error of an answer without a quote."""
    said = next(
        (body[key] for key in ("Error Message", "Information", "Note") if key in body), None
    )
    if said is None and "Global Quote" in body:
        return Permanent("no such symbol")
    if said is None:
        return Transient("the answer has no quote and no reason")
    reason = shown(said)
    words = str(said).lower()
    if "Error Message" in body:
        return Auth(reason) if "apikey" in words else Permanent(reason)
    if "per minute" in words:
        return Quota(reason, now + MINUTE_PAUSE)
    # The burst limit's words name the daily limit, too, and both advertise premium plans.
    if "per second" in words and "spreading" in words:
        return Quota(reason, now + BURST_PAUSE)
    if "per day" in words or "daily" in words:
        return Quota(reason, next_day_in_new_york(now))
    if "per second" in words:
        return Quota(reason, now + BURST_PAUSE)
    if "Note" in body:
        return Quota(reason, now + MINUTE_PAUSE)
    return Permanent(reason)


def _day(quote: Mapping[str, Any], now: datetime) -> date:
    day = date.fromisoformat(_match(_DAY, quote, "07. latest trading day"))
    if day > now.astimezone(NEW_YORK).date():
        raise ValueError(f"the trading day {day} has not come yet")
    return day


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
