"""Images of published sets, made upright as their EXIF says."""

from trainer.data.sources import image_check
from trainer.errors import InputError

MARKS = (b"Exif\0\0", b"eXIf")  # before EXIF in JPEG and WEBP, and in PNG


def upright(pairs, place, converted):
    """The pairs with upright images; most images do not change.

    Args:
      pairs: (encoded image, label) of each example.
      place: Their origin, for messages.
      converted: A list; (example, original format) of each converted image is added to it.

    Raises:
      InputError: An image has to be rotated or mirrored, and cannot be decoded.
    """
    for number, (content, label) in enumerate(pairs):
        example = f"{place}, example {number}"
        if any(mark in content for mark in MARKS) and image_check.orientation_of(content) > 1:
            try:
                content, what = image_check.converted(content)
            except image_check.UnfitError as error:
                raise InputError("image", str(error), example) from error
            converted.append((example, what))
        yield content, label
