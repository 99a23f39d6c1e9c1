"""Asks the simulator as a client would: by its name, with the pipeline's authority, and wrongly."""

import json
import sys
from typing import Any

import requests

METALS = "simulator:8443/api/latest?base=USD&symbols=XAU&access_key="
QUOTE = "simulator:8443/query?function=GLOBAL_QUOTE&symbol=IBM&apikey=simulator"


def ask(url: str, verify: str | bool = "/run/secrets/ca.pem") -> Any:
    """The answer, from a server that our authority vouches for."""
    return requests.get(url, verify=verify, timeout=5).json()


def refused(url: str, verify: str | bool = "/run/secrets/ca.pem") -> bool:
    """Whether there is no answer at all."""
    try:
        ask(url, verify)
    except requests.RequestException:
        return True
    return False


answers = {
    "price": 1 / ask(f"https://{METALS}simulator")["rates"]["XAU"] > 1000,
    "quote": "05. price" in ask(f"https://{QUOTE}")["Global Quote"],
    "wrong key": ask(f"https://{METALS}wrong")["error"]["code"],
    "plaintext": refused(f"http://{METALS}simulator"),
    "another authority": refused(f"https://{METALS}simulator", verify=True),
}
json.dump(answers, sys.stdout)
