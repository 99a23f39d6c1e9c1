"""Start a Python program without importing it anew: as a fork of a process that has imported it.

Importing Ansible, or what our commands need, takes most of the time of a short run. What is forked
is a process of its own, with arguments, environment, working directory and output of its own, and
ends as the program does. What a program reads when it is imported (Ansible its configuration) is
read once: such a process is for runs with one and the same.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path


class Program:
    """A program that was imported, and what it needs; `main` is named as an entry point is."""

    def __init__(
        self, main: str, imported: Sequence[str], cwd: Path, environment: Mapping[str, str]
    ) -> None:
        """Import the modules, in this folder and environment."""
        self._server = subprocess.Popen(
            # Without this file's folder on its path, which has one that is called ansible.
            [sys.executable, "-P", __file__, main, *imported],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env=environment,
        )

    def run(
        self,
        arguments: Sequence[str | Path],
        cwd: Path,
        environment: Mapping[str, str],
        *,
        together: bool = False,
        limit: int = 0,
    ) -> subprocess.CompletedProcess[str]:
        """Run it with these arguments, of which the first is its name.

        Its two outputs are one if they are wanted together. It is killed after so many seconds.
        """
        assert self._server.stdin
        assert self._server.stdout
        given = [str(one) for one in arguments]
        with tempfile.TemporaryDirectory() as folder:
            output, errors = Path(folder, "output"), Path(folder, "errors")
            errors.touch()
            call = {
                "arguments": given,
                "cwd": str(cwd),
                "environment": dict(environment),
                "limit": limit,
                "output": [str(output), str(output if together else errors)],
            }
            self._server.stdin.write(f"{json.dumps(call)}\n")
            self._server.stdin.flush()
            status = int(self._server.stdout.readline())
            said = output.read_text(), errors.read_text()
        return subprocess.CompletedProcess(given, os.waitstatus_to_exitcode(status), *said)

    def close(self) -> None:
        """End the process that is forked."""
        self._server.communicate()


def _next() -> None:
    """Fork for each call; return in the process that is the program, and end in this one."""
    gc.freeze()
    while line := sys.stdin.readline():
        process = os.fork()
        if not process:
            call = json.loads(line)
            for number, path in enumerate((os.devnull, *call["output"])):
                file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
                os.dup2(file, number)
                os.close(file)
            os.chdir(call["cwd"])
            os.environ.clear()
            os.environ.update(call["environment"])
            sys.argv = call["arguments"]
            # Or all would choose the same.
            random.seed()
            # What the import made (Ansible's folder of temporary files) is for the next ones too.
            atexit._clear()
            signal.alarm(call["limit"])
            return
        _, status = os.waitpid(process, 0)
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()
    sys.exit()


if __name__ == "__main__":
    module, _, function = sys.argv[1].partition(":")
    for name in (module, *sys.argv[2:]):
        import_module(name)
    _next()
    sys.exit(getattr(import_module(module), function)())
