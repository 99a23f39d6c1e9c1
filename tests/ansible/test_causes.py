"""No cause of a failure is lost: neither in a module, nor in a task that leaves it to the next."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from tests.ansible.conftest import ROOT, Run, load

aws_advice = load(ROOT / "plugins/filter/aws_advice.py")


def tasks(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    waiting = [item for item in yaml.safe_load(path.read_text()) or [] if isinstance(item, dict)]
    while waiting:
        item = waiting.pop()
        found.append(item)
        for key in ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks"):
            waiting += item.get(key) or []
    return found


def test_a_module_whose_failure_is_left_to_the_next_task_says_whatever_ends_it() -> None:
    """Ansible drops the words of an exception that is not caught from what is registered."""
    own = {path.stem for path in (ROOT / "plugins/modules").glob("*.py")}
    files = [*ROOT.glob("roles/*/tasks/**/*.yml"), *(ROOT / "playbooks").rglob("*.yml")]
    used = {
        name
        for path in files
        if path.parent.name != "vars"
        for task in tasks(path)
        if task.get("failed_when") is False
        for name in own & task.keys()
    }
    assert {"reconcile", "service_files", "engine_images", "aws_environment_info"} <= used
    for name in used:
        assert "    with told(module, " in (ROOT / f"plugins/modules/{name}.py").read_text(), name


def test_an_error_that_nobody_thought_of_is_named(
    run: Run, service_files: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def ends(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(service_files, "wanted", ends)
    answer = run(service_files, path=str(tmp_path), owner=0, group=0, files=[])
    assert answer["failed"]
    assert answer["msg"] == f"{tmp_path}: MemoryError"


def test_a_profile_that_asks_for_a_code_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load(ROOT / "plugins/modules/aws_environment_info.py")

    class Asks:
        """Botocore asks at the first call, and a run has no terminal."""

        def __init__(self, _: Any) -> None:
            raise EOFError

    monkeypatch.setattr(module, "Environment", Asks)
    answer = run(module, instance="x", region="us-east-1")
    assert answer["msg"] == "AWS did not list the resources: EOFError"
    assert "asks for an MFA code" in aws_advice.aws_advice(answer)


@pytest.mark.parametrize(
    "result",
    [
        {},
        {"msg": ""},
        {"msg": None, "exception": " "},
        {"results": [{"failed": True, "msg": ""}]},
        {"results": [{"failed": False}]},
    ],
)
def test_advice_is_never_empty(result: dict[str, Any]) -> None:
    assert "failed without a word" in aws_advice.aws_advice(result)


@pytest.mark.parametrize("place", ["exception", "module_stderr", "module_stdout"])
def test_the_cause_is_found_where_it_is(place: str) -> None:
    assert aws_advice.aws_advice({"msg": "", place: "Killed"}) == "Killed"
