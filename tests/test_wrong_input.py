"""Wrong input on either command line: one line, status 2, before any work, nothing left behind."""

import os
import subprocess
import sys

import pytest

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
        "--data: is where the images are, for image_folder, csv, ",
    ),
    (
        "trainer --data=file",
        "--data: is where the images are, for image_folder, csv, ",
    ),
    (
        "pipelines run --dataset=csv",
        "--data: is where the images are, for image_folder, csv, ",
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
        "--probe_per_class: says the same as --probe_dataset_hold_ratio; give one of them.",
    ),
    (
        "pipelines run --noise=none --noise_ratio=0.4",
        "--noise_ratio: is for a noise to add; --noise names it. Received: 0.4",
    ),
    ("pipelines compile --register_model=a", "--register_model: is for --target=vertex."),
    ("pipelines run --bad_images=keep", "--bad_images: must be one of fail, skip."),
    ("pipelines run --beam_runner=DirectRunner", "--beam_runner: is for image_folder, csv and"),
    ("trainer --dataset=digits_matrix_1", "--noise_file: must name the file of noise matrix."),
    ("trainer --noise_file=file", "--noise_file: is for noise matrix, human or asymmetric."),
    ("trainer --max_iteration=many", "flag --max_iteration=many: "),
    ("trainer --max_iterations=3", "Unknown command line flag 'max_iterations'."),
    (
        "trainer --mode=test",
        "--mode: must be one of train, evaluation, audit, export, report, review, predict.",
    ),
    ("trainer --mode=review", "--review: names the file for --mode=review. Received: None"),
    ("trainer --review=file", "--review: names the file for --mode=review. Received: 'file'"),
    ("trainer --mode=audit", "checkpoints: must hold a manifest.json; the directory"),
    ("trainer --mode=export", "checkpoints: must hold a manifest.json; the directory"),
    ("trainer --mode=report", "prepared_dataset: must hold a manifest.json; the directory"),
    ("trainer --audit_folds=-1", "--audit_folds: must be 0 or more. Received: -1"),
    ("trainer --mode=evaluation", "checkpoints: must hold a manifest.json; the directory"),
    ("trainer ieg", "arguments: must be flags, --name=value. Received: 'ieg'"),
    ("trainer --checkpoint_path=file/out", "--checkpoint_path: must be writable"),
    ("pipelines", "command: must be one of run, compile, submit. Received: ''"),
    ("pipelines walk", "command: must be one of run, compile, submit. Received: 'walk'"),
    ("pipelines run --pipeline=trainings", "--pipeline: must be one of training, sweep, webvision"),
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
    ("pipelines run --pipeline=webvision --noise=pair", "--noise: is for training and sweep;"),
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


@pytest.mark.parametrize(("command", "message"), WRONG, ids=[command for command, _ in WRONG])
def test_wrong_input(command, message, tmp_path):
    (tmp_path / "file").touch()
    done = subprocess.run(
        [sys.executable, "-m", *command.split()], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1
    assert os.listdir(tmp_path) == ["file"]


def test_a_run_in_the_directory_of_another_one(tmp_path):
    (tmp_path / "run.json").write_text('{"dataset": "digits_uniform_0.5"}')
    done = subprocess.run(
        [sys.executable, "-m", "trainer", f"--checkpoint_path={tmp_path}"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: --checkpoint_path: holds another run (dataset=digits_un")
    assert os.listdir(tmp_path) == ["run.json"]


def test_a_probe_that_is_too_large_trains_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "trainer", "--probe_per_class=140", f"--checkpoint_path={tmp_path}"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    error = done.stderr.splitlines()[-1]
    assert error.startswith("error: --probe_per_class: must be at most the trusted examples of")
    assert not (tmp_path / "probe_split").exists()
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize("module", ["trainer", "pipelines"])
def test_help_names_every_setting(module):
    done = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True)
    for flag in ("--method", "--max_iteration", "--ce_factor", "--meta_stepsize", "--dataset"):
        assert flag in done.stdout
