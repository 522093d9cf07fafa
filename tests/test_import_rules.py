"""pipelines -> components -> trainer, and no other way; the light modules stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "trainer": {"components", "pipelines", "kfp", "docker", "kubernetes"},
    "components": {"pipelines"},
    "pipelines": set(),
}


def imported(file, inside_functions=True):
    """Top-level names of the modules that a file imports."""
    body = ast.parse(file.read_text()).body
    if not inside_functions:
        body = [node for node in body if not isinstance(node, ast.FunctionDef)]
    for node in (inner for outer in body for inner in ast.walk(outer)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield node.module.split(".")[0]


@pytest.mark.parametrize("room", FORBIDDEN)
def test_arrows_point_one_way(room):
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    for file in files:
        assert not FORBIDDEN[room] & set(imported(file)), file


def test_components_import_nothing_but_kfp_when_loaded():
    """Their bodies run elsewhere, from the source text alone."""
    for file in sorted((ROOT / "components").glob("*.py")):
        at_top = set(imported(file, inside_functions=False))
        if file.name == "images.py":  # runs where a pipeline is compiled
            at_top -= sys.stdlib_module_names
        assert at_top <= {"kfp", "components", "trainer"}, file


@pytest.mark.parametrize(
    "module",
    [
        "trainer.config",
        "trainer.comparison",
        "trainer.data.noise",
        "trainer.data.noise_models",
        "trainer.data.probe",
        "trainer.data.records",
        "trainer.__main__",
        "pipelines.__main__",
    ],
)
def test_light_modules_import_without_tensorflow(module):
    heavy = "{'tensorflow', 'keras', 'tensorflow_datasets', 'kfp'}"
    code = f"import sys, {module}; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
