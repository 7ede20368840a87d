"""The rooms stand in one order, a thought fits on a screen, and a thing is told in one place."""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest

from lottery.experiment.ladder import climb
from lottery.files import PACKAGE, UserError, root
from lottery.settings import CNN, Settings, Whole, options, setting

# A module imports only from those before it.
ROOMS = (
    *("files", "settings", "recipes", "kernels", "data", "models", "pruning", "plugins"),
    *("training", "runs", "experiment", "cluster", "analysis", "report", "upkeep", "study"),
    *("texts", "words", "tickets"),
    "cli",
)
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def imports(module: str) -> set[str]:
    """The package's own modules that a module imports, be it inside a function."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lottery"):
            for name in node.names:
                whole = f"{node.module}.{name.name}"
                found.add(whole if whole in MODULES else node.module)
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name in MODULES}
    return found - {module}


@pytest.mark.parametrize("module", [name for name in MODULES if room(name)])
def test_arrows_point_one_way(module):
    order = list(ROOMS)
    for other in imports(module):
        if room(other) and room(other) != room(module):
            assert order.index(room(other)) < order.index(room(module)), f"{module} -> {other}"


def test_there_is_no_circle():
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for other in sorted(imports(module)):
                if not module.startswith(f"{other}."):  # a room's own door
                    visit(other, (*path, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_one_thought(module):
    lines = MODULES[module].read_text(encoding="utf-8").count("\n")
    assert lines <= 400


def test_most_modules_are_short():
    lines = [path.read_text(encoding="utf-8").count("\n") for path in MODULES.values()]
    assert sum(count <= 200 for count in lines) > 2 / 3 * len(lines)


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*/__init__.py")), ids=lambda p: p.parent.name)
def test_a_room_says_what_lives_there(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_the_method_fits_on_a_screen():
    assert len(inspect.getsource(climb).splitlines()) <= 60


def test_the_readme_names_every_room():
    text = (root() / "README.md").read_text(encoding="utf-8")
    for name in ROOMS:
        assert f"{name}/ " in text or f"{name}.py" in text, name


def test_tests_stand_in_folders_that_mirror_the_code():
    folders = {path.parent.name for path in Path(__file__).parent.glob("*/test_*.py")}
    assert folders <= set(ROOMS) | {"figures"}


def test_a_setting_is_told_in_one_place():
    """A field added from outside is checked, named and put to its default like all others."""

    @dataclass(frozen=True)
    class More(Settings):
        colour: int = setting(3, Whole(0, 9), "of the filters", CNN)

    plain = More("imdb", "cnn").checked()
    assert plain.run == Settings("imdb", "cnn").checked().run, "a default keeps old names"
    other = replace(plain, colour=4).checked()
    assert other.run != plain.run and other.spoken()["colour"] == 4
    assert replace(other, model="lstm").checked().colour == 3, "it belongs to the CNN"
    with pytest.raises(UserError, match="colour 12 is not a whole number from 0 to 9"):
        replace(plain, colour=12).checked()
    assert More.from_json(other.to_json()) == other
    assert [f.name for f in options(More)][-1] == "colour"
    assert {f.name for f in fields(Settings)} < {f.name for f in fields(More)}
