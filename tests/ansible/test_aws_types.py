"""Settings are read as what they are, and what they cannot be is a line each."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from tests.ansible.conftest import ROOT
from tests.ansible.test_aws_settings import TODAY, aws_settings, fleet, good

sys.path.insert(0, str(ROOT / "plugins" / "filter"))

import aws_plan
import aws_problems
import aws_types
import aws_wanted
from tests.ansible.test_aws_filters import ACCOUNT, NOTHING


def test_the_inventory_is_what_it_must_be() -> None:
    assert aws_types.aws_type_problems(good()) == []
    assert aws_types.aws_typed(good()) == good() | {
        "ports": [row | {"port": str(row["port"])} for row in good()["ports"]]
    }


def test_a_number_in_quotes_is_that_number_for_ever() -> None:
    """It was made once as 30 GB, and then differed from 30."""
    said = aws_types.aws_typed(
        good() | {"fleet": fleet(0, data_gb="30", root_gb="25", node_id="1")}
    )
    assert aws_settings.problems(said, TODAY) == []
    wanted = aws_wanted.aws_wanted(said, ACCOUNT)
    there = {"id": "vol-1", "host": "kafka-1", "zone": "us-east-1a", "size": 30, "instance": ""}
    found = NOTHING | {"volumes": [there | {"tags": {}}]}
    assert aws_problems.aws_problems(wanted, found) == []
    plan = aws_plan.aws_plan(wanted, found)
    assert (plan["hosts"][0]["root_gb"], plan["hosts"][0]["data_gb"]) == (25, 30)
    assert plan["hosts"][0]["tags"]["NodeId"] == "1"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"fleet": fleet(0, data_gb="30 GB")},
            "millrace_fleet, host kafka-1: data_gb is '30 GB': "
            "it must be a whole number from 0 to 16384",
        ),
        ({"fleet": fleet(0, data_gb=20.5)}, "data_gb is 20.5: it must be a whole number"),
        ({"fleet": fleet(0, data_gb=True)}, "data_gb is True: it must be a whole number"),
        ({"fleet": fleet(0, root_gb=-1)}, "root_gb is -1: it must be a whole number"),
        ({"fleet": fleet(0, node_id=[1])}, "node_id is [1]: it must be a whole number"),
        ({"fleet": fleet(0, roles="kafka")}, "roles is 'kafka': it must be a list"),
        ({"fleet": fleet(0, type=["t3.small"])}, "type is ['t3.small']: it must be text"),
        ({"fleet": {"kafka-1": {}}}, "millrace_fleet: it must be a list of hosts"),
        ({"fleet": ["kafka-1"]}, "millrace_fleet: it must be a list of hosts"),
        (
            {"ports": [{"to": "api", "port": 1, "from": "admin"}]},
            "port 1: from is 'admin': it must",
        ),
        ({"ports": 22}, "millrace_ports: it must be a list of ports"),
        ({"zones": "ab"}, "millrace_zones is 'ab': it must be a list"),
        ({"zones": None}, "millrace_zones is None: it must be a list"),
        ({"outbound_ports": [80, "https"]}, "millrace_outbound_ports is [80, 'https']: it must"),
        (
            {"outbound_ports": [70000]},
            "it must be a list, each item a whole number from 1 to 65535",
        ),
        ({"admin_cidr": ["203.0.113.7/32"]}, "millrace_admin_cidr is ['203.0.113.7/32']: it must"),
        ({"budget_usd": "fifty"}, "millrace_budget_usd is 'fifty': it must be a number"),
        ({"budget_usd": float("nan")}, "it must be a number of US dollars"),
    ],
)
def test_what_is_no_such_thing_is_one_line(changes: dict[str, Any], says: str) -> None:
    lines = aws_types.aws_type_problems(good() | changes)
    assert len(lines) == 1
    assert says in lines[0]


def test_everything_that_is_wrong_is_said_at_once_and_nothing_raises() -> None:
    wrong = good() | {"fleet": fleet(0, data_gb="x"), "zones": "a", "budget_usd": None}
    assert len(aws_types.aws_type_problems(wrong)) == 3
    assert aws_types.aws_typed(good() | {"owner": None})["owner"] == ""
    assert aws_types.aws_typed(good() | {"budget_usd": "50"})["budget_usd"] == 50.0
