"""What stands for a library is marked as that, and CONTRIBUTING.md says what compares the two."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from pymongo.collection import Collection
from pymongo.database import Database
from services.tests.stands import standing_for, stands_for

TESTS = Path(__file__).parent
CONTRIBUTING = (TESTS.parents[1] / "CONTRIBUTING.md").read_text()
LIBRARIES = (KafkaAdminClient, KafkaConsumer, KafkaProducer, Collection, Database)
WORDS = {"assign", "client", "close", "metrics", "name", "poll", "position", "watch"}
"""Names of their methods that others have as well."""
CALLS = {"evalsha", "hmget", "script_load"} | {
    name for one in LIBRARIES for name in vars(one) if name not in WORDS and name[0] != "_"
}


def classes() -> Iterator[tuple[str, ast.ClassDef]]:
    """Those of the tests, each with its file."""
    for path in sorted({*TESTS.rglob("*.py")} - {Path(__file__)}):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                yield str(path.relative_to(TESTS)), node


def is_marked(node: ast.ClassDef) -> bool:
    return any("stands_for" in ast.unparse(decorator) for decorator in node.decorator_list)


def test_what_has_methods_of_a_library_is_marked() -> None:
    unmarked = [
        f"{path}: {node.name}"
        for path, node in classes()
        if not is_marked(node)
        and CALLS.intersection(one.name for one in node.body if isinstance(one, ast.FunctionDef))
    ]
    assert unmarked == []


def namespaces() -> Iterator[tuple[str, set[str]]]:
    """What tests make of SimpleNamespace, each with its file: names of the values."""
    for path in sorted({*TESTS.rglob("*.py")} - {Path(__file__)}):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "SimpleNamespace":
                yield str(path.relative_to(TESTS)), {str(one.arg) for one in node.keywords}


def test_what_is_no_class_is_checked_as_well() -> None:
    unchecked = [f"{path}: {names}" for path, names in namespaces() if CALLS & names]
    assert unchecked == [], "standing_for makes what is checked"


def test_contributors_read_what_compares_each() -> None:
    table = CONTRIBUTING.split("| Stands for |")[1].split("\n\n")[0]
    rows = re.findall(r"^\| (?!---)[^|]+ \| ([^|]+) \| ([^|]+) \|$", table, re.M)
    listed = {name for fakes, _ in rows for name in re.findall(r"`([^`]+)`", fakes)}
    assert listed == {path.removesuffix(".py") for path, node in classes() if is_marked(node)}
    for _, compared in rows:
        for name in re.findall(r"`([^`]+)`", compared):
            assert (TESTS / f"{name}.py").is_file()


class Real:
    def ask(self, question: str, limit: int = 0) -> None:
        """Stands for a library."""


def test_a_call_that_the_library_would_not_take_fails() -> None:
    @stands_for(Real)
    class Fake:
        def ask(self, *arguments: Any, **options: Any) -> tuple[Any, ...]:
            return arguments

    assert Fake().ask("why", limit=5) == ("why",)
    for call in ({"limit": 5}, {"question": "why", "limits": 5}):
        with pytest.raises(TypeError):
            Fake().ask(**call)


def test_a_method_that_the_library_has_not_is_refused_at_once() -> None:
    class Fake:
        def answer(self) -> None:
            """What tests do to it, if that is said."""

    with pytest.raises(TypeError, match="Real cannot answer"):
        stands_for(Real)(Fake)
    assert stands_for(Real, tools=("answer",))(Fake) is Fake


def test_a_few_methods_are_checked_without_a_class() -> None:
    made = standing_for(Real, ask=lambda question, limit=0: (question, limit))
    assert made.ask("why", limit=5) == ("why", 5)
    with pytest.raises(TypeError):
        made.ask("why", limits=5)
    with pytest.raises(TypeError, match="Real cannot answer"):
        standing_for(Real, answer=lambda: None)


def test_a_condition_is_checked_as_what_it_is_handed_to() -> None:
    @stands_for(Collection)
    class Fake:
        def find(self, condition: Any, **options: Any) -> list[Any]:
            return []

    assert Fake().find({}, max_time_ms=5) == []
    with pytest.raises(TypeError):
        Fake().find({}, maxTimeMS=5)
