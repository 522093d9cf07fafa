"""Wrong input on either command line: one line, status 2, before any work, nothing left behind."""

import os
import subprocess
import sys

import pytest
from absl import flags

from pipelines.launch import parameters, training_flags
from tests import commands
from trainer.errors import InputError

WRONG = [
    (
        "trainer --method=iegg",
        "--method: must be one of supervised, robust, l2r, fsr, ieg.",
    ),
    (
        "trainer --network_name=vgg",
        "--network_name: must be one of convnet, resnet29, wrn28-10, resnet50.",
    ),
    (
        "trainer --dataset=cats_uniform_0.9",
        "--dataset: must be one of digits, cifar10, cifar100, image_folder, csv, ",
    ),
    ("trainer --dataset=digits_uniform", "--dataset: must be <dataset>_<noise>_<ratio>, such as"),
    (
        "trainer --dataset=image_folder",
        "--data: must name the images, for image_folder, csv, ",
    ),
    (
        "trainer --dataset=digits --data=file",
        "--data: is for cifar10, cifar100, image_folder, csv, webvisionmini; --dataset is digits.",
    ),
    (
        "pipelines run --dataset=csv",
        "--data: must name the images, for image_folder, csv, ",
    ),
    (
        "trainer --dataset=digits_pink_0.9",
        "--noise: must be one of none, uniform, ",
    ),
    ("trainer --dataset=digits_uniform_1.9", "--noise_ratio: must be 1 or less. Received: 1.9"),
    ("trainer --dataset=digits_uniform_nan", "--noise_ratio: must be 0 or more. Received: nan"),
    ("trainer --probe_per_class=-1", "--probe_per_class: must be 0 or more. Received: -1"),
    (
        "pipelines run --probe_per_class=1 --probe_dataset_hold_ratio=0.1",
        "--probe_per_class: sets the same as --probe_dataset_hold_ratio; give one of them.",
    ),
    (
        "pipelines run --noise=none --noise_ratio=0.4",
        "--noise_ratio: needs a noise to add; name it by --noise. Received: 0.4",
    ),
    ("trainer --probe_per_class=0", "--probe_per_class: must be 1 or more for ieg; supervised, "),
    (
        "pipelines run --pipeline=sweep --methods=fsr,l2r --probe_per_class=0",
        "--probe_per_class: must be 1 or more for l2r; supervised, robust, fsr need no trusted",
    ),
    ("pipelines compile --register_model=a", "--register_model: is for --target=vertex."),
    ("pipelines compile --output=a.txt", "--output: must be the name of a YAML file"),
    ("pipelines run --bad_images=keep", "--bad_images: must be one of fail, skip."),
    ("pipelines run --beam_runner=DirectRunner", "--beam_runner: is for cifar10, "),
    ("trainer --dataset=digits_matrix_1", "--noise_file: must name the file of noise matrix."),
    ("trainer --noise_file=file", "--noise_file: is for noise matrix, human or asymmetric."),
    ("trainer --max_iteration=many", "flag --max_iteration=many: "),
    ("trainer --max_iterations=3", "Unknown command line flag 'max_iterations'."),
    (
        "trainer --mode=test",
        "--mode: must be one of train, evaluation, audit, export, report, review, predict.",
    ),
    ("trainer --mode=review", "--decisions: must be given for --mode=review. Received: None"),
    (
        "trainer --decisions=file",
        "--decisions: is not for --mode=train, but for review. Received: 'file'",
    ),
    ("trainer --mode=review --decisions=none", "--decisions: must be the CSV file that a report"),
    ("trainer --mode=review --decisions=file --seed=1", "--seed: is not for --mode=review, but"),
    ("pipelines review", "--decisions: must be the decisions.csv that a report has saved."),
    ("pipelines review --decisions=file", "--decisions: must be the CSV file that a report saves"),
    ("pipelines review --decisions=file --seed=1", "--seed: is not for review, which takes"),
    ("pipelines review --decisions=file --target=vertex", "--target: must be local for review"),
    ("pipelines run --decisions=file", "--decisions: is not for run, but for review, submit."),
    (
        "pipelines submit --pipeline=sweep --decisions=gs://a/b",
        "--decisions: is for --pipeline=training. Received: 'sweep'",
    ),
    ("trainer --json", "--json: is not for --mode=train, but for predict. Received: True"),
    ("trainer --mode=predict", "--model: must be given for --mode=predict. Received: None"),
    (
        "trainer --mode=predict --model=m --seed=1",
        "--seed: is not for --mode=predict, but for train",
    ),
    ("trainer --experiment ieg_x", "--experiment: must be one of ieg_cifar10_uniform_0.2, "),
    ("trainer --audit_folds=1", "--audit_folds: must be 0, or 2 or more: "),
    ("trainer --audit_folds=2 --audit_fold=2", "--audit_fold: must be below --audit_folds, which"),
    ("trainer --image_size=99999", "--image_size: must be 4096 or less. Received: 99999"),
    (
        "trainer --audit_folds=1500",
        "--audit_folds: must be at most the number of training images, 1337;",
    ),
    ("trainer --image_size=5", "--image_size: must be 0, or 8 or more pixels. Received: 5"),
    (
        "trainer --dataset=image_folder --data=none",
        "--data: must exist; there is nothing of this name. Received: 'none'",
    ),
    (
        "trainer --dataset=csv --data=.",
        "--data: must be a table; --dataset=image_folder takes a directory. Received: '.'",
    ),
    (
        "trainer --dataset=csv --data=file --test=file",
        "--test: must be a directory with one for each class. Received: 'file'",
    ),
    ("trainer --dataset=digits_matrix_1 --noise_file=none", "--noise_file: must exist; there is"),
    ("trainer --probe_per_class=140", "--probe_per_class: must be at most the trusted examples of"),
    ("trainer --mode=audit", "checkpoints: must hold a manifest.json; the directory"),
    ("trainer --mode=export", "checkpoints: must hold a manifest.json; the directory"),
    ("trainer --mode=report", "prepared_dataset: must hold a manifest.json; the directory"),
    ("trainer --audit_folds=-1", "--audit_folds: must be 0 or more. Received: -1"),
    ("trainer --mode=evaluation", "checkpoints: must hold a manifest.json; the directory"),
    ("trainer ieg", "arguments: must be flags, --name=value. Received: 'ieg'"),
    ("trainer --checkpoint_path=file/out", "--checkpoint_path: must be writable"),
    ("pipelines run --host=URL", "--host: is not for run, but for submit. Received: 'URL'"),
    ("pipelines run --spot", "--spot: is not for run, but for compile, submit. Received: True"),
    ("pipelines compile --wait", "--wait: is not for compile, but for submit. Received: True"),
    ("pipelines submit --output_dir=x", "--output_dir: is not for submit, but for run, review."),
    ("pipelines compile --noise_ratio=7", "--noise_ratio: must be 1 or less. Received: 7.0"),
    ("pipelines compile --method=", "--method: must be one of supervised, robust, l2r, fsr, ieg."),
    ("pipelines compile --parameters=none.yaml", "--parameters: must be a YAML file"),
    ("pipelines run --data=", "--data: must name a folder with one for each class in it, or a"),
    ("pipelines run --data=none", "--data: must name a folder with one for each class in it, or a"),
    ("pipelines run --output_dir=.", "--output_dir: must be new or empty, or have the run.json"),
    ("pipelines run --pipeline=sweep --audit_folds=2", "--audit_folds: is for --pipeline=training"),
    (
        "pipelines",
        "command: must be one of run, review, compile, submit; usage: python -m pipelines",
    ),
    ("pipelines walk", "command: must be one of run, review, compile, submit. Received: 'walk'"),
    ("pipelines run --pipeline=trainings", "--pipeline: must be one of training, sweep."),
    (
        "pipelines run --runner=moon",
        "--runner: must be one of subprocess, docker. Received: 'moon'",
    ),
    ("pipelines run --method=iegg", "--method: must be one of supervised, robust, l2r, fsr, ieg."),
    ("pipelines run --seeds=1,2", "--seeds: is for a sweep; one training takes --seed."),
    ("pipelines run --pipeline=sweep --noise_ratios=a", "--noise_ratios: must be numbers with"),
    ("pipelines run --pipeline=sweep --noise_ratios=2", "--noise_ratios: must be 1 or less."),
    ("pipelines run --methods=ieg", "--methods: is for a sweep; one training takes --method."),
    ("pipelines run --pipeline=sweep --method=ieg", "--method: is for one training; a sweep"),
    ("pipelines run --pipeline=sweep --methods=ieg,x", "--method: must be one of supervised,"),
    (
        "pipelines run --dataset=cats",
        "--dataset: must be one of digits, cifar10, cifar100, image_folder, csv, ",
    ),
    ("pipelines run --noise_ratio=-0.1", "--noise_ratio: must be 0 or more. Received: -0.1"),
    ("pipelines run --output_dir=file/out", "--output_dir: must be writable"),
    ("pipelines run --gpus=2", "--gpus: is for --runner=docker; a subprocess sees those of"),
    ("pipelines run --runner=docker --gpus=some", "--gpus: must be a number or all."),
    ("pipelines run --target=vertex", "--target: must be local for run; others take submit."),
    ("pipelines run --use_imagenet_as_eval", "--use_imagenet_as_eval: is for --dataset=webvision"),
    ("pipelines run --experiment=ieg_x", "--experiment: must be one of ieg_cifar10_uniform_0.2, "),
    (
        "pipelines run --dataset=digits_uniform_0.9 --noise=pair",
        "--noise: contradicts --dataset=digits_uniform_0.9; give one of them. Received: 'pair'",
    ),
    (
        "trainer --dataset=digits_uniform_0.9 --noise_ratio=0.4",
        "--noise_ratio: contradicts --dataset=digits_uniform_0.9; give one of them. Received: 0.4",
    ),
    (
        "trainer --dataset=digits --noise_ratio=0.4",
        "--noise_ratio: needs a noise to add; name it by --noise",
    ),
    ("pipelines run --pipeline=sweep --seeds=1,2 --seed=3", "--seed: contradicts --seeds; give"),
    (
        "pipelines run --pipeline=sweep --dataset=digits_pair_0.4 --noise_ratios=0.2,0.4",
        "--noise_ratios: contradicts the noise ratio 0.4; give one of them.",
    ),
    (
        "pipelines run --pipeline=sweep --dataset=webvisionmini --imagenet_val=.",
        "--imagenet_val: is for --pipeline=training",
    ),
    ("pipelines run --parameters=none.yaml", "--parameters: must be a YAML file"),
    ("pipelines compile --target=moon", "--target: must be one of local, kubeflow, vertex."),
    ("pipelines compile --profile=moon", "--profile: must be one of local, kind-cpu, "),
    ("pipelines compile --profile=gke-a100x8 --accelerators=-1", "--accelerators: must be 0 or"),
    ("pipelines compile --profile=gke-a100x8 --accelerators=x", "--accelerators: must be"),
    ("pipelines compile --profile=gke-a100x8 --memory=much", "--memory: must be"),
    ("pipelines submit", "--host: must be given, such as https://"),
    ("pipelines submit --target=vertex", "--project: must name a project of Google Cloud."),
    ("pipelines submit --target=vertex --upload", "--upload: is for kubeflow, without --wait."),
    ("pipelines submit --target=local", "--target: must be kubeflow or vertex for submit."),
    ("pipelines compile --output=file/x.yaml", "--output: must be writable"),
]


def assert_is_wrong(done, message):
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("command", "message"), WRONG, ids=[command for command, _ in WRONG])
def test_wrong_input(command, message, tmp_path):
    (tmp_path / "file").touch()
    assert_is_wrong(commands.run(*command.split(), cwd=tmp_path), message)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    "command",
    ["trainer --method=iegg", "trainer --max_iterations=3", "pipelines run --output_dir=."],
)
def test_wrong_input_of_a_process(command, tmp_path):
    (tmp_path / "file").touch()
    command_line = [sys.executable, "-m", *command.split()]
    done = subprocess.run(command_line, cwd=tmp_path, capture_output=True, text=True)
    assert_is_wrong(done, dict(WRONG)[command])


def test_a_run_in_the_directory_of_another_one(tmp_path):
    (tmp_path / "run.json").write_text('{"dataset": "digits_uniform_0.5"}')
    done = commands.run("trainer", f"--checkpoint_path={tmp_path}", cwd=tmp_path)
    assert_is_wrong(done, "--checkpoint_path: holds another run (dataset=digits_un")
    assert os.listdir(tmp_path) == ["run.json"]


@pytest.mark.slow
def test_another_way_to_write_the_same_run_is_no_other_run(tmp_path):
    same = ["--checkpoint_path=a", "--max_iteration=1", "--method=supervised"]
    run = [sys.executable, "-m", "trainer", *same]
    for flags_given, status in (
        ([], 0),
        (["--seed=0", "--nojit_compile", "--dataset=digits_uniform_0.90"], 0),
        (["--seed=1"], 2),
    ):
        done = subprocess.run([*run, *flags_given], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == status, done.stderr
    assert "holds another run (seed=0)" in done.stderr


PARAMETERS = {
    "settings: {max_iter: 3}": "--settings: must have names of settings; the closest is max_iterat",
    "settings: {max_iteration: few}": "--max_iteration: must be of type int. Received: 'few'",
    "settings: {seed: 1}": "--settings: must not have a parameter of the pipeline. Received",
    "dataset_settings: {bad_images: keep}": "--bad_images: must be one of fail, skip.",
    "dataset_settings: {badimages: skip}": "--dataset_settings: must have names of settings; the c",
    "noise_ratio: 1.5": "--noise_ratio: must be 1 or less. Received: 1.5",
    "noise_ratio: yes": "--noise_ratio: must be of type float. Received: True",
    "method: iegg": "--method: must be one of supervised, robust, l2r, fsr, ieg.",
    "runs: []": "--runs: must have one run or more.",
    "runs: [{method: iegg, noise_ratio: 1, seed: 0}]": "--method: must be one of supervised,",
    "runs: [{method: ieg, noise_rate: 1, seed: 0}]": "--runs: must have method, noise_ratio, seed",
    "runs: [{method: ieg, noise_ratio: 2, seed: 0}]": "--noise_ratio: must be 1 or less.",
}


@pytest.mark.parametrize("content", PARAMETERS)
def test_wrong_parameters_in_a_file(content, tmp_path):
    """The same rules as for flags, also for what is inside of other parameters."""
    (tmp_path / "file.yaml").write_text(content)
    pipeline = "sweep" if content.startswith("runs") else "training"
    flags.FLAGS.unparse_flags()
    flags.FLAGS([""])
    with pytest.raises(InputError) as error:
        parameters.resolve(pipeline, *training_flags.chosen(pipeline), tmp_path / "file.yaml")
    flags.FLAGS.unparse_flags()
    assert str(error.value).startswith(PARAMETERS[content])


def test_whole_numbers_may_be_int_or_float(tmp_path):
    (tmp_path / "file.yaml").write_text(
        "{noise_ratio: 1, seed: 2.0, settings: {max_iteration: 3.0}}"
    )
    flags.FLAGS.unparse_flags()
    flags.FLAGS([""])
    chosen = training_flags.chosen("training")
    found = parameters.resolve("training", *chosen, tmp_path / "file.yaml")
    flags.FLAGS.unparse_flags()
    assert [type(found[name]) for name in ("noise_ratio", "seed")] == [float, int]


@pytest.mark.parametrize("module", ["trainer", "pipelines"])
def test_help_names_every_setting(module):
    done = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True)
    for flag in ("--method", "--max_iteration", "--ce_factor", "--meta_stepsize", "--dataset"):
        assert flag in done.stdout
