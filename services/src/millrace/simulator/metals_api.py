"""Metals-API's `GET /api/latest`, with its reciprocal rates and its errors with status 200."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, jsonify, request

from millrace.invented import metals
from millrace.simulator.faults import Fault, Faults, html_200, html_502, too_many, truncated

CURRENCY = "USD"
ERRORS = {
    "bad_key": (101, "invalid_access_key", "No valid access key was given."),
    "inactive": (102, "inactive_user", "This account is not active."),
    "quota": (104, "usage_limit_reached", "The monthly request allowance is used up."),
    "restricted": (105, "function_access_restricted", "The plan does not include this."),
    "no_rates": (106, "no_rates_available", "The query returned nothing."),
    "bad_base": (201, "invalid_base_currency", "The base is not known."),
    "bad_symbol": (202, "invalid_currency_codes", "One or more symbols are not known."),
    "unheard_of": (999, "unheard_of", "An error that no list names."),
}


def blueprint(key: str, refresh: float, clock: Callable[[], float]) -> tuple[Blueprint, Faults]:
    """The endpoint for one access key; prices change every `refresh` seconds."""
    pages = Blueprint("metals_api", __name__)
    faults = Faults(_faults())

    @pages.get("/api/latest")
    def latest() -> Response:
        if request.args.get("access_key") != key:
            return _error("bad_key")
        timestamp = int(clock() // refresh * refresh)
        base = request.args.get("base", CURRENCY)
        symbols = [symbol for symbol in request.args.get("symbols", "").split(",") if symbol]
        if base != CURRENCY and base not in metals.USUAL:
            return faults.apply(_error("bad_base"))
        if not symbols or not {*symbols} <= {*metals.USUAL, CURRENCY}:
            return faults.apply(_error("bad_symbol"))
        body = {
            "success": True,
            "timestamp": timestamp,
            "date": f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d}",
            "base": base,
            "rates": _rates(base, symbols, timestamp),
            "unit": "per ounce",
        }
        return faults.apply(jsonify(body))

    return pages, faults


def _rates(base: str, symbols: list[str], timestamp: int) -> dict[str, float]:
    rates: dict[str, float] = {base: 1}
    for symbol in symbols:
        rate = _dollars(base, timestamp) / _dollars(symbol, timestamp)
        rates[symbol] = float(f"{rate:.12g}")
    if base == CURRENCY:
        rates |= {base + symbol: _dollars(symbol, timestamp) for symbol in symbols}
    return rates


def _dollars(symbol: str, timestamp: int) -> float:
    return metals.price(symbol, timestamp) if symbol in metals.USUAL else 1.0


def _error(name: str) -> Response:
    code, kind, info = ERRORS[name]
    return jsonify({"success": False, "error": {"code": code, "type": kind, "info": info}})


def _faults() -> dict[str, Fault]:
    def error(name: str) -> Fault:
        return lambda _: _error(name)

    return {name: error(name) for name in ERRORS} | {
        "html_200": html_200,
        "html_502": html_502,
        "truncated": truncated,
        "too_many": too_many,
        "zero_rate": _with_rates(lambda rates: dict.fromkeys(rates, 0)),
        "rate_is_price": _with_rates(_swapped),
        "disagreeing": _with_rates(lambda rates: rates | {"USDXAU": 1.001 * rates["USDXAU"]}),
        "old_form": _with_rates(_without_joined, unit=None),
    }


def _with_rates(change: Callable[[dict[str, float]], dict[str, float]], **others: Any) -> Fault:
    def fault(response: Response) -> Response:
        body = response.get_json()
        return jsonify(body | {"rates": change(body["rates"])} | others)

    return fault


def _swapped(rates: dict[str, float]) -> dict[str, float]:
    return {key: 1 / rate for key, rate in rates.items() if len(key) == 3}


def _without_joined(rates: dict[str, float]) -> dict[str, float]:
    return {key: rate for key, rate in rates.items() if len(key) == 3}
