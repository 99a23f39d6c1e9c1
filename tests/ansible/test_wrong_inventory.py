"""What is declared wrong is said in one line before anything is changed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.ansible.conftest import INSTANCE, ROOT, Playbook, words


def producer(**changes: str) -> dict[str, str]:
    return {"name": "mine", "feed": "stocks", "source": "generator"} | changes


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"millrace_producers": [producer(feed="stonks")], "millrace_feeds": ["stonks"]},
            "millrace_producers: mine: feed: source generator gives quotes, not stonks",
        ),
        (
            {"millrace_producers": [producer(feed="gpu_metrics", source="nvml")]},
            "nvml needs a GPU, and no container gets one: use dcgm (docs/feeds.md)",
        ),
        (
            {
                "millrace_api_port": 65536,
                "millrace_images_source": "registr",
                "millrace_probe_ports": -1,
                "millrace_warehouse_engine": "snowflake",
            },
            "millrace_images_source is registr: it must be one of auto, registry, packages;"
            " millrace_api_port: Input should be less than or equal to 65535;"
            " millrace_snowflake_account is missing: millrace_warehouse_engine is snowflake, write"
            " the account's identifier, like organisation-account (docs/operating/snowflake.md);"
            " millrace_archive_store is volume, and Snowflake loads the archive from S3: have a"
            " fleet on AWS with millrace_archive_store: s3, or millrace_warehouse_engine: duckdb;"
            " millrace_probe_ports is -1: it must be a whole number from 1 to 65000",
        ),
        (
            {"millrace_instance": f"{INSTANCE}-my own"},
            f"millrace_instance is '{INSTANCE}-my own': it must be two or more letters, digits,"
            " hyphens, dots and underscores, and begin with a letter or a digit",
        ),
        ({"millrace_instance": ""}, "millrace_instance is '': it must be two or more letters"),
        (
            {
                "kafka_quotas": 5,
                "processor_memory": "lots",
                "processor_settings": {"writers": 4},
                "container_state": "up",
            },
            "playbooks/vars/services.yml fills processor_settings, and an inventory does not: set"
            " millrace_feeds, millrace_stock_alert_threshold, millrace_redis_ttl_seconds, or change"
            " it there; argument 'processor_memory' is of type str and we were unable to convert to"
            " bytes: <class 'str'> cannot be converted to a Byte value; Value '5' in the sub"
            " parameter field 'kafka_quotas' must be a list",
        ),
        (
            {"millrace_kafka_replication_factor": "abc", "millrace_kafka_min_insync_replicas": 2},
            "millrace_kafka_replication_factor is abc: it must be a whole number from 1 to 1;"
            " millrace_kafka_min_insync_replicas is 2: it must be a whole number from 1 to 1",
        ),
        (
            {"millrace_api_address": "localhost"},
            "millrace_api_address is 'localhost': write an IPv4 address of this host, like 127",
        ),
        (
            {"millrace_producers": {"mine": producer()}},
            "millrace_producers: write it as a list, each with name, feed and source",
        ),
        (
            {"millrace_api_port": "https"},
            "millrace_api_port: Input should be a valid integer",
        ),
        (
            {
                "millrace_api_origins": ["https://a.example.org", "https://a.example.org/", "*"],
                "millrace_stock_alert_threshold": 0,
            },
            "millrace_stock_alert_threshold: it is a fraction above 0, and 1 at most: 0.05 is 5 %;"
            " millrace_api_origins: item 2: write it as a browser sends it, in lower case and"
            " without a path, like https://dashboard.example.org; millrace_api_origins: item 3:",
        ),
        (
            {
                "millrace_api_origins": "https://a.example.org",
                "millrace_stock_alert_threshold": "5 %",
            },
            "millrace_stock_alert_threshold: Input should be a valid number, unable to parse string"
            ' as a number; millrace_api_origins: write it as a list, like ["a", "b"]',
        ),
        (
            {
                "millrace_stock_alert_threshold": 5,
                "millrace_stale_seconds": 0,
                "millrace_alpha_vantage_requests_per_day": "many",
                "millrace_producers": [producer()],
            },
            "millrace_alpha_vantage_requests_per_day: Input should be a valid integer, unable to"
            " parse string as an integer; millrace_stock_alert_threshold: it is a fraction above 0,"
            " and 1 at most: 0.05 is 5 %; millrace_stale_seconds: Input should be greater than 0;"
            " millrace_producers: mine: feed: source generator gives quotes, not stocks",
        ),
    ],
    ids=[
        "unknown feed",
        "a GPU in a container",
        "number, choice, first port, Snowflake without what it needs",
        "a name with a space",
        "no name",
        "variables of roles",
        "more copies than brokers",
        "a name for an address",
        "a mapping of producers",
        "a word for a port",
        "no origins",
        "one origin",
        "a share of 500 %, no time, a word for a number, another feed",
    ],
)
def test_what_cannot_work_is_refused(
    playbook: Playbook, variables: dict[str, Any], message: str
) -> None:
    done = playbook.run("playbooks/deploy/preflight.yml", **variables)
    assert done.returncode != 0
    assert message in words(done.stdout)
    assert "changed=0" in done.stdout
    assert not playbook.vault.exists()


def test_a_copy_of_one_inventory_says_what_it_lacks(playbook: Playbook, tmp_path: Path) -> None:
    alone = tmp_path / "local"
    shutil.copytree(ROOT / "inventories/local", alone, symlinks=True)
    done = playbook.run("site.yml", inventory=alone)
    assert done.returncode == 2
    last = words(done.stdout.rpartition("The run ended because of this:")[2])
    assert "local: copy the whole folder inventories with its links (cp -a), not only" in last
    assert "changed=0" in done.stdout


def test_a_command_to_all_producers_names_the_playbook_for_one(playbook: Playbook) -> None:
    playbook.fill_vault()
    done = playbook.run("playbooks/producers.yml", producer="metals", do="pause")
    assert done.returncode != 0
    assert "playbooks/control_producer.yml -e producer=metals -e do=pause" in words(done.stdout)
    assert "changed=0" in done.stdout
