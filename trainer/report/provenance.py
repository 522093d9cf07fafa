"""What was run, when, on what and by which command; and the settings that counted."""

import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

from trainer import artifacts, backbones
from trainer.settings.recipes import OF_IMAGES

COMMAND = "IEG_COMMAND"  # environment variable: the command of a pipeline that runs here
PROGRAMS = ("trainer", "pipelines")
OF_SCHEDULE = {
    "decay_steps": ("cosine", "cosine_warmup", "custom_step", "exponential"),
    "decay_rate": ("custom_step", "exponential"),
    "cos_t_mul": ("cosine", "cosine_warmup"),
    "cos_m_mul": ("cosine", "cosine_warmup"),
}
OF_LAYOUT = ("image_cache_gb", "checkpoint_minutes", "val_batch_size")  # they change no result


def command():
    """The command that this process, or the pipeline around it, was started by; "" if not known."""
    if COMMAND in os.environ:
        return os.environ[COMMAND]
    program = Path(sys.argv[0])
    if program.name != "__main__.py" or program.parent.name not in PROGRAMS:
        return ""
    return shlex.join(["python", "-m", program.parent.name, *sys.argv[1:]])


def made(run, dataset, audited_ids, dropped, checkpoints_path):
    """A sentence on a run.

    Args:
      run: Manifest of its checkpoints.
      dataset: Manifest of the prepared dataset.
      audited_ids: int64, of the audited examples; ids of test continue those of train.
      dropped: Number of training images that reviewers dropped.
      checkpoints_path: Their directory; the time of its manifest is that of the training's end.
    """
    config, counts = run["config"], dataset["num_examples"]
    audited = int((audited_ids < counts["train"]).sum())
    trusted = counts["train"] - audited - dropped
    gone = f", {dropped:,} dropped in a review" if dropped else ""
    what = config["network_name"]
    if config["backbone"] != backbones.NONE:
        what = f"{'fine-tuned' if config.get('finetune') else 'a head on'} {config['backbone']}"
    ended = datetime.fromtimestamp(
        (Path(checkpoints_path) / artifacts.MANIFEST).stat().st_mtime, UTC
    )
    return (
        f"{run['method']}, {what}, {config['max_iteration']:,} steps of {config['batch_size']:,}"
        f" images, seed {run['seed']}. {counts['train']:,} training images: {audited:,} with given"
        f" labels, all audited, and {trusted:,} trusted{gone}; {counts['test']:,} test images."
        f" Training took {duration(run['seconds'])} and ended on {ended:%d %B %Y at %H:%M} UTC;"
        f" this page was written on {platform.machine()}, {os.cpu_count()} CPU cores."
    )


def duration(seconds):
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"


def settings_that_counted(config):
    """The settings of a run, without those that another one turned off."""
    unused = set(OF_LAYOUT)
    if config["backbone"] == backbones.NONE:
        unused |= {name for name in config if name.startswith("backbone")}
    else:
        unused |= set(OF_IMAGES) | {"network_name"}
    if not config.get("finetune"):
        unused |= {name for name in config if name.startswith("finetune")}
    unused |= {name for name, kinds in OF_SCHEDULE.items() if config["lr_schedule"] not in kinds}
    for switch, names in {
        "max_epoch": ("max_epoch", "decay_epochs"),
        "audit_folds": ("audit_folds", "audit_fold"),
        "warmup_epochs": ("warmup_epochs",),
        "calibration_per_class": ("calibration_per_class",),
    }.items():
        if not config.get(switch):
            unused |= set(names)
    return {name: value for name, value in config.items() if name not in unused}
