"""What the documentation points at is there."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("roles/*/README.md"),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page: Path) -> None:
    """By their path from the top, from the page, from the services' package or from a role."""
    named = re.findall(r"`([\w.-]+/[\w./-]+\.(?:yml|py|md|json|j2))`", page.read_text())
    tops = (ROOT, page.parent, ROOT / "services/src/millrace", ROOT / "roles/kafka")
    there = [name for name in named if any((top / name).exists() for top in tops)]
    # What readers are told to write themselves.
    written = ["mine.yml", "weather.py"]
    assert [name for name in named if Path(name).name not in written] == there


def test_the_named_tests_exist() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", (ROOT / "docs/decisions/origins.md").read_text())
    assert len(named) >= 9
    missing = [
        f"{path}::{name}" for path, name in named if f"def {name}(" not in (ROOT / path).read_text()
    ]
    assert not missing


def test_every_target_of_the_makefile_that_is_written_about_exists() -> None:
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"(?:`|^    )make ([a-z-]+)", page.read_text(), re.MULTILINE))
        assert named <= known, page


@pytest.mark.parametrize(
    "page",
    [
        page
        for page in PAGES
        if re.search(r"^    .*\.venv/bin/ansible", page.read_text(), re.MULTILINE)
    ],
    ids=lambda page: page.name,
)
def test_a_page_with_commands_of_ansible_says_what_a_shell_reads_first(page: Path) -> None:
    text = page.read_text()
    assert ". scripts/environment" in text[: text.index(".venv/bin/ansible")]


def test_every_plugin_of_our_own_has_its_reason() -> None:
    page = (ROOT / "docs/decisions/own-modules.md").read_text()
    rows = re.findall(r"^\| (`.+?) \| .+ \| .+ \|$", page, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+/\w+)`", row)]
    there = [path.relative_to(ROOT / "plugins") for path in ROOT.glob("plugins/*/*.py")]
    assert sorted(named) == sorted(str(path.with_suffix("")) for path in there)


def test_ansible_shows_the_documentation_of_every_module() -> None:
    names = [path.stem for path in ROOT.glob("plugins/modules/*.py")]
    program = Path(sys.executable).parent / "ansible-doc"
    done = subprocess.run(
        [program, "--json", "--type", "module", *names], cwd=ROOT, capture_output=True, check=True
    )
    shown = {name: said["doc"] for name, said in json.loads(done.stdout).items()}
    assert shown.keys() == set(names)
    for name, said in shown.items():
        assert said["author"] == ["Millrace"], name
        assert said["attributes"]["check_mode"]["support"] in ("full", "none"), name
