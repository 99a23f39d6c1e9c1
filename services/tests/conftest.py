"""What holds for all tests of the services."""

import os
import time
from collections.abc import Iterator

import pytest
from hypothesis import settings

from millrace.runtime import redaction

pytest.register_assert_rewrite("services.tests.contracts")

# Where hours and minutes are not those of UTC, a time without a zone is another one.
os.environ["TZ"] = "Asia/Kathmandu"
time.tzset()

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("millrace", deadline=None)
settings.load_profile("millrace")


@pytest.fixture(autouse=True)
def _forget_secrets() -> Iterator[None]:
    """What a test has masked is masked in no other one."""
    # Not the fixture `monkeypatch`, which would then be undone after the fixtures of a test.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redaction, "_process", redaction._process)
        yield
