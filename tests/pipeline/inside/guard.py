"""Values that come in the wrong order, through the real script and with the processor's own rights.

Usage: guard.py SYMBOL. Prints what became of those at 1000, 999, 1000 and 1001 ms.
"""

import json
import sys

from millrace.clients.latest_values import Latest
from millrace.config import Settings
from millrace.processor.sinks.redis import RedisCache

cache = RedisCache(Settings(redis_ttl_seconds=5))
absent = cache.put([Latest(sys.argv[1], 1000, "1.0", "{}")], create=False)
values = [Latest(sys.argv[1], ts_ms, "1.0", "{}") for ts_ms in (1000, 999, 1000, 1001)]
print(json.dumps([one.name for one in absent + cache.put(values, create=True)]))
