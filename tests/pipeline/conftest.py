"""Fixtures: the pipeline under test is named by MILLRACE_TEST_INSTANCE."""

import os
import secrets
from collections.abc import Iterator

import docker
import pytest

from .desk import Desk
from .pipeline import Pipeline


@pytest.fixture(scope="session")
def pipeline() -> Pipeline:
    """A deployed instance. `molecule test` deploys one and names it."""
    instance = os.environ.get("MILLRACE_TEST_INSTANCE")
    assert instance, "set MILLRACE_TEST_INSTANCE to a deployed instance (molecule test does)"
    found = Pipeline(instance, docker.from_env(timeout=600))
    assert found.containers(), f"no container of the instance {instance} exists"
    return found


@pytest.fixture(scope="module")
def verified(pipeline: Pipeline) -> Iterator[None]:
    """After the tests of a module, every stored document is as in the log and at its source."""
    yield
    pipeline.verify()


@pytest.fixture
def run() -> str:
    """A name for this test run, so that its events are told from those of others."""
    return secrets.token_hex(4)


@pytest.fixture
def inventory() -> str:
    """The inventory of the instance under test, as `molecule test` passes it."""
    return os.environ["MILLRACE_TEST_INVENTORY"]


@pytest.fixture
def desk(pipeline: Pipeline, inventory: str) -> Desk:
    """Somebody to type commands of the documentation."""
    return Desk(pipeline, inventory)
