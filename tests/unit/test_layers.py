"""No cycle between files, lazy imports counted; the layers are contracts in pyproject.toml."""

import ast
import tomllib
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
PACKAGES = [*PROJECT["root_packages"], "bench"]


def modules_of(root: Path, packages: list[str]) -> dict[str, ast.Module]:
    """Dotted name to syntax tree of every file of the packages."""
    return {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): ast.parse(
            path.read_text(encoding="utf-8")
        )
        for package in packages
        for path in sorted((root / package).rglob("*.py"))
    }


def imported(tree: ast.Module) -> Iterator[str]:
    """Every name that a file imports, anywhere in it; `from a import b` gives a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def import_graph(modules: Mapping[str, ast.Module]) -> dict[str, set[str]]:
    """Each module's imports among the modules given."""
    graph: dict[str, set[str]] = {}
    for name, tree in modules.items():
        found = {target if target in modules else target.rpartition(".")[0] for target in imported(tree)}
        graph[name] = (found & modules.keys()) - {name}
    return graph


def cycle_in(graph: Mapping[str, set[str]]) -> list[str]:
    """The modules of one cycle, or none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1]
        return cycle
    return []


def test_no_cycle_between_files() -> None:
    """A lazy import that closes a circle hides that two files are one."""
    graph = import_graph(modules_of(ROOT, PACKAGES))
    assert len(graph) > 300
    assert cycle_in(graph) == []


def test_a_lazy_import_that_closes_a_circle_is_found(tmp_path: Path) -> None:
    """Two files in a temporary tree, one of which imports the other within a function."""
    package = tmp_path / "shop"
    package.mkdir()
    (package / "a.py").write_text("from shop.b import price\n")
    (package / "b.py").write_text("def price():\n    from shop import a\n    return a\n")
    assert set(cycle_in(import_graph(modules_of(tmp_path, ["shop"])))) == {"shop.a", "shop.b"}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_of_ours_is_imported_by_name(package: str) -> None:
    """Only the lazy groups of commands are; elsewhere the linter could not see it."""
    lazy_groups = {"demo.cli", "experiments.cli", "ml.cli", "console.group"}
    for name, tree in modules_of(ROOT, [package]).items():
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        by_name = [call for call in calls if ast.unparse(call.func).endswith("import_module")]
        constant = all(isinstance(call.args[0], ast.Constant | ast.JoinedStr) for call in by_name)
        texts = [ast.unparse(call.args[0]) for call in by_name]
        ours = any(text.strip("f'\"").split(".")[0] in PACKAGES for text in texts)
        assert name in lazy_groups or (constant and not ours), f"{name}: {texts}"
