"""Images of published sets: as they were encoded there, but turned as their EXIF says."""

from trainer.data.sources import image_check
from trainer.errors import InputError

MARKS = (b"Exif\0\0", b"eXIf")  # before EXIF in JPEG and WEBP, and in PNG


def upright(pairs, place, converted):
    """The pairs with images that show what people see; most pass through as they are.

    Args:
      pairs: (encoded image, label) of each example.
      place: Where they are from, for messages.
      converted: A list, to which (which example, what it was) of each turned image is added.

    Raises:
      InputError: An image has to be turned, and cannot be decoded.
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
