"""Published experiments by name: --experiment=NAME of `python -m trainer` and of pipelines.

Figures are published test accuracies; none of them has been reproduced here.
"""

import re
from dataclasses import dataclass

from trainer.settings.fields import check_choice

IEG = "Distilling Effective Supervision from Severe Label Noise (Zhang et al., CVPR 2020)"
L2R = "Learning to Reweight Examples for Robust Deep Learning (Ren et al., ICML 2018)"
FSR = "Learning Fast Sample Re-weighting Without Reward Data (Zhang & Pfister, ICCV 2021)"

PROBE_SIZE = re.compile("--?probe_(per_class|dataset_hold_ratio)")


@dataclass(frozen=True)
class Experiment:
    """One row of a published table.

    Attributes:
      paper: Where it was published.
      flags: Flags for `python -m trainer` and for the pipeline `training`.
      published: Test top-1, %; None where no figure was found.
    """

    paper: str
    flags: str
    published: float | None = None


def cifar(method, size, noise, ratio, network="wrn28-10", flags="", published=None):
    probe = " --probe_dataset_hold_ratio=0.002" if size == 10 else ""
    dataset = f"--dataset=cifar{size}_{noise}_{ratio} --network_name={network}"
    paper = {"ieg": IEG, "l2r": L2R, "fsr": FSR}[method]
    return Experiment(paper, f"--method={method} {dataset}{flags or probe}", published)


FSR_FLAGS = " --probe_dataset_hold_ratio=0 --max_iteration=63500 --cos_t_mul=2"

EXPERIMENTS = {
    "ieg_cifar10_uniform_0.2": cifar("ieg", 10, "uniform", 0.2, published=96.2),
    "ieg_cifar10_uniform_0.4": cifar("ieg", 10, "uniform", 0.4, published=95.9),
    "ieg_cifar10_uniform_0.8": cifar("ieg", 10, "uniform", 0.8, published=93.7),
    "ieg_cifar100_uniform_0.2": cifar("ieg", 100, "uniform", 0.2, published=81.2),
    "ieg_cifar100_uniform_0.4": cifar("ieg", 100, "uniform", 0.4, published=80.2),
    "ieg_cifar100_uniform_0.8": cifar("ieg", 100, "uniform", 0.8, published=75.5),
    "ieg_cifar10_asymmetric_0.2": cifar("ieg", 10, "asymmetric", 0.2, "resnet29"),
    "ieg_cifar10_asymmetric_0.4": cifar("ieg", 10, "asymmetric", 0.4, "resnet29"),
    "l2r_cifar10_uniform_0.4": cifar("l2r", 10, "uniform", 0.4, published=86.9),
    "l2r_cifar100_uniform_0.4": cifar("l2r", 100, "uniform", 0.4, published=61.3),
    "fsr_cifar10_uniform_0.4": cifar("fsr", 10, "uniform", 0.4, flags=FSR_FLAGS),
    "fsr_cifar100_uniform_0.4": cifar("fsr", 100, "uniform", 0.4, flags=FSR_FLAGS),
    "ieg_webvision": Experiment(
        IEG,
        "--method=ieg --dataset=webvisionmini --network_name=resnet50 --use_imagenet_as_eval"
        " --ce_factor=4 --consistency_factor=8 --batch_size=8 --val_batch_size=50"
        " --eval_freq=10000 --max_iteration=1000000",
        80.0,
    ),
}


def expand(arguments):
    """The command line, with the flags of its `--experiment=NAME` or `--experiment NAME` first.

    The size of the probe has two flags: either replaces the size of the experiment.
    """
    names, rest, following = [], [], iter(arguments)
    for argument in following:
        flag, equals, value = argument.partition("=")
        if flag.lstrip("-") == "experiment" and flag.startswith("-"):
            names.append(value if equals else next(following, ""))
        else:
            rest.append(argument)
    for name in names:
        check_choice("experiment", name, tuple(EXPERIMENTS))
        published = EXPERIMENTS[name].flags.split()
        if any(PROBE_SIZE.match(a) for a in rest):
            published = [flag for flag in published if not PROBE_SIZE.match(flag)]
        rest[1:1] = published
    return rest
