"""Settings that several methods have."""

from dataclasses import dataclass

from trainer.settings.fields import setting
from trainer.settings.training import TrainSettings


@dataclass(frozen=True)
class StrongViewSettings(TrainSettings):
    """Strong view."""

    aug_type: str = setting(
        "autoaug",
        "strong view: AutoAugment, RandAugment, affine, or default (a second weak view)",
        choices=("autoaug", "randaug", "affine", "default"),
    )


@dataclass(frozen=True)
class LookaheadSettings(TrainSettings):
    """Lookahead."""

    meta_stepsize: float = setting(0.1, "step size of the lookahead", low=0)


@dataclass(frozen=True)
class LookaheadMomentumSettings(LookaheadSettings):
    """Momentum of the lookahead."""

    meta_momentum: float = setting(0.9, "momentum of the lookahead, in [0, 1]", low=0, high=1)


@dataclass(frozen=True)
class LookaheadVariablesSettings(LookaheadSettings):
    """Variables and precision of the lookahead."""

    meta_gradient: str = setting(
        "exact",
        "variables in the lookahead: all (exact) or the last layer's",
        choices=("exact", "last_layer"),
    )
    meta_precision: str = setting(
        "float32",
        "precision of the meta step with --mixed_precision: float32, or that of the network, which"
        " is faster",
        choices=("float32", "network"),
    )
