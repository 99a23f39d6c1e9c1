"""The sources against the simulator, over HTTP: the contract of both upstream APIs."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from services.tests.sources.harness import NOON, Simulator

from millrace.config import Settings
from millrace.errors import ConfigurationError
from millrace.feeds.metals import MetalPrice
from millrace.feeds.stocks import StockPrice
from millrace.sources import http, making
from millrace.sources.asking import Answer
from millrace.sources.base import Auth, Batch, Permanent, Quota, Source, SourceError, Transient

Make = Callable[..., Settings]
KEY = "a/real+looking key"
KEYS = {"metals_api": "metals_api_key", "alpha_vantage": "alpha_vantage_api_key"}


def simulated(simulator: Simulator, settings: Make, name: str, feed: str, **own: str) -> Source:
    """A source that asks the simulator, as fast as it likes."""
    return making.make(
        settings(
            producer_source=name,
            producer_feed=feed,
            producer_url=simulator.url,
            alpha_vantage_requests_per_second=1000,
            **own,
        )
    )


@pytest.fixture
def metals(simulator: Simulator, settings: Make) -> Source:
    return making.make(
        settings(producer_source="metals_api", producer_feed="metals", producer_url=simulator.url)
    )


@pytest.fixture
def stocks(simulator: Simulator, settings: Make) -> Source:
    return simulated(simulator, settings, "alpha_vantage", "stocks")


def test_metals_have_the_prices_that_the_simulator_says(
    metals: Source, simulator: Simulator
) -> None:
    batch = metals.fetch(metals.units[0])
    told = simulator.get("/api/latest", access_key="simulator", symbols="XAU,XAG,XPT,XPD")
    assert [event.symbol for event in batch.events] == ["XAU", "XAG", "XPT", "XPD"]
    for event in batch.events:
        assert isinstance(event, MetalPrice)
        assert event.price == told["rates"]["USD" + event.symbol]
        assert event.observed_at == datetime.fromtimestamp(NOON // 60 * 60, UTC)
        assert (event.currency, event.unit, event.simulated) == ("USD", "troy_ounce", True)


def test_metals_without_joined_keys_have_the_same_prices(
    metals: Source, simulator: Simulator
) -> None:
    new = metals.fetch(metals.units[0]).events
    simulator.fault("metals_api", "old_form")
    old = metals.fetch(metals.units[0]).events
    for one, other in zip(new, old, strict=True):
        assert isinstance(one, MetalPrice)
        assert isinstance(other, MetalPrice)
        assert other.price == pytest.approx(one.price, rel=1e-9)
        assert other.event_id == one.event_id


def test_metals_are_new_after_a_refresh_only(metals: Source, simulator: Simulator) -> None:
    first = metals.fetch(metals.units[0]).events[0].event_id
    simulator.now += 20
    assert metals.fetch(metals.units[0]).events[0].event_id == first
    simulator.now += 60
    assert metals.fetch(metals.units[0]).events[0].event_id != first


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("bad_key", Auth),
        ("inactive", Auth),
        ("quota", Quota),
        ("too_many", Quota),
        ("restricted", Permanent),
        ("bad_base", Permanent),
        ("bad_symbol", Permanent),
        ("unheard_of", Permanent),
        ("html_502", Transient),
        ("html_200", Transient),
        ("truncated", Transient),
    ],
)
def test_metals_failures_have_their_kind(
    metals: Source, simulator: Simulator, fault: str, kind: type[SourceError]
) -> None:
    simulator.fault("metals_api", fault)
    with pytest.raises(SourceError) as caught:
        metals.fetch(metals.units[0])
    assert type(caught.value) is kind
    assert_asks_again_unless_refused(metals, kind)


def assert_asks_again_unless_refused(source: Source, kind: type[SourceError]) -> None:
    if kind is Quota:
        with pytest.raises(Quota, match="said to wait"):
            source.fetch(source.units[0])
    else:
        assert source.fetch(source.units[0]).events


@pytest.mark.parametrize("fault", ["zero_rate", "rate_is_price"])
def test_metals_that_cannot_be_are_rejected(
    metals: Source, simulator: Simulator, fault: str
) -> None:
    simulator.fault("metals_api", fault)
    batch = metals.fetch(metals.units[0])
    assert not batch.events
    assert len(batch.rejected) == 4


def test_a_metal_that_contradicts_itself_is_rejected_alone(
    metals: Source, simulator: Simulator
) -> None:
    simulator.fault("metals_api", "disagreeing")
    batch = metals.fetch(metals.units[0])
    assert [rejected.symbol for rejected in batch.rejected] == ["XAU"]
    assert len(batch.events) == 3


def test_a_poll_without_rates_is_skipped(metals: Source, simulator: Simulator) -> None:
    simulator.fault("metals_api", "no_rates")
    assert metals.fetch(metals.units[0]) == Batch((), True)


def test_the_simulator_gives_a_price_per_ounce_with_a_metal_as_base(simulator: Simulator) -> None:
    dollars = simulator.get("/api/latest", access_key="simulator", symbols="XAU")["rates"]["USDXAU"]
    told = simulator.get("/api/latest", access_key="simulator", symbols="USD", base="XAU")
    assert told["rates"]["USD"] == dollars


def test_a_quote_has_the_strings_that_the_simulator_says(
    stocks: Source, simulator: Simulator
) -> None:
    (event,) = stocks.fetch("IBM").events
    told = simulator.get("/query", function="GLOBAL_QUOTE", symbol="IBM", apikey="simulator")
    quote = told["Global Quote"]
    assert isinstance(event, StockPrice)
    assert event.price == float(quote["05. price"])
    assert event.volume == int(quote["06. volume"])
    assert all(isinstance(value, str) for value in quote.values())
    assert quote["10. change percent"].endswith("%")
    assert event.simulated


def test_quotes_change_while_shares_trade_and_rest_at_night(
    stocks: Source, simulator: Simulator
) -> None:
    noon = stocks.fetch("IBM").events[0].event_id
    simulator.now += 60
    assert stocks.fetch("IBM").events[0].event_id != noon
    simulator.now += timedelta(hours=8).total_seconds()
    evening = stocks.fetch("IBM").events[0].event_id
    simulator.now += timedelta(days=1).total_seconds()
    assert stocks.fetch("IBM").events[0].event_id == evening


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("bad_key", Auth),
        ("daily", Quota),
        ("burst", Quota),
        ("note", Quota),
        ("too_many", Quota),
        ("premium", Permanent),
        ("invalid_call", Permanent),
        ("unknown_symbol", Permanent),
        ("empty", Transient),
        ("html_502", Transient),
        ("html_200", Transient),
        ("truncated", Transient),
    ],
)
def test_quote_failures_have_their_kind(
    stocks: Source, simulator: Simulator, fault: str, kind: type[SourceError]
) -> None:
    simulator.fault("alpha_vantage", fault)
    with pytest.raises(SourceError) as caught:
        stocks.fetch("IBM")
    assert type(caught.value) is kind
    assert_asks_again_unless_refused(stocks, kind)


def test_an_unknown_symbol_is_permanent(stocks: Source) -> None:
    with pytest.raises(Permanent):
        stocks.fetch("NOSUCH")


def test_the_wrong_key_is_refused_by_both(simulator: Simulator) -> None:
    metals = simulator.get("/api/latest", access_key="wrong", symbols="XAU")
    assert metals["error"]["code"] == 101
    assert (
        "apikey" in simulator.get("/query", function="GLOBAL_QUOTE", symbol="IBM")["Error Message"]
    )


def test_prices_from_the_simulator_are_simulated_even_with_a_key(
    simulator: Simulator, settings: Make
) -> None:
    source = making.make(
        settings(
            producer_source="metals_api",
            producer_feed="metals",
            producer_url=simulator.url,
            metals_api_key="simulator",
        )
    )
    assert not source.simulated
    assert source.fetch(source.units[0]).events[0].simulated


def test_no_error_carries_the_key(settings: Make, simulator: Simulator) -> None:
    gone = simulator.url
    simulator.close()
    source = making.make(
        settings(
            producer_source="metals_api",
            producer_feed="metals",
            producer_url=gone,
            metals_api_key=KEY,
        )
    )
    with pytest.raises(Transient) as caught:
        source.fetch(source.units[0])
    assert caught.value.__context__ is None
    assert "real" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "feed", "setting", "allowance", "fault"),
    [
        ("alpha_vantage", "stocks", "alpha_vantage_api_key", 25, "daily"),
        ("alpha_vantage", "stocks", "alpha_vantage_api_key", 25, "too_many"),
        ("metals_api", "metals", "metals_api_key", 50, "quota"),
        ("metals_api", "metals", "metals_api_key", 50, "too_many"),
    ],
)
def test_a_refusal_survives_a_restart_and_holds_for_its_key_alone(
    simulator: Simulator,
    settings: Make,
    name: str,
    feed: str,
    setting: str,
    allowance: int,
    fault: str,
) -> None:
    def made(key: str) -> Source:
        return simulated(simulator, settings, name, feed, **{setting: key})

    simulator.fault(name, fault)
    source = made("simulator")
    unit = source.units[0]
    with pytest.raises(Quota) as caught:
        source.fetch(unit)
    with pytest.raises(Quota, match="said to wait") as again:
        made("simulator").fetch(unit)
    assert again.value.retry_at == caught.value.retry_at
    # The request of another key is sent; the simulator knows one key only.
    other = made("another")
    assert other.budget_left == allowance
    with pytest.raises(Auth):
        other.fetch(unit)


@pytest.mark.parametrize(
    ("name", "feed", "key", "allowance"),
    [
        ("alpha_vantage", "stocks", "alpha_vantage_api_key", 25),
        ("metals_api", "metals", "metals_api_key", 50),
    ],
)
def test_what_the_simulator_was_asked_is_not_taken_from_a_key(
    simulator: Simulator,
    settings: Make,
    tmp_path: Path,
    name: str,
    feed: str,
    key: str,
    allowance: int,
) -> None:
    def made(**own: str) -> Source:
        return simulated(simulator, settings, name, feed, **own)

    source = made()
    for _ in range(3):
        source.fetch(source.units[0])
    assert made(**{key: KEY}).budget_left == allowance
    with pytest.raises(Auth):  # the simulator does not know it
        (asked := made(**{key: KEY})).fetch(asked.units[0])
    assert {file.name for file in tmp_path.glob("*d*.json")} == {"budget.json", "simulated.json"}


def test_what_a_key_was_asked_is_known_after_the_simulator_was_asked(
    simulator: Simulator, settings: Make
) -> None:
    def made(**own: str) -> Source:
        return simulated(simulator, settings, "alpha_vantage", "stocks", **own)

    with_key = made(alpha_vantage_api_key=KEY)
    with pytest.raises(SourceError):  # the simulator does not know it
        with_key.fetch(with_key.units[0])
    source = made()
    source.fetch(source.units[0])
    assert made(alpha_vantage_api_key=KEY).budget_left == 24


def test_an_allowance_is_enough_for_all_symbols_all_day(settings: Make) -> None:
    symbols = ["IBM", "AAPL", "MSFT"]
    own = {"producer_source": "alpha_vantage", "producer_feed": "stocks"}
    source = making.make(settings(**own, producer_symbols=symbols, alpha_vantage_api_key=KEY))
    rounds = 24 * 3600 / source.shortest_interval
    assert rounds * len(symbols) == pytest.approx(source.budget_left)


@pytest.mark.parametrize(("name", "feed"), [("alpha_vantage", "stocks"), ("metals_api", "metals")])
def test_the_simulator_may_be_asked_at_any_rate(
    simulator: Simulator, settings: Make, name: str, feed: str
) -> None:
    source = simulated(simulator, settings, name, feed)
    assert (source.shortest_interval, source.budget_left) == (0, None)


def test_without_a_key_and_without_the_simulator_there_is_nothing_to_ask(settings: Make) -> None:
    with pytest.raises(
        ConfigurationError, match=r"file .*/metals_api_key, or set MILLRACE_PRODUCER_URL"
    ):
        making.make(settings(producer_source="metals_api", producer_feed="metals"))


def test_a_metal_that_is_not_known_is_a_configuration_error(
    settings: Make, simulator: Simulator
) -> None:
    with pytest.raises(ConfigurationError, match=r"^MILLRACE_PRODUCER_SYMBOLS: .*LME-XCU"):
        making.make(
            settings(
                producer_source="metals_api",
                producer_feed="metals",
                producer_url=simulator.url,
                producer_symbols=["LME-XCU"],
            )
        )


def test_a_source_for_another_feed_is_a_configuration_error(settings: Make, tmp_path: Path) -> None:
    file = tmp_path / "stocks.csv.gz"
    file.touch()
    with pytest.raises(ConfigurationError, match=r"^MILLRACE_PRODUCER_FEED: .* gives stocks"):
        making.make(settings(producer_source="replay", producer_feed="metals", replay_file=file))


class Asked:
    """In the place of the network: keeps what is asked, and gives one answer."""

    def __init__(self, body: bytes) -> None:
        self.answer = Answer(200, {}, body)
        self.requests: list[tuple[str, dict[str, object]]] = []

    def __call__(self, url: str, **options: object) -> Answer:
        self.requests.append((url, options))
        return self.answer


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What is asked of whom, in place of an answer that a source could use."""
    asked = Asked(b"{}")
    monkeypatch.setattr(http, "ask", asked)
    return asked


@pytest.mark.parametrize(
    ("name", "feed", "url", "parameters"),
    [
        (
            "metals_api",
            "metals",
            "https://metals-api.com/api/latest",
            {"base": "USD", "symbols": "XAU,XAG,XPT,XPD", "access_key": KEY},
        ),
        (
            "alpha_vantage",
            "stocks",
            "https://www.alphavantage.co/query",
            {"function": "GLOBAL_QUOTE", "symbol": "AAPL", "apikey": KEY},
        ),
    ],
)
def test_the_real_api_is_asked_as_it_wants_to_be(
    settings: Make,
    asked: Asked,
    name: str,
    feed: str,
    url: str,
    parameters: dict[str, str],
) -> None:
    source = making.make(settings(producer_source=name, producer_feed=feed, **{KEYS[name]: KEY}))
    with pytest.raises(SourceError):
        source.fetch(source.units[0])
    expected = {
        "most": http.MAX_BODY,
        "params": parameters,
        "headers": {"Accept": "application/json"},
        "verify": True,
    }
    assert asked.requests == [(url, expected)]
    assert source.simulated is False


def test_another_place_of_an_api_is_asked_with_its_key(settings: Make, asked: Asked) -> None:
    source = making.make(
        settings(
            producer_source="metals_api",
            producer_feed="metals",
            producer_url="https://localhost/APIX/",
            producer_symbols=["XAG", "XAU"],
            metals_api_key=KEY,
        )
    )
    with pytest.raises(Permanent):
        source.fetch(source.units[0])
    ((url, options),) = asked.requests
    assert url == "https://localhost/APIX/api/latest"
    assert options["params"] == {"base": "USD", "symbols": "XAG,XAU", "access_key": KEY}


def test_the_simulator_is_asked_by_the_deployment_s_authority(
    settings: Make, asked: Asked, tmp_path: Path
) -> None:
    source = making.make(
        settings(
            producer_source="metals_api",
            producer_feed="metals",
            producer_url="https://simulator",
            kafka_ca_file=tmp_path / "ca.pem",
        )
    )
    with pytest.raises(Permanent):
        source.fetch(source.units[0])
    ((url, options),) = asked.requests
    assert url == "https://simulator/api/latest"
    assert options["verify"] == str(tmp_path / "ca.pem")
    assert source.simulated is True


def test_what_a_key_is_allowed_is_spread_over_its_period(settings: Make) -> None:
    def made(name: str, feed: str, **own: object) -> Source:
        return making.make(
            settings(producer_source=name, producer_feed=feed, **{KEYS[name]: KEY}, **own)
        )

    metals = made("metals_api", "metals", metals_api_requests_per_month=280)
    assert (metals.shortest_interval, metals.budget_left) == (8640, 280)
    stocks = made(
        "alpha_vantage",
        "stocks",
        producer_symbols=["IBM", "AAPL"],
        alpha_vantage_requests_per_day=10,
    )
    assert (stocks.shortest_interval, stocks.budget_left) == (2 * 8640, 10)
    assert stocks.units == ("IBM", "AAPL")
    assert made("alpha_vantage", "stocks").units == ("AAPL", "GOOG", "IBM", "MSFT")


def test_an_api_without_a_key_says_where_to_put_it(settings: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        making.make(settings(producer_source="alpha_vantage", producer_feed="stocks"))
    assert str(caught.value) == (
        "alpha_vantage has no API key: put it into the file"
        f" {tmp_path}/no-secrets/alpha_vantage_api_key, or set MILLRACE_PRODUCER_URL to the"
        " simulator"
    )


def test_every_metal_that_is_not_known_is_named_and_those_that_are(settings: Make) -> None:
    with pytest.raises(ConfigurationError) as caught:
        making.make(
            settings(
                producer_source="metals_api",
                producer_feed="metals",
                producer_symbols=["XAU", "XRH", "XCU"],
            )
        )
    assert str(caught.value) == (
        "MILLRACE_PRODUCER_SYMBOLS: no such metal: XCU, XRH (known: XAU, XAG, XPT, XPD)"
    )
