"""Arrows between rooms point one way, and the light modules stay light."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A room imports from those in the lines below its own; a room is a module or a package, and the
# innermost one counts.
LAYERS = (
    ("pipelines.__main__",),
    ("pipelines.launch",),
    ("pipelines",),
    ("components",),
    ("trainer.__main__",),
    ("trainer.dataset_flags",),
    ("trainer.local_run", "trainer.command_line"),
    ("trainer.report",),
    ("trainer.audit", "trainer.serving"),
    ("trainer.evaluation",),
    ("trainer.training",),
    ("trainer.methods",),
    ("trainer.backbones",),
    ("trainer.data", "trainer.networks"),
    ("trainer.settings",),
    ("trainer.storage",),
    ("trainer.artifacts",),
    ("trainer.outputs",),
    ("trainer.errors",),
    ("trainer",),
    ("trainer.quick",),
    ("trainer.interrupts", "trainer.quiet", "trainer.xla_cache"),
)
HEIGHT = {room: -i for i, rooms in enumerate(LAYERS) for room in rooms}
FILES = [
    file for room in ("pipelines", "components", "trainer") for file in (ROOT / room).rglob("*.py")
]


def imported(tree):
    """Modules that a file imports, as `package.module`, also those inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(module):
    """The innermost room that a module, or a name in it, belongs to; None of other people's."""
    parts = module.split(".")
    prefixes = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((prefix for prefix in prefixes if prefix in HEIGHT), None)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_arrows_point_one_way(file):
    own = room_of(".".join(file.relative_to(ROOT).with_suffix("").parts))
    for module in imported(ast.parse(file.read_text())):
        room = room_of(module)
        assert room in (None, own) or HEIGHT[room] < HEIGHT[own], f"{own} imports {module}"


def test_no_module_imports_itself_through_others():
    modules = {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in FILES}
    needs = {
        module: {
            part
            for name in imported(ast.parse(file.read_text()))
            for part in (name, name.rpartition(".")[0])
            if part in modules
        }
        for module, file in modules.items()
    }
    assert len(list(graphlib.TopologicalSorter(needs).static_order())) == len(FILES)


def test_the_trainer_imports_no_orchestrator():
    for file in (ROOT / "trainer").rglob("*.py"):
        packages = {module.split(".")[0] for module in imported(ast.parse(file.read_text()))}
        assert not packages & {"kfp", "docker", "kubernetes", "components", "pipelines"}, file


def test_components_import_nothing_but_kfp_when_loaded():
    """Their bodies run elsewhere, from the source text alone."""
    for file in sorted((ROOT / "components").glob("*.py")):
        tree = ast.parse(file.read_text())
        tree.body = [node for node in tree.body if not isinstance(node, ast.FunctionDef)]
        at_top = {module.split(".")[0] for module in imported(tree)}
        if file.name == "images.py":  # runs where a pipeline is compiled
            at_top -= sys.stdlib_module_names
        assert at_top <= {"kfp", "components", "trainer"}, file


@pytest.mark.parametrize(
    "module",
    [
        "trainer.command_line",
        "trainer.evaluation.comparison",
        "trainer.data.noise.injection",
        "trainer.data.probe",
        "trainer.data.records",
        "trainer.__main__",
        "pipelines.__main__",
    ],
)
def test_light_modules_import_without_tensorflow(module):
    heavy = "{'tensorflow', 'keras', 'tensorflow_datasets', 'kfp', 'pandas', 'scipy', 'sklearn'}"
    code = f"import sys, {module}; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
