"""The processor, but it dies by SIGKILL when its N-th write is acknowledged, before the commit.

Usage: killed_processor.py N.
"""

import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any

from millrace import config
from millrace.clients import mongodb
from millrace.processor import group
from millrace.processor.batch import Inserted
from millrace.processor.service import process
from millrace.processor.sinks.mongodb import MongoStore
from millrace.runtime import logging

# The least that a broker allows: for so long the next member waits until this one is missed.
group.SESSION_SECONDS = 6


class DeadlyStore(MongoStore):
    left = int(sys.argv[1])

    def insert(self, collection: str, documents: Sequence[dict[str, Any]]) -> Inserted:
        result = super().insert(collection, documents)
        type(self).left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result


settings = config.load()
logging.configure(settings.processor_name, settings.log_level, settings.secrets())
with mongodb.client(settings) as client:
    process(settings, DeadlyStore(client, settings.mongodb_database), threading.Event())
