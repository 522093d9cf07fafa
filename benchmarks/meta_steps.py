"""Compares the cheaper meta steps of IEG with the exact one: agreement, accuracy and time.

python -m benchmarks.meta_steps [--dataset=digits_uniform_0.9] [--seeds=0,1,2] [trainer flags]

In a run of the exact method with the first seed, each variant computes the coefficients of the same
batches from the same weights. The table has the rank correlation (Spearman) of dM/dw and of dM/dlam
with the exact ones, and the fraction of equal decisions lam, as means over all steps. The accuracy
is that of separate runs of each variant, at the last step.
"""

import dataclasses
import json
import statistics
import tempfile
from pathlib import Path

import tensorflow as tf
from absl import flags
from tabulate import tabulate

from trainer import command_line, local_run
from trainer.data import request
from trainer.methods import METHODS, ieg
from trainer.methods.losses import fraction
from trainer.training import configuration

DATASET = flags.DEFINE_string("dataset", "digits_uniform_0.9", "as for python -m trainer")
SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "seeds, one run of each variant with each")

VARIANTS = {
    "exact": {},
    "guess stopped": {"stop_guess": True},
    "last layer": {"meta_gradient": "last_layer"},
}
AGREEMENTS = ("rank of w", "rank of lam", "equal lam")


def ranks(values):
    return tf.cast(tf.argsort(tf.argsort(values)), tf.float32)


def rank_correlation(a, b):
    """Spearman's, of float32 (B,) without ties."""
    a, b = (ranks(values) - tf.reduce_mean(ranks(values)) for values in (a, b))
    return tf.reduce_sum(a * b) / (tf.norm(a) * tf.norm(b))


class Compared(ieg.IEG):
    """The exact method, which also reports how far the variants agree with it."""

    scalars = (*ieg.IEG.scalars, *(f"{v}, {a}" for v in VARIANTS for a in AGREEMENTS))

    def meta_step(self, batch, tape, A, z):
        exact, own_config = super().meta_step(batch, tape, A, z), self.config
        for name, variant in VARIANTS.items():
            self.config = dataclasses.replace(own_config, **variant)
            _, *found = super().meta_step(batch, *self.lookahead_loss(batch))
            _, w, lam = exact
            agreements = (
                rank_correlation(w, found[0]),
                rank_correlation(lam, found[1]),
                fraction((lam < 0) == (found[1] < 0)),
            )
            for kind, value in zip(AGREEMENTS, agreements):
                self.means[f"{name}, {kind}"].update_state(value)
        self.config = own_config
        return exact

    def lookahead_loss(self, batch):
        """The tape, the lookahead loss A, and the logits of both views, as in the training step."""
        with tf.GradientTape(persistent=True) as tape:
            z = [self.forward(batch[view], self.theta) for view in ("image", "strong_image")]
            g = ieg.guess_labels(*z)
            g = tf.stop_gradient(g) if self.config.stop_guess else g
            y = self.one_hot(batch["label"])
            A = tf.reduce_mean(self.blended_cross_entropy(y, g, z[0])) + self.regulariser()
        return tape, A, z


def train(method, **settings):
    """The history of a run with the flags and these settings, and its time in seconds."""
    METHODS["ieg"] = method
    dataset, noise, noise_ratio = request.parse(DATASET.value)
    files = request.resolve(DATASET.value, **command_line.given_data())
    settings = command_line.given_training() | {"method": "ieg"} | settings
    settings = configuration.resolve(dataset, **settings)
    with tempfile.TemporaryDirectory() as root:
        rest = dataset, noise, noise_ratio, files, settings, 0, lambda part: None
        local_run.train(Path(root), *rest)
        checkpoints = Path(root) / "checkpoints"
        run = json.loads((checkpoints / "manifest.json").read_text())
        return json.loads((checkpoints / "history.json").read_text()), run["seconds"]


def row(name, agreements, runs):
    last, seconds = [history[-1]["test/top1"] for history, _ in runs], [s for _, s in runs]
    found = {kind: statistics.mean(agreements[f"{name}, {kind}"]) for kind in AGREEMENTS}
    accuracy = f"{100 * statistics.mean(last):.1f} ± {100 * statistics.stdev(last):.1f}"
    return {"meta step": name} | found | {"accuracy, %": accuracy, "s": statistics.median(seconds)}


def main(_):
    seeds = [int(seed) for seed in SEEDS.value]
    history, _ = train(Compared, seed=seeds[0])
    agreements = {key: [line[f"train/{key}"] for line in history] for key in Compared.scalars}
    runs = {v: [train(ieg.IEG, seed=seed, **VARIANTS[v]) for seed in seeds] for v in VARIANTS}
    rows = [row(name, agreements, runs[name]) for name in VARIANTS]
    print(tabulate(rows, headers="keys", tablefmt="github", floatfmt=".3f"))


if __name__ == "__main__":
    command_line.run(main, __doc__, {"Benchmark": ["*dataset", "*seeds"]})
