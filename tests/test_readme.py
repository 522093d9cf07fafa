"""The diagram of the pipeline in the README equals the compiled pipeline."""

import re
from pathlib import Path

from pipelines.launch import profiles
from tests.pipelines import golden

README = (Path(__file__).parents[1] / "README.md").read_text()


def edges(spec, tasks, inputs):
    """(producer, consumer) of all artifacts, with those in a loop seen from outside.

    Args:
      spec: Compiled pipeline.
      tasks: Of one DAG of it.
      inputs: {input artifact of this DAG: the task that makes it}.
    """
    for name, task in tasks.items():
        made_by = {}
        for argument, source in task.get("inputs", {}).get("artifacts", {}).items():
            output = source.get("taskOutputArtifact")
            made_by[argument] = (
                output["producerTask"] if output else inputs[source["componentInputArtifact"]]
            )
        component = spec["components"][task["componentRef"]["name"]]
        if "dag" in component:
            yield from edges(spec, component["dag"]["tasks"], made_by)
        else:
            yield from ((maker, name) for maker in made_by.values())


def test_the_picture_is_the_pipeline():
    """The diagram leaves out arrows that a longer path implies, and tasks of folds and ImageNet."""
    (spec,) = golden.compiled("training", profiles.resolve("", "local"))
    found = edges(spec, spec["root"]["dag"]["tasks"], {})
    compiled = {
        tuple(re.sub(r"-\d+$", "", end).replace("-", "_") for end in edge) for edge in found
    }
    compiled = {(a, b) for a, b in compiled if "for_loop" not in a and a != b}
    users = {a: {b for maker, b in compiled if maker == a} for a, _ in compiled}

    def reached(task):
        return users.get(task, set()).union(*(reached(user) for user in users.get(task, ())))

    direct = {(a, b) for a, b in compiled if not any(b in reached(other) for other in users[a])}
    assert set(re.findall(r"(\w+) --> (\w+)", README)) == direct


def test_the_commands_exist():
    makefile = (Path(__file__).parents[1] / "Makefile").read_text()
    for target in re.findall(r"`?make ([\w-]+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
