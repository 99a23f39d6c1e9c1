"""Asks the simulator as a client would: by its name, with the pipeline's authority, and wrongly."""

import json
import ssl
import urllib.request

METALS = "simulator:8443/api/latest?base=USD&symbols=XAU&access_key="
QUOTE = "simulator:8443/query?function=GLOBAL_QUOTE&symbol=IBM&apikey=simulator"
TRUST = ssl.create_default_context(cafile="/run/secrets/ca.pem")


def ask(url: str, context: ssl.SSLContext = TRUST) -> dict:
    with urllib.request.urlopen(url, context=context, timeout=5) as answer:
        return json.load(answer)


def refused(url: str, context: ssl.SSLContext = TRUST) -> bool:
    try:
        ask(url, context)
    except OSError:
        return True
    return False


print(
    json.dumps(
        {
            "price": 1 / ask(f"https://{METALS}simulator")["rates"]["XAU"] > 1000,
            "quote": "05. price" in ask(f"https://{QUOTE}")["Global Quote"],
            "wrong key": ask(f"https://{METALS}wrong")["error"]["code"],
            "plaintext": refused(f"http://{METALS}simulator"),
            "another authority": refused(f"https://{METALS}simulator", ssl.create_default_context()),
        }
    )
)
