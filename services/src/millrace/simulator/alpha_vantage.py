"""Alpha Vantage's `GET /query?function=GLOBAL_QUOTE`: strings, and failures with status 200."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify, request

from millrace.invented import shares
from millrace.simulator.faults import Fault, Faults, html_200, html_502, too_many, truncated

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
        now = clock() // refresh * refresh
        body = {"Global Quote": _quote(symbol, now) if symbol in shares.SHARES else {}}
        return faults.apply(jsonify(body))

    return pages, faults


def _quote(symbol: str, now: float) -> dict[str, str]:
    day = shares.day(symbol, now)
    change = day.price - day.previous_close
    return {
        "01. symbol": symbol,
        "02. open": f"{day.open:.4f}",
        "03. high": f"{day.high:.4f}",
        "04. low": f"{day.low:.4f}",
        "05. price": f"{day.price:.4f}",
        "06. volume": str(day.volume),
        "07. latest trading day": day.day.isoformat(),
        "08. previous close": f"{day.previous_close:.4f}",
        "09. change": f"{change:.4f}",
        "10. change percent": f"{100 * change / day.previous_close:.4f}%",
    }


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
