"""In the dashboard's container: what API and warehouse say, asked without the dashboard's code."""

import json
import ssl
import urllib.request
from pathlib import Path

import duckdb

SECRETS = Path("/run/secrets")
token = (SECRETS / "api_token").read_text().strip()
trust = ssl.create_default_context(cafile=str(SECRETS / "ca.pem"))


def ask(path: str) -> dict:
    request = urllib.request.Request(
        f"https://api:8443{path}", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=20, context=trust) as answer:
        return json.load(answer)


with duckdb.connect("/warehouse/millrace.duckdb", read_only=True) as warehouse:
    series = warehouse.execute(
        "select feed, source, simulated, currency, symbol, close from prices_daily"
        " order by feed, source, simulated, currency, symbol, started_at"
    ).fetchall()
kafka = ask("/health")["checks"]["kafka"]
print(
    json.dumps(
        {
            "prices": {
                event["symbol"]: event["price"]["value"]
                for event in ask("/v1/stocks/latest?limit=1000")["events"]
            },
            "closes": series,
            "dead_letters": kafka["dead_letters"],
        }
    )
)
