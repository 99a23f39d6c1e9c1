"""One request to the API with the token that may send events.

Usage: post.py PATH JSON. Prints {"status": ..., "retry_after": ..., "body": ...}.
"""

import json
import sys

import requests

from millrace.config import Settings

settings = Settings()
answer = requests.post(
    f"{settings.api_url}{sys.argv[1]}",
    data=sys.argv[2].encode(),
    headers={
        "Authorization": f"Bearer {settings.api_ingest_token.get_secret_value()}",
        "Content-Type": "application/json",
    },
    verify=str(settings.kafka_ca_file),
    timeout=60,
)
retry_after = answer.headers.get("Retry-After")
print(json.dumps({"status": answer.status_code, "retry_after": retry_after, "body": answer.json()}))
