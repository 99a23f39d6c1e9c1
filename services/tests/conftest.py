"""What holds for all tests of the services."""

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("services.tests.contracts")

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("millrace", deadline=None)
settings.load_profile("millrace")
