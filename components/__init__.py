"""Pipeline components: each is a typed shell around one function of `trainer`."""

from components.apply_review import apply_review
from components.audit_labels import audit_labels
from components.choose_backbone import choose_backbone
from components.compare_runs import compare_runs
from components.embed_images import embed_images
from components.evaluate import evaluate
from components.export_model import export_model
from components.fetch_backbone import fetch_backbone
from components.inject_noise import inject_noise
from components.number_folds import number_folds
from components.prepare_dataset import prepare_dataset
from components.record_status import record_status
from components.split_probe import split_probe
from components.train import train
from components.write_report import write_report

__all__ = [
    "apply_review",
    "audit_labels",
    "choose_backbone",
    "compare_runs",
    "embed_images",
    "evaluate",
    "export_model",
    "fetch_backbone",
    "inject_noise",
    "number_folds",
    "prepare_dataset",
    "record_status",
    "split_probe",
    "train",
    "write_report",
]
