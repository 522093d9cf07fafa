"""A trained run as a model to serve: image files in, calibrated probabilities out.

<exported_model>/
  saved_model/     needs TensorFlow alone; image_bytes string (B,), JPEG or PNG, to probabilities
                   float32 (B, C), class string (B,) and confidence (B,), its probability; JPEG is
                   made upright as its EXIF says, transparent PNG laid on white
  model.keras      the network with EMA weights, of Keras's own layers: from images in [-1, 1]
                   to logits, without preprocessing and calibration; with a backbone of which
                   all or a part is frozen from images with values of 0 to 255; layers of
                   KerasHub need it
  model_card.md    data, training, test results and limits, for people
  manifest.json    class_names, temperature, accuracy, calibration before and after
"""

from functools import partial
from pathlib import Path

import jinja2
import keras
import tensorflow as tf
from scipy.special import softmax

from trainer import artifacts
from trainer.backbones import fetch
from trainer.backbones.loaded import FEATURES
from trainer.backbones.seen import resized
from trainer.data import orientation, partly_embedded, probe, records, views
from trainer.errors import InputError
from trainer.evaluation import calibration, predictions
from trainer.networks.batch_norm import FusedBatchNorm
from trainer.networks.fine_tuned import GREY_LEVELS, KEPT, FrozenStatistics
from trainer.training import fit

CARD = Path(__file__).with_name("model_card.md.jinja")


class Served(tf.Module):
    """The function that is served, with everything that it needs.

    Args:
      network: Keras model from images to logits.
      class_names: C names.
      seen: Function from files, string (B,), to what the network sees of them.
      temperature: Divides the logits.
    """

    def __init__(self, network, class_names, seen, temperature):
        super().__init__()
        self.network, self.class_names = network, tf.constant(class_names)
        self.seen, self.temperature = seen, temperature

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def __call__(self, image_bytes):
        with tf.device("CPU"):
            files = tf.map_fn(orientation.as_seen, image_bytes)
            images = self.seen(files)
        p = tf.nn.softmax(self.network(images, training=False) / self.temperature)
        best = tf.argmax(p, axis=1)
        names = tf.gather(self.class_names, best)
        return {"probabilities": p, "class": names, "confidence": tf.reduce_max(p, axis=1)}


def export(
    dataset_path,
    probe_split_path,
    checkpoints_path,
    output_path,
    backbone_path=None,
    embeddings_path=None,
):
    """Writes a model to serve.

    Args:
      dataset_path: Directory of the prepared dataset.
      probe_split_path: Directory of the probe split: trusted examples that training has not used
        give the temperature; where there are none, it is 1.
      checkpoints_path: Directory of the finished run.
      output_path: Directory to write.
      backbone_path: Directory of the backbone, where there is one.
      embeddings_path: Directory of the embeddings of the images, where there are some.

    Returns:
      The manifest.
    """
    dataset = records.read_manifest(dataset_path)
    method, run = fit.restore(checkpoints_path, embeddings_path)
    artifacts.check_parent(run, dataset)
    _, _, split = probe.read_split(probe_split_path, dataset)
    names = dataset["class_names"]
    facts = {"class_names": names}
    facts |= calibrated(dataset_path, method, probe.held_out(probe_split_path, dataset, method))
    network, parents = fit.averaged_network(method), [dataset, split, run]
    of_keras = of_keras_alone(network)
    if "backbone" in run:
        facts["backbone"] = run["backbone"]
    kept = method.config.finetune and partly_embedded.kept_size(method.embeddings_path)
    if method.config.on_embeddings or kept:
        backbone, embeddings = composed_from(backbone_path, method.embeddings_path)
        network = of_keras = compose(backbone, of_keras, kept)
        seen = seen_by_backbone(embeddings)
        parents.append(embeddings)
    else:
        side = views.crop_side(dataset, method.config)
        seen = partial(views.as_tested, shape=run["image_shape"], side=side)
    with artifacts.writing(output_path) as directory:
        served = Served(network, names, seen, facts["temperature"])
        tf.saved_model.save(served, str(directory / "saved_model"), signatures=served.__call__)
        of_keras.save(directory / "model.keras")
        learned = probe.learned_from(run["probe_per_class"], method)
        (directory / "model_card.md").write_text(card(dataset, run, facts, learned))
        parents = {m["kind"]: m for m in parents}
        return artifacts.finish(directory, artifacts.EXPORTED_MODEL, parents, **facts)


def composed_from(backbone_path, embeddings_path):
    """The network of the backbone, and the manifest of the embeddings that it made."""
    if not backbone_path:
        rule = "must be given for a run that was trained on embeddings"
        raise InputError(artifacts.BACKBONE, rule, backbone_path)
    embeddings = artifacts.read(embeddings_path, artifacts.EMBEDDINGS)
    artifacts.check_parent(embeddings, fetch.read(backbone_path))
    return fetch.read_network(backbone_path), embeddings


def compose(backbone, network, kept):
    """One network of the backbone and what was trained; embeddings pass in half precision.

    Args:
      backbone: Model from images (B, S, S, 3), 0..255, to embeddings.
      network: Model from embeddings to logits; if it keeps numbers of them, a fine-tuned one.
      kept: How many.
    """
    images = backbone.input
    made = backbone.get_layer(FEATURES)(images) if kept else backbone(images)
    made = keras.ops.cast(keras.ops.cast(made, "float16"), "float32")  # as in training
    if kept:
        inputs = [network.get_layer(name).output for name in (GREY_LEVELS, KEPT)]
        logits = keras.Model(inputs, network.output, name="fine_tuned")([images, made])
    else:
        logits = network(made)
    return keras.Model(images, logits, name="backbone_and_head")


def seen_by_backbone(embeddings):
    """A function from files to images as the backbone takes them; see `Served`."""
    shape, crop_side = embeddings["image_shape"], embeddings["crop_side"]
    side = embeddings["backbone"]["image_side"]
    return lambda files: resized(views.as_tested(files, shape, crop_side), side)


def calibrated(dataset_path, method, held_out):
    """The temperature, fitted on trusted images, and the accuracy and calibration that result."""
    temperature, trusted = 1.0, {}
    if len(held_out):
        labels = records.read_clean_labels(dataset_path)[held_out]
        z = predictions.predict_logits(dataset_path, method, "train", held_out)
        temperature = calibration.fit_temperature(z, labels)
        trusted = {"trusted/top1": float((z.argmax(1) == labels).mean())}
    labels = records.read_labels(dataset_path, "test")
    z = predictions.predict_logits(dataset_path, method, "test")
    before, after = (
        calibration.ece_and_nll(z, labels),
        calibration.ece_and_nll(z / temperature, labels),
    )
    return {
        "temperature": temperature,
        "calibrated_on": len(held_out),
        **trusted,
        "test/top1": float((z.argmax(1) == labels).mean()),
        **{f"test/{name}_before": value for name, value in before.items()},
        **{f"test/{name}": value for name, value in after.items()},
        "reliability": {
            "before calibration": calibration.reliability_bins(softmax(z, axis=1), labels),
            "after calibration": calibration.reliability_bins(
                softmax(z / temperature, axis=1), labels
            ),
        },
    }


def of_keras_alone(network):
    """The same network from Keras's own layers, so that it loads without this package."""

    def own(layer):
        config = layer.get_config()
        if isinstance(layer, FusedBatchNorm):
            kept = {name: config[name] for name in ("name", "momentum", "epsilon")}
            return keras.layers.BatchNormalization(**kept, dtype="float32")
        if isinstance(layer, FrozenStatistics):
            # Resizing tells the layers after it that they are trained, where nobody has said so.
            return keras.layers.BatchNormalization.from_config(config | {"trainable": False})
        free = {name: None for name in config if name.endswith("_regularizer")}
        return layer.__class__.from_config(config | free)

    copy = keras.models.clone_model(network, clone_function=own)
    for layer, original in zip(copy.layers, network.layers, strict=True):
        layer.set_weights(original.get_weights())
    return copy


def card(dataset, run, facts, learned):
    """The model card, as Markdown.

    Args:
      dataset: Manifest of the prepared dataset.
      run: Manifest of the checkpoints.
      facts: Entries of the manifest of the exported model.
      learned: Number of trusted images per class that training used.
    """
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True)
    facts = {"dataset": dataset, "run": run, "facts": facts, "learned": learned}
    backbone = facts["backbone"] = facts["facts"].get("backbone")
    facts["has_frozen_part"] = backbone and (
        not run["config"]["finetune"] or "kept_size" in backbone
    )
    return environment.from_string(CARD.read_text()).render(facts)
