"""`millrace watch`: the pipeline while it works, in a terminal."""

import io
import logging
import time
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.live import Live

from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.runtime.console import WIDE, console
from millrace.watch.looks import Watcher
from millrace.watch.snapshot import Snapshot
from millrace.watch.view import view

PAUSE_SECONDS = 1.0
TITLE = "millrace watch"


def run(settings: Settings, *, once: bool, svg: Path | None) -> None:
    """Show a frame each second until interrupted.

    With `svg`, it writes one frame to this file; with `once`, or without a terminal, it shows one.
    """
    # Problems are in the picture; the libraries' warnings would be written across it.
    logging.getLogger().addHandler(logging.NullHandler())
    out = console()
    with Watcher(settings) as watcher:
        if svg is not None:
            _draw(_moving(watcher), svg)
        elif once or not out.is_terminal:
            out.print(view(_moving(watcher), out.width))
        else:
            with suppress(KeyboardInterrupt):
                _follow(watcher, out)


def _moving(watcher: Watcher) -> Snapshot:
    """A snapshot with rates, which needs two measurements."""
    watcher.look()
    time.sleep(PAUSE_SECONDS)
    return watcher.look()


def _follow(watcher: Watcher, out: Console) -> None:
    with Live(console=out, screen=True, auto_refresh=False) as live:
        while True:
            start = time.monotonic()
            live.update(view(watcher.look(), out.width), refresh=True)
            time.sleep(max(0.0, start + PAUSE_SECONDS - time.monotonic()))


def _draw(seen: Snapshot, path: Path) -> None:
    picture = Console(width=WIDE, record=True, file=io.StringIO())
    picture.print(view(seen, WIDE))
    try:
        path.write_text(picture.export_svg(title=TITLE))
    except OSError as error:
        raise MillraceError(f"cannot write {path}: {error.strerror}") from None
