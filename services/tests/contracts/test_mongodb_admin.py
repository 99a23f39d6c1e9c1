"""The tests' MongoDB is set up as a real one: tests/real does the same to that."""

import pytest
from services.tests.admin.fake_mongodb import MEMBER, FakeMongo
from services.tests.contracts.mongodb_admin import Administration, Fresh


class TestFakeMongo(Administration):
    @pytest.fixture
    def fresh(self) -> Fresh:
        return FakeMongo().connect, MEMBER
