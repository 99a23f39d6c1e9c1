"""The latest values from outside: where they come from, how old they are, how it fails."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib import parse

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from redis.exceptions import ConnectionError as NoConnection
from services.tests.api.test_api import check, problem, retry_seconds
from services.tests.api.world import AUTHORIZED, AWAY, World, document
from services.tests.stands import stands_for

from millrace.api import latest as routes
from millrace.api import problems
from millrace.api.cache import RedisCache
from millrace.api.errors import DependencyError
from millrace.clients import latest_values
from millrace.clients.latest_values import Latest
from millrace.feeds import FEEDS

PRICE, QUOTE = "/market_data/last_price/{symbol}", "/market_data/last_quote/{symbol}"
MINUTE = 60_000
AT_MINUTE_5 = int(datetime(2024, 1, 1, 0, 5, tzinfo=UTC).timestamp() * 1000)


@pytest.fixture
def world() -> World:
    return World(*(document(n, symbol, "quotes") for n in range(6) for symbol in "AB"))


@pytest.fixture
def client(world: World) -> FlaskClient:
    """A client five minutes and a second after midnight."""
    app = Flask(__name__, static_folder=None)
    problems.register(app)
    clock: Callable[[], float] = lambda: AT_MINUTE_5 / 1000 + 1  # noqa: E731
    app.register_blueprint(routes.blueprint(FEEDS.values(), world.dependencies, 60.0, clock))
    return app.test_client()


def ask(client: FlaskClient, path: str, symbol: str = "A") -> Any:
    return check(client.get(path.replace("{symbol}", symbol)), path)


def cached(world: World, ts_ms: int, price: str = "231.10") -> None:
    quote = {**document(0), "price": {"value": float(price), "currency": "USD"}}
    quote["event_id"] = quote.pop("_id")
    del quote["kafka"]
    assert world.redis
    world.redis.values["A"] = Latest("A", ts_ms, price, json.dumps(quote, default=_time))


def _time(time: datetime) -> str:
    return time.isoformat()


def test_the_latest_price_comes_from_redis(client: FlaskClient, world: World) -> None:
    cached(world, AT_MINUTE_5 + 500)
    assert ask(client, PRICE) == {
        "symbol": "A",
        "price": 231.1,
        "timestamp": "2024-01-01T00:05:00.500000Z",
        "simulated": True,
        "age_ms": 500,
        "stale": False,
        "from": "cache",
    }


@pytest.mark.parametrize("is_cached", [True, False])
def test_a_price_says_whether_it_is_invented(is_cached: bool) -> None:
    """As the quote does that it comes from, wherever that is kept."""
    real = {**document(5, "A", "quotes"), "simulated": False}
    world = World(real)
    assert world.redis
    if is_cached:
        world.redis.values["A"] = latest_values.of(FEEDS["quotes"], real)
    answer = check(
        world.app().test_client().get("/market_data/last_price/A", headers=AUTHORIZED), PRICE
    )
    assert (answer["simulated"], answer["from"]) == (False, "cache" if is_cached else "store")


def test_the_price_has_the_digits_that_redis_has(client: FlaskClient, world: World) -> None:
    cached(world, AT_MINUTE_5, price="0.000000001")
    assert b'"price":0.000000001,' in client.get("/market_data/last_price/A").data


def test_the_latest_quote_is_the_whole_event(client: FlaskClient, world: World) -> None:
    cached(world, AT_MINUTE_5)
    body = ask(client, QUOTE)
    assert body["quote"]["event_id"] == "stocks:test:A:0"
    assert (body["age_ms"], body["stale"], body["from"]) == (1000, False, "cache")


@pytest.mark.parametrize("redis", ["away", "empty", "not deployed"])
def test_without_a_value_in_redis_the_stored_one_is_the_answer(
    client: FlaskClient, world: World, redis: str
) -> None:
    assert world.redis
    world.redis.broken = redis == "away"
    if redis == "not deployed":
        world.redis = None
    price = ask(client, PRICE)
    assert price == {
        "symbol": "A",
        "price": 1.5,
        "timestamp": "2024-01-01T00:05:00Z",
        "simulated": True,
        "age_ms": 1000,
        "stale": False,
        "from": "store",
    }
    quote = ask(client, QUOTE)
    assert quote["quote"]["event_id"] == "quotes:test:A:5"
    assert "kafka" not in quote["quote"]


@pytest.mark.parametrize("symbol", ["BTC/USD", "A//B", "A/", "a b/ü", "A%2FB"])
@pytest.mark.parametrize("is_encoded", [True, False])
def test_a_symbol_may_have_slashes(symbol: str, is_encoded: bool) -> None:
    app = World(document(5, symbol, "quotes")).app()
    written = parse.quote(symbol, safe="" if is_encoded else "/")
    for path in (PRICE, QUOTE):
        answer = app.test_client().get(path.replace("{symbol}", written), headers=AUTHORIZED)
        body = check(answer, path)
        assert body.get("quote", body)["symbol"] == symbol


@pytest.mark.parametrize(
    ("age_ms", "stale"), [(59_999, False), (60_000, False), (60_001, True), (10 * MINUTE, True)]
)
def test_an_old_value_is_called_stale(
    client: FlaskClient, world: World, age_ms: int, stale: bool
) -> None:
    cached(world, AT_MINUTE_5 + 1000 - age_ms)
    assert ask(client, PRICE)["stale"] is stale


@pytest.mark.parametrize(
    ("ahead_ms", "age_ms", "stale"),
    [(1, 0, False), (MINUTE, 0, False), (MINUTE + 1, None, True), (55 * MINUTE, None, True)],
)
def test_of_a_value_that_is_too_far_ahead_nobody_knows_the_age(
    client: FlaskClient, world: World, ahead_ms: int, age_ms: int | None, stale: bool
) -> None:
    """It would be called fresh until its time has come, however long nothing else comes."""
    cached(world, AT_MINUTE_5 + 1000 + ahead_ms)
    for path in (PRICE, QUOTE):
        body = ask(client, path)
        assert (body["age_ms"], body["stale"]) == (age_ms, stale)


@pytest.mark.parametrize("path", [PRICE, QUOTE])
def test_a_symbol_that_nobody_knows_is_a_problem(client: FlaskClient, path: str) -> None:
    answer = client.get(path.replace("{symbol}", "nobody"))
    assert "symbol" in problem(answer, 404)
    check(answer, path)


def test_without_quotes_no_symbol_is_known(world: World) -> None:
    app = Flask(__name__, static_folder=None)
    problems.register(app)
    app.register_blueprint(routes.blueprint([FEEDS["stocks"]], world.dependencies, 60.0))
    problem(app.test_client().get("/market_data/last_price/A"), 404)


def test_a_query_parameter_is_refused(client: FlaskClient) -> None:
    problem(client.get("/market_data/last_price/A?since=yesterday"), 400)


def test_with_both_away_the_api_says_so(client: FlaskClient, world: World) -> None:
    assert world.redis
    world.redis.broken = True
    world.memory.error = AWAY
    answer = client.get("/market_data/last_price/A")
    assert problem(answer, 503) == "The database does not answer."
    assert retry_seconds(answer) > 0


def test_every_answer_needs_a_token(world: World) -> None:
    client = world.app().test_client()
    problem(client.get("/market_data/last_price/A"), 401)
    assert client.get("/market_data/last_price/A", headers=AUTHORIZED).status_code == 200


@stands_for(Redis)
class Server:
    """Redis as its client shows it."""

    def __init__(self) -> None:
        self.hashes: dict[str, dict[str, str]] = {}
        self.away = False
        self.asked = 0

    def hmget(self, name: str, *fields: str) -> list[str | None]:
        self.asked += 1
        if self.away:
            raise NoConnection("Error 111 connecting to redis:6379. Connection refused.")
        found = self.hashes.get(name, {})
        return [found.get(field) for field in fields]

    def ping(self) -> bool:
        self.hmget("", "")
        return True


def test_a_value_is_read_from_its_hash() -> None:
    server: Any = Server()
    cache = RedisCache(server)
    assert cache.get("A") is None
    server.hashes["last_quote:A"] = {"ts_ms": "5", "price": "1.0", "quote": "{}"}
    assert cache.get("A") == Latest("A", 5, "1.0", "{}")


def test_redis_that_does_not_answer_is_left_alone_for_a_moment() -> None:
    server: Any = Server()
    now = 0.0
    cache = RedisCache(server, clock=lambda: now)
    cache.ping()
    server.away, server.asked = True, 0
    reasons = []
    asks: list[Callable[[], object]] = [cache.ping, lambda: cache.get("A"), cache.ping]
    for ask in asks:
        with pytest.raises(DependencyError) as error:
            ask()
        reasons.append(str(error.value))
    why = "Redis does not answer: Error 111 connecting to redis:6379. Connection refused."
    assert reasons == [why, *["it did not answer a moment ago"] * 2]
    assert server.asked == 1
    server.away, now = False, 1.0
    assert cache.get("A") is None
    assert server.asked == 2
