"""The imports of the packages, against the picture in docs/architecture.md, and their limits.

Each rule is a function from sources to the places that break it, so that a test can break it.
"""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from zk.files import ROOT

PICTURE = ROOT / "docs" / "architecture.md"
# A name of an application, wherever a package should not know it.
APPLICATION = re.compile(r"\b(Clan|VoiceJudge)\b")
LONGEST_FUNCTION, LONGEST_README = 60, 150  # lines
MEAN_SCRIPT = 76  # lines of a file in scripts/, on average

Sources = dict[str, str]  # by module name


@cache
def arrows() -> dict[str, set[str]]:
    """The packages that each package may import: those that a path of arrows leads to."""
    flowchart = PICTURE.read_text().split("```mermaid")[1].split("```")[0]
    direct: dict[str, set[str]] = {}
    for start, end in re.findall(r"^ *(\w+) --> (\w+) *$", flowchart, re.MULTILINE):
        direct.setdefault(start, set()).add(end)
        direct.setdefault(end, set())

    def reached(package: str) -> set[str]:
        return set().union(*({after} | reached(after) for after in direct[package]))

    return {package: reached(package) for package in direct}


@cache
def sources(*folders: str) -> Sources:
    """The sources of all modules in these folders."""
    found = {}
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path.read_text()
    return found


@cache
def imports(source: str) -> list[str]:
    """The names that a module imports, also inside its functions."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append("a relative import")
    return names


def imported(modules: Sources, name: str) -> set[str]:
    """The modules of the project that a module imports."""
    found = set()
    for target in imports(modules[name]):
        while target and target not in modules:
            target = target.rpartition(".")[0]
        found.add(target)
    return found - {""}


def against_the_picture(modules: Sources) -> list[str]:
    return [
        f"{name} imports {target}"
        for name in modules
        for target in imported(modules, name)
        if (package := name.split(".")[0]) != (other := target.split(".")[0])
        and other not in arrows()[package]
    ]


def importers_of_ezkl(modules: Sources) -> list[str]:
    return sorted(
        name
        for name, source in modules.items()
        if any(target.split(".")[0] == "ezkl" for target in imports(source))
    )


def cycle(modules: Sources) -> list[str]:
    """A chain of modules of which each imports the next, back to the first; or nothing."""
    done: set[str] = set()

    def search(path: list[str]) -> list[str]:
        for target in sorted(imported(modules, path[-1])):
            if target in path:
                return [*path[path.index(target) :], target]
            if target not in done and (found := search([*path, target])):
                return found
        done.add(path[-1])
        return []

    return next((found for name in sorted(modules) if (found := search([name]))), [])


def long_functions(modules: Sources) -> list[str]:
    return [
        f"{name}.{node.name}"
        for name, source in modules.items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno
        and node.end_lineno - node.lineno >= LONGEST_FUNCTION
    ]


def naming_applications(texts: Sources) -> list[str]:
    return [name for name, text in texts.items() if APPLICATION.search(text)]


def page() -> Sources:
    """The sources of the page, without those of its applications."""
    web = ROOT / "web"
    paths = [web / "index.html", *(web / "src").rglob("*.ts"), *(web / "src").rglob("*.css")]
    own = web / "src" / "apps"
    return {str(p.relative_to(ROOT)): p.read_text() for p in paths if own not in p.parents}


def lines(*paths: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in paths)


def test_the_picture_has_every_package():
    packages = {path.parent.name for path in ROOT.glob("[a-z]*/__init__.py")} - {"tests"}
    assert set(arrows()) == packages | {"scripts"}


def test_imports_follow_the_picture():
    assert against_the_picture(sources(*arrows())) == []


def test_no_package_imports_scripts():
    assert not [package for package, below in arrows().items() if "scripts" in below]


def test_the_models_and_their_circuits_are_apart():
    assert "zk" not in arrows()["models"]
    assert "models" not in arrows()["zk"]


def test_one_module_imports_ezkl():
    assert importers_of_ezkl(sources(*arrows(), "tests")) == ["zk.ezkl"]


def test_the_installed_package_needs_neither_ape_nor_torch():
    found = sources("verdict", "zk").items()
    heavy = {
        name
        for name, source in found
        if {"ape", "torch"} & {i.split(".")[0] for i in imports(source)}
    }
    assert heavy == set()


def test_no_cycle_of_imports():
    assert cycle(sources(*arrows(), "tests")) == []


def test_tests_import_no_other_test():
    """Fixtures and helpers are shared by conftest and by modules without tests."""
    tests = sources("tests")
    wrong = [
        f"{name} imports {target}"
        for name in tests
        for target in imported(tests, name)
        if re.search(r"(^|\.)(test_\w+|conftest)$", target)
    ]
    assert wrong == []


def test_only_applications_know_their_names():
    packages = set(arrows()) - {"apps"}
    assert naming_applications(sources(*packages) | page()) == []


def test_every_function_fits_a_screen():
    assert long_functions(sources(*arrows(), "tests")) == []


def test_commands_stay_thin():
    scripts = list((ROOT / "scripts").glob("*.py"))
    assert lines(*scripts) <= MEAN_SCRIPT * len(scripts)


def test_readme_stays_short():
    assert lines(ROOT / "README.md") <= LONGEST_README


@pytest.mark.parametrize(
    "module, line",
    [
        ("zk.proof", "import models.digits"),
        ("zk.proof", "from chain import network"),
        ("models.digits", "from zk.files import whole"),
        ("chain.network", "import apps"),
        ("apps.clan", "    from hub.client import Hub"),
        ("hub.chain", "from scripts._cli import Command"),
        ("bench.growth", "import hub"),
    ],
)
def test_an_import_against_the_picture_is_found(module, line):
    modules = sources(*arrows())
    source = modules[module] + (f"\ndef f():\n{line}\n" if line[0] == " " else f"\n{line}\n")
    found = against_the_picture({**modules, module: source})
    assert len(found) == len(against_the_picture(modules)) + 1


def test_other_violations_are_found():
    modules = sources(*arrows())
    lazy = modules["zk.files"] + "\ndef f():\n    from zk.build import build\n"
    assert cycle({**modules, "zk.files": lazy})
    ezkl = modules["zk.proof"] + "\ndef f():\n    from ezkl import prove\n"
    assert importers_of_ezkl({**modules, "zk.proof": ezkl}) == ["zk.ezkl", "zk.proof"]
    long = "def f():\n" + "    print()\n" * LONGEST_FUNCTION
    assert long_functions({"zk.long": long}) == ["zk.long.f"]
    assert not long_functions({"zk.long": long.removesuffix("    print()\n")})
    assert naming_applications({"hub": "VoiceJudge", "zk": "the clan of Clans"}) == ["hub"]
