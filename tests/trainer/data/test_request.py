import pytest

from trainer.data import request
from trainer.errors import InputError
from trainer.settings.data import WEBVISION_RELEASE, DataSettings


@pytest.mark.parametrize(
    ("dataset", "setting", "scope"),
    [
        ("digits", {"trusted": "checked"}, "image_folder, csv"),
        ("digits", {"tfds_data_dir": "sets"}, "cifar10, cifar100, tfds:<name>"),
        ("digits", {"bad_images": "skip"}, "image_folder, csv"),
        ("image_folder", {"label_column": "kind"}, "csv"),
        ("image_folder", {"annotator_column": "who"}, "csv"),
    ],
)
def test_settings_of_another_dataset(dataset, setting, scope):
    files = request.resolve(dataset, data="" if dataset == "digits" else "photos", **setting)
    message = f"--{next(iter(setting))}: is for {scope}; --dataset is {dataset}"
    with pytest.raises(InputError, match=message):
        request.check(dataset, "none", 0, files)


def test_a_table_has_a_column_of_labels():
    with pytest.raises(InputError, match="--label_column: must name a column"):
        request.resolve("csv", data="t.csv", label_column="")


def test_dataset_names():
    assert request.parse("digits_uniform_0.9") == ("digits", "uniform", 0.9)
    assert request.parse("own_set_asymmetric_0") == ("own_set", "asymmetric", 0.0)
    assert request.parse("tfds:mnist_pair_0.4") == ("tfds:mnist", "pair", 0.4)
    assert request.parse("tfds:cats_vs_dogs") == ("tfds:cats_vs_dogs", "none", 0)
    assert request.parse("image_folder") == ("image_folder", "none", 0.0)
    for name in ("mnist", "digits_uniform", "digits_uniform_x", ""):
        with pytest.raises(InputError, match="--dataset: must be <dataset>_<noise>_<ratio>"):
            request.parse(name)


def test_trusted_examples_of_each_class_by_the_name_of_the_dataset():
    names = ("cifar10_uniform_0.4", "cifar100_uniform_0.4", "webvisionmini", "webvisionmini_20")
    assert [request.probe_per_class(name) for name in names] == [100, 10, 10, 20]
    assert request.parse("webvisionmini_20") == ("webvisionmini", "none", 0)


def test_settings_of_the_data():
    resolved = request.resolve("webvisionmini_5", bad_images="skip")
    assert (resolved.data, resolved.probe_per_class) == (WEBVISION_RELEASE, 5)
    assert resolved.bad_images == "skip"
    none = request.resolve("cifar10_uniform_0.4", probe_dataset_hold_ratio=0.0)
    assert none.probe_per_class == 0
    for given, message in (
        ({"probe_per_class": -1}, "--probe_per_class: must be 0 or more"),
        ({"bad_images": "keep"}, "--bad_images: must be one of fail, skip"),
        ({"datas": "x"}, "--setting: must be one of data, "),
        (
            {"probe_per_class": 3, "probe_dataset_hold_ratio": 0.1},
            "--probe_per_class: sets the same as --probe_dataset_hold_ratio",
        ),
    ):
        with pytest.raises(InputError, match=message):
            request.resolve("digits", **given)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (("cats", "uniform", 0.5), "--dataset: must be one of digits"),
        (("digits", "pink", 0.5), "--noise: must be one of none, uniform, asymmetric, pair"),
        (("digits", "uniform", 1.01), "--noise_ratio: must be 1 or less"),
        (("digits", "uniform", float("nan")), "--noise_ratio: must be 0 or more"),
        (
            ("csv", "uniform", 0.5),
            "--data: must name the images, for image_folder, csv, ",
        ),
    ],
)
def test_wrong_data(data, message):
    request.check("digits", "uniform", 0.5, DataSettings())
    with pytest.raises(InputError, match=message):
        request.check(*data, DataSettings())
