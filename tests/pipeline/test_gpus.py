"""GPUs and tokens through the API: equal to what is stored, event by event."""

from datetime import datetime

import pytest

from .pipeline import Pipeline


def test_what_the_api_says_of_gpus_and_costs_is_what_is_stored(pipeline: Pipeline) -> None:
    found = pipeline.script("operator", "gpus.py").json
    assert found["reference"] == {"RTX 3090": 0.85, "A100 40GB": 3.2}

    status, info = found["info"]
    assert status == 200
    assert {gpu["symbol"] for gpu in info["gpus"]} == found["stored"].keys()
    for gpu in info["gpus"]:
        shown, stored = gpu["timestamp_utc"], found["stored"][gpu["symbol"]]
        assert datetime.fromisoformat(shown) >= datetime.fromisoformat(stored)
    assert info["event_id"] in {gpu["event_id"] for gpu in info["gpus"]}

    for by, (status, body) in found["costs"].items():
        assert status == 200
        expected = found["sums"][by]
        assert expected, "no token was used in five minutes"
        costs = {f"{one['start'][:19]}Z {one['group']}": one for one in body["costs"]}
        assert costs.keys() == expected.keys()
        for name, (events, prompt, completion, price) in expected.items():
            one = costs[name]
            assert (one["events"], one["prompt_tokens"]) == (events, prompt)
            assert one["completion_tokens"] == completion
            assert one["price_per_hour_usd"] == pytest.approx(price)
            tokens = prompt + completion
            cost = price * one["hours"] / tokens if tokens else None
            assert one["cost_per_token"] == pytest.approx(cost)
