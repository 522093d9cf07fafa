"""A transition matrix from a CSV file."""

import csv

import numpy as np

from trainer.errors import InputError, listed, printable


def read_matrix(file, class_names):
    """A transition matrix (C, C) in class order, from a CSV file.

    Names in its first row, first column or both give the order of the classes; without names,
    rows and columns are in class order.
    """
    try:
        with open(file, newline="", encoding="utf-8-sig") as stream:
            rows = [[cell.strip() for cell in row] for row in csv.reader(stream) if any(row)]
        cells = np.array(rows, object)
    except (OSError, ValueError, csv.Error) as error:
        rule = f"must be a CSV file of numbers ({error})"
        raise InputError("--noise_file", rule, file) from error
    C, shape = len(class_names), cells.shape
    named = [size == C + 1 for size in shape]  # by a first row; by a first column
    if len(shape) != 2 or not all(size in (C, C + 1) for size in shape):
        rule = f"must have {C} rows of {C} probabilities that sum to 1, with or without class names"
        raise InputError("--noise_file", rule, f"{file}, of shape {shape}")
    first_row, first_column = cells[0, named[1] :], cells[named[0] :, 0]
    orders = [
        order_of(names, class_names, file) if has else None
        for names, has in ((first_column, named[1]), (first_row, named[0]))
    ]
    if not any(named):
        order = printable(listed(class_names))
        print(f"note: noise matrix: rows and columns are in class order, {order}")
    down, across = (a if a is not None else b for a, b in (orders, orders[::-1]))
    try:
        matrix = cells[named[0] :, named[1] :].astype(float)
    except ValueError as error:
        raise InputError("--noise_file", f"must be a CSV file of numbers ({error})", file) from None
    if not (matrix >= 0).all() or not np.allclose(matrix.sum(axis=1), 1, atol=1e-6):
        rule = f"must have {C} rows of {C} probabilities that sum to 1"
        raise InputError("--noise_file", rule, f"{file}, with sums {matrix.sum(axis=1).round(6)}")
    return matrix if not any(named) else matrix[np.ix_(down, across)]


def order_of(names, class_names, file):
    """Position of each class among `names`, which must be the class names."""
    places = {name: i for i, name in enumerate(names)}
    if set(places) != set(class_names):
        lacking = [name for name in class_names if name not in places]
        unknown = [name for name in names if name not in class_names]
        rule = f"must name each class once; missing: {listed(lacking) or 'none'}"
        received = f"{file}, with {listed(unknown) or 'repetitions'}"
        raise InputError("--noise_file", rule, received)
    return [places[name] for name in class_names]
