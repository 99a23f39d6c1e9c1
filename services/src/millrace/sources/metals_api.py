"""Metals-API `latest`: spot prices of precious metals.

Its answers are easily misread. A rate is metal per currency unit: the price is its reciprocal.
Newer answers also have the price itself under the joined key (`USDXAU`), which is preferred, and
must agree. With a metal as base it is the other way round: `rates.USD` is the price. In either
form, a price is rejected if it is at most a fifth, or at least five times, of the metal's price in
2026, as a rate taken for a price, or a price per gram or kilogram, would be. Smaller errors are not
detected. Errors may also have status 200.

Between two refreshes the same `timestamp` is sent again. It is part of the event id, so that a
repeated observation is the same event.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from millrace.config import Settings
from millrace.events import AHEAD
from millrace.feeds.metals import METALS as FEED
from millrace.feeds.minting import mint, second
from millrace.runtime.redaction import shown
from millrace.sources.base import Auth, Batch, Permanent, Quota, Rejected, SourceError
from millrace.sources.budget import Budget
from millrace.sources.http import Client, Upstream
from millrace.sources.metered import Metered, budget_file
from millrace.sources.times import next_month

URL = "https://metals-api.com"
CURRENCY = "USD"
TOLERANCE = 1e-6
SMALLEST = 1e-12
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
SECONDS_PER_MONTH = 28 * 86_400


@dataclass(frozen=True)
class Metal:
    """A known metal, and its price in dollars per troy ounce."""

    name: str
    usual: float

    def costs(self, price: float) -> bool:
        """Whether the price is plausible."""
        return self.usual / FACTOR < price < self.usual * FACTOR


FACTOR = 5
"""There are 31 grams in an ounce, and 32 ounces in a kilogram."""
METALS = {
    "XAU": Metal("Gold", 4200),
    "XAG": Metal("Silver", 51),
    "XPT": Metal("Platinum", 1600),
    "XPD": Metal("Palladium", 1400),
}


class MetalsApi(Metered):
    """The source: one request returns all symbols."""

    feed = "metals"

    def _ask(self, unit: str) -> Batch:
        """Prices of all symbols, as of the upstream's last refresh."""
        reply = self._client.get(
            "/api/latest", {"base": CURRENCY, "symbols": unit}, key_parameter="access_key"
        )
        now = self._now()
        if reply.body.get("success") is not True:
            if error := error_in(reply.body, now):
                raise error
            return Batch((), reply.simulated)
        return normalise(reply.body, unit.split(","), now, simulated=reply.simulated)


def from_settings(settings: Settings) -> MetalsApi:
    """The configured source: the real API with its budget, or the simulator."""
    symbols = settings.producer_symbols or list(METALS)
    upstream = Upstream.choose(settings, "metals_api_key", URL)
    allowance = None if upstream.simulated else settings.metals_api_requests_per_month
    return MetalsApi(
        Client(upstream),
        Budget(budget_file(settings, upstream), upstream.key, allowance, next_month),
        [",".join(symbols)],
        interval=SECONDS_PER_MONTH / allowance if allowance else 0,
        simulated=upstream.simulated,
    )


def normalise(
    body: Mapping[str, Any], symbols: Sequence[str], now: datetime, *, simulated: bool
) -> Batch:
    """The events in a successful answer; implausible symbols are rejected individually."""
    observed_at = _observed_at(body.get("timestamp"), now)
    base, rates = body.get("base"), body.get("rates")
    if not isinstance(base, str) or not isinstance(rates, dict):
        raise Permanent("the answer has no base or no rates")
    source = "metals_api-simulator" if simulated else "metals_api"
    events, rejected = [], []
    for symbol in symbols:
        try:
            event = mint(
                FEED,
                source,
                symbol,
                second(observed_at),
                simulated=simulated,
                symbol=symbol,
                observed_at=observed_at,
                produced_at=now,
                price=_price(symbol, base, rates),
                currency=CURRENCY,
                unit="troy_ounce",
                metal_name=METALS[symbol].name,
            )
        except ValueError as error:
            rejected.append(Rejected(symbol, str(error)))
        else:
            events.append(event)
    return Batch(events, simulated, rejected)


def error_in(body: Mapping[str, Any], now: datetime) -> SourceError | None:
    """The typed error of an error body; None if there is only nothing new."""
    error = body.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    said = error.get("info") or error.get("type") if isinstance(error, dict) else error
    reason = shown(f"error {code}: {said}")
    match code:
        case 101 | 102:
            return Auth(reason)
        case 104:
            # The day on which the allowance is renewed is unknown: ask once a day.
            return Quota(reason, min(next_month(now), now + timedelta(days=1)))
        case 106:
            return None
    return Permanent(reason)


def _observed_at(timestamp: Any, now: datetime) -> datetime:
    if isinstance(timestamp, bool) or not isinstance(timestamp, int):
        raise Permanent("the answer has no timestamp")
    # This host's clock does not decide how far ahead a time may be, within reason.
    if not EARLIEST.timestamp() <= timestamp <= (now + AHEAD).timestamp():
        raise Permanent(
            f"the timestamp {timestamp} is not a time at which prices were observed, or this host's"
            " clock is wrong"
        )
    return datetime.fromtimestamp(timestamp, UTC)


def _price(symbol: str, base: str, rates: Mapping[str, Any]) -> float:
    """Dollars per ounce; a ValueError says why the answer has no price."""
    if base == symbol:
        price = _number(rates.get(CURRENCY), CURRENCY)
    elif base == CURRENCY:
        price = 1 / _number(rates.get(symbol), symbol)
        joined = base + symbol
        if joined in rates:
            direct = _number(rates[joined], joined)
            if not math.isclose(direct, price, rel_tol=TOLERANCE):
                raise ValueError(f"{joined} is {direct:g}, but the rate says {price:g}")
            price = direct
    else:
        raise ValueError(f"rates are per {shown(base, 10)}, not per {CURRENCY}")
    metal = METALS[symbol]
    if not metal.costs(price):
        raise ValueError(f"{price:g} is no plausible price of {metal.name.lower()}")
    return price


def _number(value: Any, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{key} is not a number")  # noqa: TRY004 - about the answer, not the code
    if not SMALLEST < value < 1 / SMALLEST:
        raise ValueError(f"{key} is not a number that a rate can be")
    return float(value)
