"""Alpha Vantage's `GET /query?function=GLOBAL_QUOTE`: strings, and failures with status 200."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from flask import Blueprint, Response, jsonify, request

from millrace.simulator.faults import Fault, Faults, html_200, html_502, too_many, truncated
from millrace.simulator.prices import price
from millrace.sources.times import NEW_YORK, close_of

ANCHORS = {"AAPL": 232.0, "GOOG": 310.0, "IBM": 285.0, "MSFT": 480.0, "NVDA": 190.0}
OPENS = time(9, 30)
SAMPLES = 20
SHARES_PER_SECOND = 1500
SATURDAY = 5
WORDS = {
    "daily": ("Information", "We know your API key as {key}; its limit is 25 requests per day."),
    "burst": (
        "Information",
        "Please consider spreading out your requests (1 request per second). A premium plan lifts"
        " the limit of 25 requests per day.",
    ),
    "premium": ("Information", "This is a premium endpoint."),
    "note": ("Note", "The call frequency is 5 calls per minute and 500 calls per day."),
    "invalid_call": ("Error Message", "Invalid API call. See the documentation."),
    "bad_key": ("Error Message", "The parameter apikey is invalid or missing."),
}


def blueprint(key: str, refresh: float, clock: Callable[[], float]) -> tuple[Blueprint, Faults]:
    """The endpoint for one API key; prices change every `refresh` seconds while shares trade."""
    pages = Blueprint("alpha_vantage", __name__)
    faults = Faults(_faults(key))

    @pages.get("/query")
    def query() -> Response:
        if request.args.get("apikey") != key:
            return _said("bad_key", key)
        if request.args.get("function") != "GLOBAL_QUOTE" or "symbol" not in request.args:
            return faults.apply(_said("invalid_call", key))
        symbol = request.args["symbol"]
        now = datetime.fromtimestamp(clock() // refresh * refresh, UTC)
        body = {"Global Quote": _quote(symbol, now) if symbol in ANCHORS else {}}
        return faults.apply(jsonify(body))

    return pages, faults


def _quote(symbol: str, now: datetime) -> dict[str, str]:
    day = _trading_day(now)
    opened, latest = _opened(day), min(now, close_of(day))
    span = (latest - opened).total_seconds()
    path = [
        _dollars(symbol, opened + timedelta(seconds=span * i / SAMPLES)) for i in range(SAMPLES)
    ]
    last = _dollars(symbol, latest)
    path.append(last)
    previous = _dollars(symbol, close_of(_trading_day(opened - timedelta(minutes=1))))
    change = last - previous
    return {
        "01. symbol": symbol,
        "02. open": f"{path[0]:.4f}",
        "03. high": f"{max(path):.4f}",
        "04. low": f"{min(path):.4f}",
        "05. price": f"{last:.4f}",
        "06. volume": str(int(SHARES_PER_SECOND * span)),
        "07. latest trading day": day.isoformat(),
        "08. previous close": f"{previous:.4f}",
        "09. change": f"{change:.4f}",
        "10. change percent": f"{100 * change / previous:.4f}%",
    }


def _dollars(symbol: str, at: datetime) -> float:
    return round(price(symbol, ANCHORS[symbol], at.timestamp()), 4)


def _trading_day(now: datetime) -> date:
    """The day of the latest trade: shares trade on weekdays from 9:30 to 16:00."""
    day = now.astimezone(NEW_YORK).date()
    if now < _opened(day):
        day -= timedelta(days=1)
    while day.weekday() >= SATURDAY:
        day -= timedelta(days=1)
    return day


def _opened(day: date) -> datetime:
    return datetime.combine(day, OPENS, NEW_YORK).astimezone(UTC)


def _said(name: str, key: str) -> Response:
    field, words = WORDS[name]
    return jsonify({field: words.format(key=key)})


def _faults(key: str) -> dict[str, Fault]:
    def said(name: str) -> Fault:
        return lambda _: _said(name, key)

    def body(content: dict[str, Any]) -> Fault:
        return lambda _: jsonify(content)

    return {name: said(name) for name in WORDS} | {
        "empty": body({}),
        "unknown_symbol": body({"Global Quote": {}}),
        "html_200": html_200,
        "html_502": html_502,
        "truncated": truncated,
        "too_many": too_many,
    }
