"""Class names as people write them: equal names, names that look alike, and their order."""

import re
import unicodedata
from decimal import Decimal

from trainer.errors import InputError

WHOLE = re.compile(r"(-?[0-9]+)\.0*")  # an integer that was once in a column of floats
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]{1,3})?", re.IGNORECASE)
BETWEEN_WORDS = re.compile(r"(?<=\w)[\s_-]+(?=\w)")
# Words that programs write for a missing value; in a table they are no classes.
NO_VALUE = ("nan", "NaN", "-nan", "<NA>", "NaT", "N/A", "n/a", "#N/A", "NULL", "null", "None")
NO_VALUE += ("#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!")
# Words that people write for a missing value, but also for classes.
MAY_BE_NO_VALUE = {
    *("na", "n/a", "#n/a", "<na>", "nan", "-nan", "nat", "null", "none", "nil", "-", "--", "?"),
    *("unknown", "undefined", "missing", "unlabeled", "unlabelled", "no label", "not labeled"),
}
SHOWN = 3  # groups of names in a message


def unified(files, label_case):
    """A table of files whose labels spell each class in one way.

    Args:
      files: `pandas.DataFrame` with the columns label and clean_label, "" where there is none.
      label_case: fail, keep or join, see `trainer.settings.data.DataSettings`.

    Raises:
      InputError: Names look alike, and `label_case` is fail.
    """
    counts = files.label.value_counts()
    counts = counts.reindex(counts.index.union(files.clean_label.unique()), fill_value=0)
    unseen = counts[[bool(name) and not visible(name) for name in counts.index]]
    if len(unseen):
        rule = "must have class names with visible characters; rename this one"
        raise InputError("--data", rule, counted(unseen.rename(ascii)))
    names = {name: written(name, label_case) for name in counts.index}
    counts = counts.groupby(names).sum().drop("", errors="ignore")
    if label_case != "keep":
        alike = [group for _, group in counts.groupby(look) if len(group) > 1]
        if alike and label_case == "fail":
            rule = "must spell a class in one way; --label_case=join makes these one class,"
            rule += " --label_case=keep several"
            raise InputError("--data", rule, "; ".join(map(counted, alike[:SHOWN])))
        joined = {name: group.idxmax() for group in alike for name in group.index}
        names = {old: joined.get(name, name) for old, name in names.items()}
    if all(old == name for old, name in names.items()):
        return files
    return files.assign(**{c: files[c].map(names) for c in ("label", "clean_label")})


def written(name, label_case):
    """A name without outer spaces, accents composed, and 1.0 as 1 unless `label_case` is keep."""
    name = unicodedata.normalize("NFC", name).strip()
    whole = WHOLE.fullmatch(name)
    return whole[1] if whole and label_case != "keep" else name


def visible(text):
    """A text without outer spaces, and without invisible characters such as a zero-width space."""
    return "".join(c for c in text if unicodedata.category(c) != "Cf").strip()


def look(name):
    """A key that is equal for names that look alike.

    Such names differ only in case, in how words are joined, in how a number is written, or in
    characters that are not `visible`.
    """
    if NUMBER.fullmatch(name):
        return str(Decimal(name).normalize())
    name = visible(name)
    return BETWEEN_WORDS.sub(" ", unicodedata.normalize("NFKC", name)).casefold()


def need_keeping(names):
    """Whether a table of these class names keeps them only with `label_case` keep."""
    return (
        len({*map(look, names)}) < len(names)
        or any(name in NO_VALUE for name in names)
        or any(written(name, "fail") != name for name in names)
    )


def doubtful(counts):
    """A note for each name that may stand for a missing label, from counts by name."""
    return [
        f"'{name}' is a class of {count} images; if it stands for a missing label, remove these"
        " images"
        for name, count in counts.items()
        if look(name) in MAY_BE_NO_VALUE
    ]


def counted(names):
    """Text such as "Cat (15) and cat (30)", from counts by name."""
    return " and ".join(f"{name} ({count})" for name, count in names.items())


def natural_order(names):
    """Numbers by their size, then names, with numbers in them by their size: a2 before a10."""
    return sorted(names, key=place)


def place(name):
    if NUMBER.fullmatch(name):
        return 0, Decimal(name), [], name
    parts = re.split("([0-9]+)", name)
    return 1, 0, [int(part) if i % 2 else part for i, part in enumerate(parts)], name
