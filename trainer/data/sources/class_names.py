"""Names of classes as people write them: which are the same, which look alike, their order."""

import re
import unicodedata
from decimal import Decimal

from trainer.errors import InputError

WHOLE = re.compile(r"(-?[0-9]+)\.0*")  # an integer that passed through a column of floats
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]{1,3})?", re.IGNORECASE)
BETWEEN_WORDS = re.compile(r"(?<=\w)[\s_-]+(?=\w)")
# What programs write for a value that is not there; in a table they are no classes.
NO_VALUE = ("nan", "NaN", "-nan", "<NA>", "NaT", "N/A", "n/a", "#N/A", "NULL", "null", "None")
NO_VALUE += ("#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!")
# What people write for it, and for classes as well.
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
        rule = "must have names of classes that can be seen; rename this one"
        raise InputError("--data", rule, counted(unseen.rename(ascii)))
    names = {name: written(name, label_case) for name in counts.index}
    counts = counts.groupby(names).sum().drop("", errors="ignore")
    if label_case != "keep":
        alike = [group for _, group in counts.groupby(look) if len(group) > 1]
        if alike and label_case == "fail":
            rule = "must spell a class in one way; --label_case=join takes these for one class,"
            rule += " --label_case=keep for several"
            raise InputError("--data", rule, "; ".join(map(counted, alike[:SHOWN])))
        joined = {name: group.idxmax() for group in alike for name in group.index}
        names = {old: joined.get(name, name) for old, name in names.items()}
    if all(old == name for old, name in names.items()):
        return files
    return files.assign(**{c: files[c].map(names) for c in ("label", "clean_label")})


def written(name, label_case):
    """A name without spaces around it, its accents composed, and 1.0 as 1 unless they are kept."""
    name = unicodedata.normalize("NFC", name).strip()
    whole = WHOLE.fullmatch(name)
    return whole[1] if whole and label_case != "keep" else name


def visible(text):
    """Without spaces around it, and characters that nobody sees, such as a zero-width space."""
    return "".join(c for c in text if unicodedata.category(c) != "Cf").strip()


def look(name):
    """The same for names that differ in case, in how words are joined or in writing a number.

    What is not `visible` makes no difference either.
    """
    if NUMBER.fullmatch(name):
        return str(Decimal(name).normalize())
    name = visible(name)
    return BETWEEN_WORDS.sub(" ", unicodedata.normalize("NFKC", name)).casefold()


def need_keeping(names):
    """Whether classes of these names are only the same in a table if `label_case` is keep."""
    return (
        len({*map(look, names)}) < len(names)
        or any(name in NO_VALUE for name in names)
        or any(written(name, "fail") != name for name in names)
    )


def doubtful(counts):
    """A note for each name that may stand for no label, of counts by name."""
    return [
        f"'{name}' is taken for a class of {count} images; if it stands for no label, leave these"
        " out"
        for name, count in counts.items()
        if look(name) in MAY_BE_NO_VALUE
    ]


def counted(names):
    """Such as Cat (15) and cat (30), of counts by name."""
    return " and ".join(f"{name} ({count})" for name, count in names.items())


def natural_order(names):
    """Numbers by their size, then names, where the numbers within them count: a2 before a10."""
    return sorted(names, key=place)


def place(name):
    if NUMBER.fullmatch(name):
        return 0, Decimal(name), [], name
    parts = re.split("([0-9]+)", name)
    return 1, 0, [int(part) if i % 2 else part for i, part in enumerate(parts)], name
