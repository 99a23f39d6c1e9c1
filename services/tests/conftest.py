"""What holds for all tests of the services."""

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from millrace.runtime import redaction

if TYPE_CHECKING:
    from services.tests.warehouse.test_models import Built

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


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> "Built":
    """The one warehouse of the tests that read one: building it takes half a minute."""
    from services.tests.warehouse import test_models

    return test_models.build(tmp_path_factory.mktemp("warehouse"))
