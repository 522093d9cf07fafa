"""Defaults for single datasets, which replace the general ones; a method's recipe replaces both."""

# A user's own images, in minutes on a laptop. The learning rate is for methods without a recipe.
OWN_IMAGES = {
    "method": "robust",
    "backbone": "efficientnet_lite0",
    "network_name": "convnet",
    "max_iteration": 1200,
    "learning_rate": 0.05,
    "lr_schedule": "cosine_one",
    "warmup_epochs": 1,
    "meta_start_epoch": 3,
    "eval_freq": 100,
    "image_size": 64,
}
# 600 steps of 100 from 10 trusted images per class at 90% uniform noise: `make demo`.
DIGITS = {
    "network_name": "convnet",
    "max_iteration": 600,
    "lr_schedule": "cosine_one",
    "consistency_factor": 5.0,
    "eval_freq": 100,
    "aug_type": "affine",
    "crop_padding": 1,
    "horizontal_flip": False,
    "rotation_weight": 0.0,
    "strong_fraction": 1.0,
    "queue_capacity": 500,
    "queue_bs": 100,
    "meta_start_epoch": 5,
}
# Of a head on embeddings, whatever the dataset and the method: there are no pixels to change.
ON_EMBEDDINGS = {
    "network_name": "head",
    "aug_type": "default",
    "rotation_weight": 0.0,
    "transition_estimate": "cross_fitted",
}
OF_IMAGES = (
    "network_name",
    "aug_type",
    "rotation_weight",
    "image_size",
)  # settings that mean nothing there
RECIPES = {"image_folder": OWN_IMAGES, "csv": OWN_IMAGES, "digits": DIGITS}
