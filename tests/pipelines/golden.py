"""Compiled pipelines as they are committed: python -m tests.pipelines.golden writes them anew."""

import re
import tempfile
from pathlib import Path

import yaml

from pipelines.launch import profiles
from pipelines.launch.compile import PIPELINES, compile_pipeline

DIRECTORY = Path(__file__).parents[1] / "golden" / "pipelines"
EMBEDDED = {"backbone": "efficientnet_lite0"}
FINETUNED = EMBEDDED | {"settings": {"finetune": True}}
CHOSEN = {"backbone": "auto"}
CASES = [(name, target) for name in PIPELINES for target in profiles.TARGETS]


def compiled(name, profile, parameters=None):
    """The documents of a compiled pipeline, with the tasks that parameters ask for."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "pipeline.yaml"
        compile_pipeline(name, profile, file, parameters=parameters)
        return list(yaml.load_all(file.read_text(), yaml.CSafeLoader))


def of_default_profile(name, target, parameters=None):
    """Compiled pipelines for the target's usual profile, without versions of kfp and images."""
    documents = compiled(name, profiles.resolve(target, profiles.DEFAULTS[target]), parameters)
    del documents[0]["sdkVersion"]
    text = yaml.safe_dump_all(documents)
    return re.sub(r"(ieg-pipeline/trainer[a-z-]*):\S+", r"\1:TAG", text)


if __name__ == "__main__":
    for name in PIPELINES:
        file = DIRECTORY / f"{name}-kubeflow-backbone.yaml"
        file.write_text(of_default_profile(name, "kubeflow", EMBEDDED))
    file = DIRECTORY / "training-kubeflow-finetune.yaml"
    file.write_text(of_default_profile("training", "kubeflow", FINETUNED))
    file = DIRECTORY / "training-kubeflow-auto.yaml"
    file.write_text(of_default_profile("training", "kubeflow", CHOSEN))
    for name, target in CASES:
        (DIRECTORY / f"{name}-{target}.yaml").write_text(of_default_profile(name, target))
