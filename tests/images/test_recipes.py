"""Images are pulled or built exactly when they have to be."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "images"))

import recipes
from recipes import (
    BuildError,
    Image,
    Present,
    Step,
    choose_source,
    needed,
    plan,
    read_versions,
    reference_here,
)

BASE = Image("base", "debian", "1", "", official=True, parent="", versions={})
KAFKA = Image("kafka", "apache/kafka", "4", "", official=True, parent="base", versions={})
OURS = Image("millrace", "millrace/millrace", "0.1", "", official=False, parent="base", versions={})
IMAGES = {image.name: image for image in (BASE, KAFKA, OURS)}
# The same services on another image.
MORE = replace(OURS, name="millrace-more", repository="millrace/more", parent="kafka")
MORE = replace(MORE, recipe="millrace")
PULLED = Present("sha256:p", "", ("debian@sha256:aa",))


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for each image, and a source outside it."""
    for image in IMAGES.values():
        (tmp_path / "images" / image.name).mkdir(parents=True)
        (tmp_path / "images" / image.name / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.py").write_text("main\n")
    monkeypatch.setattr(recipes, "HERE", tmp_path / "images")
    monkeypatch.setattr(recipes, "ROOT", tmp_path)
    monkeypatch.setattr(recipes, "SOURCES", {"millrace": ("src",)})
    return tmp_path


def from_packages(present: dict[str, Present]) -> list[Step]:
    return plan(list(IMAGES.values()), "packages", present)


def built() -> dict[str, Present]:
    """An engine that has everything as it is defined now."""
    steps = from_packages({})
    return {s.reference: Present(f"sha256:{s.image.name}", s.definition, ()) for s in steps}


def actions(steps: list[Step]) -> dict[str, str]:
    return {step.image.name: step.action for step in steps}


def test_what_is_missing_is_built_and_what_is_there_is_kept() -> None:
    assert set(actions(from_packages({})).values()) == {"build"}
    assert set(actions(from_packages(built())).values()) == {"keep"}


@pytest.mark.parametrize(
    ("changed", "rebuilt"),
    [
        ("images/kafka/Dockerfile", {"kafka"}),
        ("images/base/Dockerfile", {"base", "kafka", "millrace"}),
        ("src/main.py", {"millrace"}),
    ],
)
def test_a_change_rebuilds_what_it_defines_and_what_is_made_from_that(
    folders: Path, changed: str, rebuilt: set[str]
) -> None:
    present = built()
    (folders / changed).write_text("changed\n")
    steps = from_packages(present)
    assert {name for name, action in actions(steps).items() if action == "build"} == rebuilt


def test_another_version_of_what_goes_in_is_a_change() -> None:
    present = built()
    updated = replace(KAFKA, versions={"java": "25"})
    assert updated.variables == {"TAG": "4", "JAVA": "25"}
    assert actions(plan([BASE, updated], "packages", present)) == {"base": "keep", "kafka": "build"}


def test_a_renamed_file_and_an_executable_bit_are_changes_too(folders: Path) -> None:
    present = built()
    script = folders / "images" / "kafka" / "Dockerfile"
    script.chmod(0o755)
    assert actions(from_packages(present))["kafka"] == "build"
    script.chmod(0o644)
    assert actions(from_packages(present))["kafka"] == "keep"
    script.rename(script.with_name("Other"))
    assert actions(from_packages(present))["kafka"] == "build"


def test_what_python_leaves_beside_the_sources_is_no_change(folders: Path) -> None:
    present = built()
    (folders / "src" / "__pycache__").mkdir()
    (folders / "src" / "__pycache__" / "main.pyc").write_text("")
    (folders / "src" / "millrace.egg-info").mkdir()
    (folders / "src" / "millrace.egg-info" / "PKG-INFO").write_text("")
    assert set(actions(from_packages(present)).values()) == {"keep"}


def test_an_image_that_somebody_pulled_is_never_built_over() -> None:
    present = built() | {BASE.pulled: PULLED}
    assert actions(from_packages(present)) == {
        "base": "keep",
        "kafka": "build",  # on what was pulled
        "millrace": "build",
    }


def test_another_pulled_base_rebuilds_our_image() -> None:
    first = {step.image.name: step for step in from_packages({BASE.pulled: PULLED})}
    other = Present("sha256:q", "", ())
    second = {step.image.name: step for step in from_packages({BASE.pulled: other})}
    assert first["millrace"].definition != second["millrace"].definition


def test_an_image_of_another_s_recipe_changes_with_it_and_with_its_own_parent(
    folders: Path,
) -> None:
    wanted = [*IMAGES.values(), MORE]
    first = plan(wanted, "packages", {})
    present = {s.reference: Present(s.image.name, s.definition, ()) for s in first}
    assert set(actions(plan(wanted, "packages", present)).values()) == {"keep"}
    (folders / "src" / "main.py").write_text("changed\n")
    assert actions(plan(wanted, "packages", present)) == {
        "base": "keep",
        "kafka": "keep",
        "millrace": "build",
        "millrace-more": "build",
    }
    (folders / "src" / "main.py").write_text("main\n")
    (folders / "images" / "kafka" / "Dockerfile").write_text("FROM other\n")
    assert actions(plan(wanted, "packages", present)) == {
        "base": "keep",
        "kafka": "build",
        "millrace": "keep",
        "millrace-more": "build",
    }


def test_a_registry_replaces_what_was_built_and_keeps_what_was_pulled() -> None:
    steps = plan(
        [BASE, KAFKA], "registry", {BASE.pulled: PULLED, KAFKA.built: built()[KAFKA.built]}
    )
    assert actions(steps) == {"base": "keep", "kafka": "pull"}


@pytest.mark.parametrize(("digest", "action"), [("sha256:aa", "keep"), ("sha256:bb", "pull")])
def test_a_digest_is_pulled_unless_it_is_there(digest: str, action: str) -> None:
    pinned = Image("base", "debian", "1", digest, official=True, parent="", versions={})
    assert actions(plan([pinned], "registry", {BASE.pulled: PULLED})) == {"base": action}


def test_a_pulled_image_needs_no_base_and_ours_does() -> None:
    assert needed(["kafka"], IMAGES, "registry") == [KAFKA]
    assert needed(["kafka"], IMAGES, "packages") == [BASE, KAFKA]
    assert needed(["millrace"], IMAGES, "registry") == [BASE, OURS]
    assert needed([], IMAGES, "packages") == [BASE, KAFKA, OURS]


def test_the_choice_is_made_once() -> None:
    wanted = [BASE, OURS]
    assert choose_source(wanted, {}) is None
    assert choose_source(wanted, {BASE.pulled: PULLED}) == "registry"
    assert choose_source(wanted, built()) == "packages"
    assert choose_source([BASE, KAFKA], {BASE.pulled: PULLED}) is None
    assert choose_source([BASE, KAFKA], {BASE.built: built()[BASE.built]}) == "packages"


OTHER = replace(KAFKA, name="other", repository="other", tag="7.0", built_tag="6.0.5")


@pytest.mark.parametrize(
    ("present", "source", "reference"),
    [
        ({}, None, "other:7.0"),
        ({"other:7.0": PULLED}, "registry", "other:7.0"),
        ({"other:6.0.5": Present("sha256:b", "abc", ())}, "packages", "other:6.0.5"),
        ({"other:7.0": PULLED, "other:6.0.5": Present("b", "abc", ())}, "registry", "other:7.0"),
        # What an earlier version of this pulled stays until there is a registry again.
        ({"other:6.0.5": PULLED}, None, "other:6.0.5"),
    ],
    ids=["nothing", "pulled", "built", "came back", "an older one pulled"],
)
def test_what_is_there_says_which_version_runs(
    present: dict[str, Present], source: str | None, reference: str
) -> None:
    assert choose_source([OTHER], present) == source
    assert reference_here(OTHER, present) == reference


def test_packages_give_another_version_under_its_own_name(folders: Path) -> None:
    (folders / "images" / "other").mkdir()
    [pulled] = plan([OTHER], "registry", {})
    assert (pulled.action, pulled.reference) == ("pull", "other:7.0")
    _, built = plan([BASE, OTHER], "packages", {BASE.pulled: PULLED, "other:7.0": PULLED})
    assert (built.action, built.reference) == ("build", "other:6.0.5")
    assert OTHER.variables["TAG"] == "6.0.5"


def test_an_unknown_image_is_named_together_with_the_known_ones() -> None:
    with pytest.raises(BuildError, match="unknown image 'mango'; known are: base, kafka, millrace"):
        needed(["mango"], IMAGES, "packages")


def test_the_committed_versions_can_be_read() -> None:
    versions = read_versions(Path(__file__).parents[2] / "images" / "versions.yml")
    for image in versions.values():
        assert image.parent == "" or image.parent in versions
        assert (Path(__file__).parents[2] / "images" / image.folder / "Dockerfile").exists()
        assert image.name.startswith(image.folder)
    ours = ["millrace", "analytics", "millrace-analytics"]
    assert [image.name for image in versions.values() if not image.official] == ours


def test_the_tag_in_a_registry_follows_from_what_the_image_is_made_from(folders: Path) -> None:
    def name() -> str:
        return recipes.registry_reference("millrace", IMAGES, "registry.example/one")

    first = name()
    assert first.startswith("registry.example/one/millrace:0.1-")
    assert name() == first
    (folders / "images" / "base" / "Dockerfile").write_text("FROM scratch\nRUN true\n")
    second = name()
    (folders / "src" / "main.py").write_text("another\n")
    assert len({first, second, name()}) == 3


def test_images_of_one_recipe_are_in_one_repository_with_tags_of_their_own() -> None:
    images = IMAGES | {MORE.name: MORE}
    named = [recipes.registry_reference(name, images, "r") for name in ("millrace", MORE.name)]
    assert [name[:-20] for name in named] == ["r/millrace:0.1-", "r/millrace:0.1-more-"]
    assert named[0][-20:] != named[1][-20:]


def test_the_tag_is_what_the_image_is_labelled_with_where_all_is_built(folders: Path) -> None:
    step = from_packages({})[-1]
    assert recipes.registry_reference("millrace", IMAGES, "r").endswith(f"-{step.definition}")
