"""Issues of the images themselves: duplicates, leakage, outliers, quality, classes.

Files in the directory of a label audit:

  data_issues.csv       a row for each image that has an issue, the one with most issues first
  data_issues.parquet   a row for each image of train and test; see COLUMNS
  noise_rates.csv       estimated noise rates of classes and class pairs, each with its range
"""

ISSUES, TABLE, NOISE_RATES = "data_issues.csv", "data_issues.parquet", "noise_rates.csv"
# Names as in Datalab and cleanvision where they have the issue. Each has a column
# is_<issue>_issue, 1 or 0, and <issue>_score, from 0 (severe) to 1.
ISSUE_TYPES = {
    "label_conflict": "Copies of one image, exact or near, have different labels",
    "leakage": "Copies of one image, exact or near, are in two of train, test and trusted",
    "exact_duplicates": "The same file occurs more than once",
    "near_duplicate": "Another image looks almost the same, such as a resized or re-encoded copy",
    "off_topic": "The image is like none of the classes",
    "outlier": "The image is unlike all others",
    "dark": "Even the brightest parts are dark",
    "light": "Even the darkest parts are bright",
    "blurry": "Edges are blurred",
    "low_information": "Little is to be seen, such as on a blank image",
    "odd_size": "The image is much larger or smaller than most",
    "odd_aspect_ratio": "The image is very long and narrow",
    "underperforming_group": "The model rarely predicts the labels of its group of similar images",
    "class_imbalance": "Its class is much rarer than the others",
}
COLUMNS = {
    "id": "of the example; ids of test images continue those of train",
    "split": "train or test",
    "trusted": "1 for a trusted image",
    "path": "of its file; empty where there was none",
    "given_label": "the given label; of a trusted image the true one",
    "duplicate_set": "a number that copies of one image share; -1 without a copy",
    "group": "the group of similar images of underperforming_group; -1 without one",
}
