"""Settings of every training. Settings of one method are in its file in `trainer.methods`."""

import dataclasses
import math
from dataclasses import dataclass

from trainer.settings.fields import setting

SMALLEST_CROP = 8  # pixels


def folds_rule(value):
    return "must be 0, or 2 or more: a run on the other folds predicts each fold" * (value == 1)


def crop_rule(value):
    return f"must be 0, or {SMALLEST_CROP} or more pixels" * (0 < value < SMALLEST_CROP)


def above_zero(value):
    return "" if 0 < value < math.inf else "must be above 0"


def steps_rule(value):
    valid = all(part.strip().isdigit() and int(part) > 0 for part in value.split(","))
    return "" if valid else "must be numbers above 0 with commas between them"


@dataclass(frozen=True)
class RunSettings:
    """Run."""

    method: str = setting("ieg", "training method", short=True)
    network_name: str = setting("wrn28-10", "network", short=True)
    seed: int = setting(
        0,
        "seed of label noise, trusted set, weights, order and augmentation",
        low=0,
        high=2**31 - 1,
        short=True,
    )
    max_iteration: int = setting(200_000, "training steps", low=1, short=True)
    max_epoch: int = setting(0, "epochs to train instead of max_iteration steps; 0: none", low=0)
    batch_size: int = setting(
        100,
        "training examples per step and replica; all, if there are fewer",
        low=1,
        short=True,
    )
    val_batch_size: int = setting(100, "test examples per step", low=1)
    eval_freq: int = setting(500, "steps between tests, each with a checkpoint", low=1)
    test_raw_weights: bool = setting(
        False,
        "tests during training: test the raw weights as well as the EMA weights, which takes twice"
        " the time",
    )
    checkpoint_minutes: float = setting(
        5.0, "minutes between checkpoints where tests are rarer; 0: at tests only", low=0
    )
    jit_compile: bool = setting(
        False,
        "compile the training step with XLA; XDG_CACHE_HOME, ~/.cache unless given, keeps it for"
        " later runs",
    )
    mixed_precision: str = setting(
        "float32",
        "precision of the network in training; the meta step and tests stay in float32",
        choices=("float32", "bfloat16", "float16"),
    )


@dataclass(frozen=True)
class OptimizerSettings:
    """Optimizer and learning rate."""

    optimizer: str = setting(
        "momentum",
        "momentum: SGD; muon: orthogonalised steps for convolution kernels",
        choices=("momentum", "muon"),
    )
    momentum: float = setting(0.9, "momentum of SGD, in [0, 1]", low=0, high=1)
    learning_rate: float = setting(
        0.1, "learning rate at the start, or at the end of the warm-up", low=0, short=True
    )
    lr_schedule: str = setting(
        "cosine",
        "cosine: with restarts; cosine_warmup: the same; cosine_one: one cosine to 0;"
        " custom_step: drops; exponential",
        choices=("cosine", "cosine_warmup", "cosine_one", "custom_step", "exponential"),
    )
    decay_steps: str = setting(
        "500",
        "cosine: steps of the first cycle; custom_step: comma list of drops; exponential: period",
        rule=steps_rule,
    )
    decay_epochs: str = setting(
        "1", "decay_steps in epochs, where max_epoch is given", rule=steps_rule
    )
    decay_rate: float = setting(0.1, "custom_step: factor of each drop", low=0)
    cos_t_mul: float = setting(1.5, "cosine: growth of a cycle's length", low=1)
    cos_m_mul: float = setting(0.9, "cosine: growth of a cycle's peak", low=0)
    warmup_epochs: int = setting(0, "epochs over which the learning rate rises from 0", low=0)
    clip_norm: float = setting(
        0.0, "global norm to which gradients are clipped; 0: no clipping", low=0
    )
    ema_decay: float = setting(0.999, "highest decay of the EMA weights, in [0, 1]", low=0, high=1)


@dataclass(frozen=True)
class ViewSettings:
    """Images and weak augmentation."""

    image_size: int = setting(
        0,
        "side in pixels of the crops that the network sees; 0: images of one size up to 64 pixels"
        " are seen whole, others in crops of 224",
        low=0,
        high=4096,
        rule=crop_rule,
        short=True,
    )
    crop_padding: int = setting(2, "weak augmentation: pixels of padding before the crop", low=0)
    horizontal_flip: bool = setting(True, "weak augmentation: mirror half of the images")
    image_cache_gb: float = setting(
        8.0, "GB per split up to which decoded whole images are kept in memory", low=0
    )


@dataclass(frozen=True)
class BackboneSettings:
    """Backbone."""

    backbone: str = setting(
        "none",
        "pretrained network of whose embeddings a head is trained: efficientnet_lite0, keras:<Name>"
        " as in keras.applications, hub:<preset> of KerasHub, or a .keras file from images to"
        " vectors; none: from scratch; auto: by held-out trusted images, not in a sweep",
        short=True,
    )
    backbone_weights: str = setting(
        "",
        "keras:<Name>: .h5 file of weights without the classifier; Keras downloads them unless"
        " given",
        path=True,
    )
    backbone_image_size: int = setting(
        0,
        "side in pixels of the images that the backbone takes; 0: its own, such as 224",
        low=0,
        high=4096,
        rule=crop_rule,
    )
    backbone_views: int = setting(
        1,
        "views of each training image that are embedded: as tests see it, others by weak"
        " augmentation",
        low=1,
    )


@dataclass(frozen=True)
class FinetuningSettings:
    """Fine-tuning."""

    finetune: bool = setting(
        False,
        "train the backbone and the head from images, after the head alone on embeddings",
    )
    finetune_image_size: int = setting(
        96,
        "side in pixels of the images in fine-tuning, of the smaller ones where the backbone sees"
        " two sizes; others embed at the same side unless backbone_image_size is given",
        low=SMALLEST_CROP,
        high=4096,
    )
    finetune_epochs: int = setting(4, "epochs of fine-tuning", low=1)
    finetune_batch_size: int = setting(
        64, "training examples per step and replica in fine-tuning", low=1
    )
    finetune_learning_rate: float = setting(
        0.1, "learning rate of the head in fine-tuning, at the start", rule=above_zero
    )
    backbone_learning_rate: float = setting(
        0.001, "learning rate of the backbone in fine-tuning, at the start", low=0
    )


@dataclass(frozen=True)
class AuditSettings:
    """Audit and calibration."""

    audit_folds: int = setting(
        0,
        "train this many further runs, each without one fold, and audit that fold's labels with it;"
        " 0: audit by the run itself, small sets by leave-one-out",
        low=0,
        rule=folds_rule,
    )
    audit_fold: int = setting(-1, "train: number of the fold to leave out; -1: none", low=-1)
    calibration_per_class: int = setting(
        0,
        "trusted images per class that calibrate probabilities instead of being trained on",
        low=0,
    )


@dataclass(frozen=True)
class TrainSettings(
    AuditSettings,
    FinetuningSettings,
    BackboneSettings,
    ViewSettings,
    OptimizerSettings,
    RunSettings,
):
    """Settings of one training; the defaults are those of the first IEG release.

    The settings of a method are a subclass, so that all settings of a run are in one flat object.
    """

    @property
    def on_embeddings(self):
        """Whether the network sees embeddings in place of images."""
        return self.backbone != "none" and not self.finetune


def groups(settings_class):
    """Settings by the class that declares them: [(class, its fields)], general ones first."""
    fields = {field.name: field for field in dataclasses.fields(settings_class)}
    found = []
    for owner in reversed(settings_class.__mro__):
        own = [fields[name] for name in vars(owner).get("__annotations__", {}) if name in fields]
        if own:
            found.append((owner, own))
    return found
