"""The results of a training run in words and numbers, from the manifests of its artifacts."""


def sentence(dataset, run, metrics, audit):
    """The result in words."""
    tested, top1 = dataset["num_examples"]["test"], metrics["test/top1"]
    text = f"Test accuracy of {run['method']}: {top1:.1%} on {tested:,} images"
    if not dataset["test_labels_are_clean"]:
        text = (
            f"{run['method']} agrees with the labels of {top1:.1%} of {tested:,} test images; these"
            " labels may be as noisy as those of training"
        )
    if run["wrong_labels"]:
        return f"{text}. Noise rate of the training labels: {run['wrong_labels']:.1%}."
    rate, low, high = (audit[f"audit/noise_rate_{name}"] for name in ("estimated", "low", "high"))
    return (
        f"{text}. Estimated noise rate of the training labels: {rate:.1%} (between {low:.1%} and"
        f" {high:.1%})."
    )


def headline(dataset, metrics, audit, exported):
    """The most important numbers, by name."""
    clean = dataset["test_labels_are_clean"]
    numbers = {
        "test accuracy" if clean else "agreement with test labels": f"{metrics['test/top1']:.1%}",
        "label issues": f"{audit['num_issues']:,}",
    }
    if "trusted/top1" in exported:
        trusted = f"accuracy on {exported['calibrated_on']} trusted images"
        numbers[trusted] = f"{exported['trusted/top1']:.1%}"
    if "audit/recall" in audit:
        numbers["wrong labels found (recall)"] = f"{audit['audit/recall']:.1%}"
    if "audit/labels_right" in audit:
        before, after = audit["audit/labels_right_before"], audit["audit/labels_right"]
        numbers["true labels, before → after correction"] = f"{before:.1%} → {after:.1%}"
    return numbers | {"calibration error (ECE)": f"{exported['test/ece']:.3f}"}


def calibration_text(dataset, exported):
    """Calibration errors before and after, in words."""
    ece, before = exported["test/ece"], exported["test/ece_before"]
    text = f"Expected calibration error {ece:.3f}. Not calibrated: no trusted images are left."
    if exported["calibrated_on"]:
        text = (
            f"Expected calibration error {before:.3f}, negative log-likelihood"
            f" {exported['test/nll_before']:.3f}; after calibration on {exported['calibrated_on']}"
            f" trusted images {ece:.3f} and {exported['test/nll']:.3f}."
        )
    if not dataset["test_labels_are_clean"]:
        text += " Test labels may be wrong, which makes the model look overconfident."
    return text
