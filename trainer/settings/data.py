"""Settings of the data: where images are, noise from a file, the probe."""

from dataclasses import dataclass

from trainer.settings.fields import setting

WEBVISION_RELEASE = "gs://gresearch/ieg/webvisionmini2.zip"
NOISES = ("none", "uniform", "asymmetric", "pair", "instance", "matrix", "human")


def column_rule(value):
    return "" if value else "must name a column"


@dataclass(frozen=True)
class DataSettings:
    """Data."""

    data: str = setting(
        "",
        "where the images are; image_folder: directory of <class>/<file>, or of train/ and test/"
        " with these;"
        " csv: CSV or JSON file with columns path and label, optional split and trusted;"
        " cifar10, cifar100: directory of the published files;"
        f" webvisionmini: directory or zip archive, ieg/data or {WEBVISION_RELEASE} unless given;"
        " a path or gs://<bucket>/<name>",
        short=True,
        path=True,
    )
    trusted: str = setting(
        "",
        "directory of <class>/<file> with true labels, the trusted set",
        short=True,
        path=True,
    )
    test: str = setting(
        "", "directory of <class>/<file> to test on; a fifth is held out unless given", path=True
    )
    probe_per_class: int = setting(
        10,
        "trusted images per class (the probe set); 100 of cifar10, <n> of webvisionmini_<n>",
        low=0,
        short=True,
    )
    probe_dataset_hold_ratio: float = setting(
        0.0,
        "trusted images as a fraction of the training images, in [0, 1]; 0: probe_per_class counts",
        low=0,
        high=1,
    )
    label_column: str = setting(
        "label",
        "csv: column of the given label; noise human: name of the labels, such as worse_label",
        rule=column_rule,
    )
    clean_label_column: str = setting(
        "", "csv: column of the true label, for trusted set and metrics"
    )
    annotator_column: str = setting(
        "", "csv: column of the annotators; CROWDLAB joins the labels of an image"
    )
    label_case: str = setting(
        "fail",
        "class names that differ in case, joined words or number format: fail, join or keep apart",
        choices=("fail", "join", "keep"),
    )
    bad_images: str = setting(
        "fail", "image files that cannot be used: fail or skip", choices=("fail", "skip")
    )
    noise_file: str = setting(
        "",
        "noise matrix: CSV transition matrix; asymmetric: JSON map of class names; human: label"
        " file of CIFAR-10N or CIFAR-100N, .pt or .npy",
        path=True,
    )
    imagenet_val: str = setting(
        "",
        "for --use_imagenet_as_eval: ILSVRC2012_img_val.tar; imagenet2012 in --data unless given",
        path=True,
    )
    tfds_data_dir: str = setting("", "directory of prepared TensorFlow Datasets", path=True)
    beam_runner: str = setting(
        "",
        "Apache Beam runner that prepares and embeds the images, such as DirectRunner or"
        " FlinkRunner",
    )
    beam_options: str = setting("", "options of Beam: name=value, with commas between them")
