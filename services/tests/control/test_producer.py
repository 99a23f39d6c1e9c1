"""Commands: kept over restarts, refused where they make no sense, and said again change nothing."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from millrace.clients.services import Peer
from millrace.config import Settings
from millrace.control import producer as commands
from millrace.control.producer import Command, Refused
from millrace.errors import MillraceError
from millrace.producer import overrides
from millrace.producer.overrides import Overrides
from millrace.runtime.state_files import StateUnusable, locked

Give = Callable[..., dict[str, Any]]


class Producer:
    """Stands for the producer of the container: it answers, and notices commands if it is well."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.is_well = True
        self.says: dict[str, Any] = {
            "name": "ticks",
            "source": "generator",
            "state": "polling",
            "timing": "every 60 s",
        }

    def ask(self, _settings: Settings, host: str) -> Peer:
        assert host == "localhost"
        if self.is_well:
            self.says["commands"] = overrides.read(self.directory).number
        return Peer(host, self.is_well, self.says)


@pytest.fixture
def producer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Producer:
    fake = Producer(tmp_path)
    monkeypatch.setenv("MILLRACE_SECRETS_DIR", str(tmp_path / "none"))
    monkeypatch.setattr(commands, "ask", fake.ask)
    monkeypatch.setattr(commands, "PATIENCE_SECONDS", 0.0)
    return fake


@pytest.fixture
def give(producer: Producer, capsys: pytest.CaptureFixture[str]) -> Give:
    def obey(command: Command, *, check: bool = False, **values: Any) -> dict[str, Any]:
        values = {
            "producer_name": "ticks",
            "producer_source": "generator",
            "producer_feed": "quotes",
            **values,
        }
        settings = Settings(producer_state_dir=producer.directory, **values)
        commands.give(settings, command, check=check, as_json=True)
        return dict(json.loads(capsys.readouterr().out))

    return obey


def test_a_command_is_new_once(give: Give, producer: Producer) -> None:
    for command in (commands.pause, commands.resume, commands.rate(50), commands.interval(5)):
        assert give(command)["changed"]
        assert not give(command)["changed"]
    assert overrides.read(producer.directory) == Overrides(
        number=4, paused=False, rate_per_second=50, interval_seconds=5
    )


def test_what_was_declared_comes_back_where_no_value_is_given(
    give: Give, producer: Producer
) -> None:
    give(commands.rate(50))
    give(commands.rate(None))
    assert overrides.read(producer.directory).rate_per_second is None


def test_every_run_now_is_new(give: Give, producer: Producer) -> None:
    assert give(commands.run_now)["changed"]
    assert give(commands.run_now)["changed"]
    assert overrides.read(producer.directory).runs == 2


def test_a_check_changes_nothing(give: Give, producer: Producer) -> None:
    assert give(commands.pause, check=True)["changed"]
    assert not any(producer.directory.iterdir())


@pytest.mark.parametrize(
    ("command", "values", "says"),
    [
        (
            commands.rate(5),
            {"producer_source": "replay", "producer_feed": "stocks"},
            r"replay for stocks has no rate \(there is one of generator for quotes",
        ),
        (
            commands.rate(5),
            {"producer_source": "workload", "producer_feed": "gpu_metrics"},
            "workload for gpu_metrics has no rate",
        ),
        (commands.interval(5), {"producer_schedule": "0 6 * * *"}, "at a schedule"),
        (commands.interval(31), {"producer_source": "vllm"}, "every 30 seconds at least"),
    ],
)
def test_what_makes_no_sense_is_refused(
    give: Give, producer: Producer, command: Command, values: dict[str, Any], says: str
) -> None:
    with pytest.raises(Refused, match=says):
        give(command, **values)
    assert overrides.read(producer.directory) == Overrides()


def test_what_ended_is_neither_run_again_nor_polled_at_an_interval(
    give: Give, producer: Producer
) -> None:
    producer.says |= {"state": "finished", "timing": "once"}
    with pytest.raises(Refused, match="everything is published"):
        give(commands.run_now)
    with pytest.raises(Refused, match="polled once"):
        give(commands.interval(5))


def test_what_is_paused_is_not_run(give: Give) -> None:
    give(commands.pause)
    with pytest.raises(Refused, match="resume it first"):
        give(commands.run_now)


@pytest.mark.parametrize("wrong", [0.0, -1.0, 1e12, float("nan"), float("inf")])
def test_a_number_that_is_none_is_refused(wrong: float) -> None:
    for command in (commands.rate, commands.interval):
        with pytest.raises(Refused):
            command(wrong)


def test_a_command_to_a_producer_that_does_not_answer_is_kept(
    give: Give, producer: Producer, capsys: pytest.CaptureFixture[str]
) -> None:
    producer.is_well = False
    producer.says = {"problem": "does not answer (ConnectionError)"}
    answer = give(commands.pause)
    assert (answer["changed"], answer["noticed"]) == (True, False)
    assert overrides.read(producer.directory).paused
    settings = Settings(
        producer_name="ticks", producer_source="generator", producer_state_dir=producer.directory
    )
    commands.give(settings, commands.resume, check=False, as_json=False)
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "not noticed yet" in said
    assert "does not answer" in said


def test_outside_of_a_producer_there_is_nobody_to_tell(tmp_path: Path) -> None:
    with pytest.raises(MillraceError, match="MILLRACE_PRODUCER_NAME"):
        commands.show(Settings(), as_json=False)


def test_commands_that_cannot_be_read_are_not_written_over(give: Give, producer: Producer) -> None:
    (producer.directory / overrides.FILE).write_text("{")
    with pytest.raises(StateUnusable, match="remove it"):
        give(commands.pause)


def test_commands_given_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    def ask() -> None:
        for _ in range(20):
            overrides.change(
                tmp_path, lambda before: commands.replace(before, runs=before.runs + 1), check=False
            )

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overrides.read(tmp_path).runs == 80


def test_two_processes_cannot_work_with_one_state(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "lock"),
        pytest.raises(StateUnusable, match="another process"),
        locked(tmp_path / "lock"),
    ):
        pass
    with locked(tmp_path / "lock"):
        pass


def test_a_lock_takes_no_error_of_what_it_guards_for_its_own(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), locked(tmp_path / "lock"):
        raise FileNotFoundError
    with pytest.raises(StateUnusable, match="cannot lock"), locked(tmp_path / "none" / "lock"):
        pass
