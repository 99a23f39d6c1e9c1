"""What images/build hands to the engine, and what it does where pulling fails."""

from __future__ import annotations

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

IMAGES = Path(__file__).parents[2] / "images"
sys.path.insert(0, str(IMAGES))


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, with a folder of images of its own."""
    loader = SourceFileLoader("build", str(IMAGES / "build"))
    spec = spec_from_loader("build", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    monkeypatch.setattr(module, "HERE", tmp_path / "images")
    monkeypatch.setattr(module, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(module, "FREE_MB", 0)
    (tmp_path / "cache").mkdir()
    return module


def test_every_user_of_an_image_can_read_what_a_private_checkout_holds(
    build: ModuleType, tmp_path: Path
) -> None:
    folder = tmp_path / "images" / "one"
    (folder / "bin").mkdir(parents=True, mode=0o700)
    for name, mode in {"bin/program": 0o700, "Dockerfile": 0o600}.items():
        (folder / name).write_text("")
        (folder / name).chmod(mode)
    (folder / "fetch").write_text("umask 077; mkdir site; echo >site/module.py; ln -s nowhere link")
    modes: dict[str, int] = {}

    class Engine:
        def build(self, step: Any, parent: Any, context: Path, log: Path) -> None:
            for path in (context, *context.rglob("*")):
                if not path.is_symlink():
                    modes[str(path.relative_to(context))] = path.stat().st_mode & 0o777

        def megabytes(self, image: Any) -> int:
            return 0

    image = build.Image("one", "one", "1", "", official=True, parent="", versions={})
    build.carry_out(Engine(), build.Step(image, "build", "abc"), None)
    assert {"bin", "bin/program", "Dockerfile", "site", "site/module.py"} <= modes.keys()
    for name, mode in modes.items():
        is_program = name in (".", "bin", "site", "bin/program")
        assert mode & 0o055 == (0o055 if is_program else 0o044), name
