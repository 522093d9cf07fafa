"""Runs, compiles and submits the pipelines.

python -m pipelines run --pipeline=training --method=ieg --noise_ratio=0.8 --seed=1
python -m pipelines run --pipeline=sweep --methods=ieg,supervised --runner=docker
python -m pipelines run --experiment=ieg_cifar10_uniform_0.4
python -m pipelines review --decisions=decisions.csv
python -m pipelines compile --pipeline=sweep --target=kubeflow --profile=gke-a100x8
python -m pipelines submit --pipeline=training --target=kubeflow --host=URL --wait
"""

import dataclasses
import sys
from pathlib import Path

import yaml
from absl import flags

from pipelines.launch import profiles, training_flags
from trainer import command_line, dataset_flags
from trainer.errors import InputError
from trainer.settings.experiments import expand
from trainer.settings.fields import check_choice

COMMANDS = ("run", "review", "compile", "submit")
NAMES = ("training", "sweep")
RUNNERS = ("subprocess", "docker")

PIPELINE = flags.DEFINE_string(
    "pipeline",
    "training",
    "what to run: training (one method) or sweep (methods x noise ratios x seeds)",
)
OUTPUT = flags.DEFINE_string("output", None, "compile: the file; <pipeline>.yaml unless given")
OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    None,
    "directory for all outputs of run; unless given the first free one of runs/<pipeline>,"
    " runs/<pipeline>-2, ...; review: directory of the run, found below runs unless given",
)
DECISIONS = flags.DEFINE_string(
    "decisions",
    None,
    "review: decisions.csv, as the report saves it; submit: its gs:// path, with the flags of the"
    " run",
)
RUNNER = flags.DEFINE_string(
    "runner",
    "subprocess",
    f"run: one of {', '.join(RUNNERS)}; review: that of the run unless given",
)
GPUS = flags.DEFINE_string(
    "gpus", None, "run, review with docker: how many GPUs training sees, or all"
)
PROFILE = flags.DEFINE_string(
    "profile",
    "",
    f"compile, submit: one of {', '.join(profiles.NAMED)}, or a YAML file of your own",
)
NO_CACHE = flags.DEFINE_boolean(
    "no_cache", False, "reuse no earlier outputs; the same as --cache=false"
)
HOST = flags.DEFINE_string("host", None, "submit to kubeflow: address of its API")
NAMESPACE = flags.DEFINE_string("namespace", None, "submit to kubeflow: namespace of the user")
TOKEN_FILE = flags.DEFINE_string("token_file", None, "submit to kubeflow: file with a bearer token")
RUN_EXPERIMENT = flags.DEFINE_string(
    "run_experiment",
    None,
    "submit: experiment of Kubeflow or Vertex AI that the run belongs to; on kubeflow ieg-pipeline"
    " unless given",
)
PROJECT = flags.DEFINE_string("project", None, "submit to vertex: project of Google Cloud")
REGION = flags.DEFINE_string("region", "us-central1", "submit to vertex: location of the run")
PIPELINE_ROOT = flags.DEFINE_string(
    "pipeline_root", None, "submit: where artifacts go, such as gs://<bucket>/<name>"
)
SERVICE_ACCOUNT = flags.DEFINE_string("service_account", None, "submit: account that tasks run as")
UPLOAD = flags.DEFINE_boolean(
    "upload", False, "submit to kubeflow: upload the pipeline, do not run it"
)
WAIT = flags.DEFINE_boolean(
    "wait", False, "submit: follow the run to its end; its result is the exit status"
)
WAIT_MINUTES = flags.DEFINE_float(
    "wait_minutes",
    0.0,
    "submit with --wait: minutes after which waiting ends; 0: never",
    lower_bound=0,
)
TIMEOUT = flags.DEFINE_integer("timeout", 60, "submit: seconds to wait for an answer of the server")
CA_FILE = flags.DEFINE_string(
    "ca_file",
    None,
    "submit to kubeflow: PEM file of the certificate authority of its server; SSL_CERT_FILE unless"
    " given",
)

SUBMIT = (
    *(HOST, NAMESPACE, TOKEN_FILE, RUN_EXPERIMENT, PROJECT, REGION, PIPELINE_ROOT, SERVICE_ACCOUNT),
    *(UPLOAD, WAIT, WAIT_MINUTES, TIMEOUT, CA_FILE),
)
LOCAL_FIELDS = ("target", "retries", "backoff", "parallelism", "cache", "shared_memory")
for field in profiles.FIELDS.values():
    define = flags.DEFINE_boolean if field.type is bool else flags.DEFINE_string
    define(field.name, None, f"profile: {field.metadata['help']}")
flags.adopt_module_key_flags(training_flags)
# Flags that mean something to some of the commands only; the others are for all.
FOR_COMMANDS = {
    **{name: ("compile", "submit") for name in profiles.FIELDS if name not in LOCAL_FIELDS},
    **{flag.name: ("submit",) for flag in SUBMIT},
    **{flag.name: ("run", "review") for flag in (OUTPUT_DIR, RUNNER, GPUS)},
    DECISIONS.name: ("review", "submit"),
    OUTPUT.name: ("compile",),
}


GROUPS = {
    "Command": ["*pipeline", "*output_dir", "decisions", "runner", "gpus", "output", "no_cache"],
    **dataset_flags.GROUP,
    "Pipeline": ["methods", "noise_ratios", "seeds", "checkpoint_root", "parameters"],
    "Submit": [flag.name for flag in SUBMIT],
    "Profile": ["profile", *profiles.FIELDS],
}


def main(arguments):
    command, choices = " ".join(arguments), ", ".join(COMMANDS)
    if not command:
        usage = f"usage: python -m pipelines {'|'.join(COMMANDS)} [flags]; --help lists them"
        raise InputError("command", f"must be one of {choices}; {usage}", command)
    if command not in COMMANDS:
        raise InputError("command", f"must be one of {choices}", command)
    command_line.check_for(command, FOR_COMMANDS)
    check_choice("pipeline", PIPELINE.value, NAMES)
    check_choice("runner", RUNNER.value, RUNNERS)
    {"run": run, "review": review, "compile": compile_to_file, "submit": submit}[command]()


def profile(default_target=""):
    """The profile from the flags."""
    given = {name: flags.FLAGS[name].value for name in profiles.FIELDS if flags.FLAGS[name].present}
    try:
        given = {k: yaml.safe_load(v) if isinstance(v, str) else v for k, v in given.items()}
    except yaml.YAMLError:
        raise InputError("--" + ", --".join(given), "must be YAML values", given) from None
    if NO_CACHE.value:
        given["cache"] = False
    target = given.pop("target", "" if PROFILE.value else default_target)
    name = PROFILE.value or profiles.DEFAULTS.get(target, "")
    return profiles.resolve(target, name, **given)


def resolved(chosen):
    """The parameters of the pipeline: what flags have chosen, and the file."""
    from pipelines.launch import parameters  # kfp takes seconds to import

    return parameters.resolve(PIPELINE.value, *chosen, file=training_flags.PARAMETERS.value)


def run():
    chosen = training_flags.chosen(PIPELINE.value)
    local = profile("local")
    if local.target != "local":
        raise InputError("--target", "must be local for run; others take submit", local.target)
    if GPUS.value:
        check_gpus()
        local = dataclasses.replace(local, accelerators=1)
    parameters = resolved(chosen)
    from pipelines.launch import run

    run.run(
        PIPELINE.value,
        local,
        parameters,
        output_dir=Path(OUTPUT_DIR.value) if OUTPUT_DIR.value else None,
        runner=RUNNER.value,
        gpus=GPUS.value,
    )


def review():
    of_run = [*command_line.given_data(), *command_line.given_training(), *others_given()]
    if of_run:
        rule = "is not for review, which takes the settings of the run"
        raise InputError(f"--{of_run[0]}", rule, flags.FLAGS[of_run[0]].value)
    if not DECISIONS.value:
        rule = "must be the decisions.csv that a report has saved"
        raise InputError("--decisions", rule, DECISIONS.value)
    local = profile("local")
    if local.target != "local":
        rule = "must be local for review; others take submit with --decisions"
        raise InputError("--target", rule, local.target)
    if GPUS.value:
        check_gpus()
        local = dataclasses.replace(local, accelerators=1)
    from pipelines.launch import review

    runner = RUNNER.value if RUNNER.present else None
    review.review(DECISIONS.value, local, OUTPUT_DIR.value, runner, GPUS.value)


def others_given():
    """Flags of the command line that choose what a pipeline trains."""
    names = ("pipeline", "methods", "noise_ratios", "seeds", "checkpoint_root", "parameters")
    names += ("dataset", "noise", "noise_ratio", "source", "experiment", "use_imagenet_as_eval")
    return command_line.given(names)


def check_gpus():
    """Raises InputError for GPUs that a runner cannot have."""
    if RUNNER.value != "docker":
        rule = "is for --runner=docker; a subprocess sees those of CUDA_VISIBLE_DEVICES"
        raise InputError("--gpus", rule, GPUS.value)
    if GPUS.value != "all" and not GPUS.value.isdigit():
        raise InputError("--gpus", "must be a number or all", GPUS.value)


def compile_to_file():
    chosen = training_flags.chosen(PIPELINE.value)
    machines = profile("local")
    path = OUTPUT.value or f"{PIPELINE.value}.yaml"
    defaults = resolved(chosen)
    from pipelines.launch.compile import compile_pipeline

    compile_pipeline(PIPELINE.value, machines, path, defaults)
    print(path)


def submit():
    chosen = training_flags.chosen(PIPELINE.value)
    machines = profile("kubeflow")
    if machines.target == "local":
        raise InputError("--target", "must be kubeflow or vertex for submit", machines.target)
    if UPLOAD.value and (WAIT.value or machines.target == "vertex"):
        raise InputError("--upload", "is for kubeflow, without --wait", machines.target)
    parameters = resolved(chosen)
    if DECISIONS.value:
        if PIPELINE.value != "training":
            raise InputError("--decisions", "is for --pipeline=training", PIPELINE.value)
        parameters["decisions"] = DECISIONS.value
    from pipelines.launch import submit

    options = {flag.name: flag.value for flag in SUBMIT}
    sys.exit(submit.submit(PIPELINE.value, machines, parameters, options))


if __name__ == "__main__":
    command_line.run(main, __doc__, GROUPS, expand)
