"""Files of many formats are stored as people see them, and training decodes the same."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from trainer.data.sources import image_check

PIXELS = np.random.default_rng(0).integers(256, size=(20, 30, 3)).astype(np.uint8)
IMAGE = Image.fromarray(PIXELS)
DEEP = Image.fromarray((PIXELS[..., 0].astype(np.uint16) << 8) + 7)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def turned(orientation):
    exif = Image.Exif()
    exif[image_check.ORIENTATION] = orientation
    return {"exif": exif}


def chunk(kind, content, crc=None):
    checksum = zlib.crc32(kind + content) if crc is None else crc
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def deep_png(values, bits=0):
    """A PNG file of 16 bits a sample, which declares how many of them are used."""
    png = tf.io.encode_png(values if values.ndim == 3 else values[..., np.newaxis]).numpy()
    said = chunk(b"sBIT", bytes([bits] * (1 if values.ndim == 2 else 3))) if bits else b""
    return png[:33] + said + png[33:]


def deep_tiff(values, *tags):
    """A TIFF file of grey values, uint16, with more tags (number, value)."""
    H, W = values.shape
    height_and_width = [(256, W), (257, H), (258, 16), (259, 1), (262, 1), (277, 1), (278, H)]
    tags = {**dict(height_and_width), 273: 0, 279: 2 * H * W, **dict(tags)}
    tags[273] = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4)
    return head + values.astype("<u2").tobytes()


PREVIEW = {"save_all": True, "append_images": [IMAGE.resize((10, 10))]}
AS_IT_IS = {
    "JPEG": encoded(IMAGE, "JPEG"),
    "MPO": encoded(IMAGE, "MPO", **PREVIEW),
    "upright": encoded(IMAGE, "JPEG", **turned(1)),
    "orientation that there is not": encoded(IMAGE, "JPEG", **turned(9)),
    "broken EXIF": encoded(IMAGE, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"),
    "PNG": encoded(IMAGE, "PNG"),
    "palette": encoded(IMAGE.quantize(), "PNG"),
    "one bit": encoded(IMAGE.convert("1"), "PNG"),
    "grey and alpha": encoded(IMAGE.convert("LA"), "PNG"),
    "opaque": encoded(IMAGE.convert("RGBA"), "PNG"),
    "16 bits of each colour": deep_png((PIXELS.astype(np.uint16) << 8) + 7),
}


@pytest.mark.parametrize("name", AS_IT_IS)
def test_what_tensorflow_sees_as_people_do_is_stored_as_it_is(name):
    content = AS_IT_IS[name]
    assert image_check.fitted(content) is content
    assert image_check.check(name, lambda _: content)[:2] == (20, 30)


SEEN = {
    "turned JPEG": (encoded(IMAGE, "JPEG", **turned(6)), None),
    "turned MPO": (encoded(IMAGE, "MPO", **PREVIEW, **turned(3)), None),
    "CMYK": (encoded(IMAGE.convert("CMYK"), "JPEG"), None),
    "lossy WEBP": (encoded(IMAGE, "WEBP"), None),
    "turned WEBP": (encoded(IMAGE, "WEBP", lossless=True, **turned(8)), np.rot90(PIXELS)),
    "turned PNG": (encoded(IMAGE, "PNG", **turned(6)), np.rot90(PIXELS, 3)),
    "turned TIFF": (encoded(IMAGE, "TIFF", tiffinfo={0x0112: 3}), np.rot90(PIXELS, 2)),
    "BMP": (encoded(IMAGE, "BMP"), PIXELS),
    "TIFF": (encoded(IMAGE, "TIFF"), PIXELS),
    "moving PNG": (encoded(IMAGE, "PNG", save_all=True, append_images=[IMAGE.rotate(9)]), PIXELS),
    "16 bits, PNG": (encoded(DEEP, "PNG"), PIXELS[..., :1].repeat(3, 2)),
    "16 bits, TIFF": (encoded(DEEP, "TIFF"), PIXELS[..., :1].repeat(3, 2)),
    "GIF": (encoded(IMAGE.quantize(), "GIF"), np.asarray(IMAGE.quantize().convert("RGB"))),
}


def pgm(values):
    return b"P5 %d %d 4095\n" % values.shape[::-1] + values.astype(">u2").tobytes()


HIDING = IMAGE.copy()
HIDING.putalpha(Image.fromarray(np.tile(np.uint8([0, 255, 128]), (20, 10))))
ON_WHITE = np.where(np.tile([0, 1, 1], 10)[:, np.newaxis], PIXELS, 255)
ON_WHITE[:, 2::3] = np.rint((PIXELS[:, 2::3] * 128.0 + 255 * 127) / 255)
CLEAR = encoded(IMAGE.quantize(4), "PNG", transparency=0)
TRANSPARENT = {
    "PNG": encoded(HIDING, "PNG"),
    "WEBP": encoded(HIDING, "WEBP", lossless=True, exact=True),
    "TIFF": encoded(HIDING, "TIFF"),
    "16 bits": deep_png(np.asarray(HIDING).astype(np.uint16) * 257),
}


@pytest.mark.parametrize("name", TRANSPARENT)
def test_transparent_parts_are_laid_on_white(name):
    stored, what = image_check.converted(TRANSPARENT[name])
    assert what.endswith("transparent parts, laid on white")
    found = tf.io.decode_png(stored, channels=3).numpy().astype(int)
    assert np.abs(found - ON_WHITE).max() <= 1


def test_a_transparent_colour_of_a_palette_or_of_grey():
    grey = Image.fromarray(np.tile(np.uint8([9, 200]), (10, 6)))
    for content in (encoded(grey, "PNG", transparency=9), CLEAR):
        stored = image_check.fitted(content)
        with Image.open(io.BytesIO(content)) as image:
            clear = np.asarray(image.convert("RGBA"))[..., 3] == 0
        assert (tf.io.decode_png(stored, channels=3).numpy()[clear] == 255).all()
        assert clear.any() and not clear.all()


def test_a_transparent_colour_of_16_bits():
    values = np.full((10, 12, 3), 40_000, np.uint16)
    values[:, :6] = 513
    for shown in (values, values[..., 0]):
        png = deep_png(shown)
        clear = chunk(b"tRNS", b"\x02\x01" * (3 if shown.ndim == 3 else 1))
        stored, what = image_check.converted(png[:33] + clear + png[33:])
        assert what.endswith("transparent parts, laid on white")
        found = tf.io.decode_png(stored, channels=3).numpy()
        assert (found[:, :6] == 255).all() and (found[:, 6:] == 156).all()


def test_a_tiff_whose_zero_is_white():
    values = PIXELS[..., 0].astype(np.uint16) << 8
    stored = image_check.fitted(deep_tiff(values, (262, 0)))
    np.testing.assert_array_equal(tf.io.decode_png(stored)[..., 0], 255 - PIXELS[..., 0])


TWELVE = (PIXELS[..., 0].astype(np.uint16) << 4) + 3
USED = {
    "PNG that says 12 bits": (deep_png(TWELVE, 12), "PNG of 12 bits"),
    "colours of 12 bits": (deep_png((PIXELS.astype(np.uint16) << 4) + 3, 12), "PNG of 12 bits"),
    "12 bits scaled to 16": (deep_png(TWELVE << 4, 12), "PNG of 16 bits"),
    "PGM of 12 bits": (pgm(TWELVE), "PPM of 16 bits"),
    "TIFF that says 12 bits": (deep_tiff(TWELVE, (281, 4095)), "TIFF of 12 bits"),
}


@pytest.mark.parametrize("name", USED)
def test_samples_of_more_bits_are_scaled_by_the_range_they_use(name):
    content, said = USED[name]
    stored, what = image_check.converted(content)
    assert what == said
    found = tf.io.decode_png(stored, channels=3).numpy()
    np.testing.assert_array_equal(
        found, PIXELS if "colours" in name else PIXELS[..., :1].repeat(3, 2)
    )


def test_an_image_that_becomes_dark_is_reported():
    dark = "of 16 bits that becomes dark (no value above 4083; scale them to 65535)"
    colours = deep_png((PIXELS.astype(np.uint16) << 4) + 3)
    for content in (deep_png(TWELVE), deep_tiff(TWELVE), colours):
        assert image_check.check("a", lambda _, content=content: content)[4].endswith(dark)


@pytest.mark.parametrize("name", SEEN)
def test_other_formats_are_converted(name):
    content, expected = SEEN[name]
    stored = image_check.fitted(content)
    found = tf.io.decode_png(stored, channels=3).numpy()
    height, width, digest, fault, converted = image_check.check(name, lambda _: content)
    assert (height, width, 3) == found.shape
    assert (digest, fault) == (image_check.digest(content), "")
    assert converted
    with Image.open(io.BytesIO(content)) as image:
        shown = ImageOps.exif_transpose(image).convert("RGB") if expected is None else expected
    np.testing.assert_array_equal(found, shown)
    assert image_check.check(name, lambda _: stored)[3:] == ("", "")


def test_a_large_photograph_stays_small():
    large = IMAGE.resize((1600, 1200), Image.BICUBIC)
    content = encoded(large, "JPEG", quality=90, **turned(6))
    stored = image_check.fitted(content)
    found = tf.io.decode_jpeg(stored).numpy().astype(int)
    with Image.open(io.BytesIO(content)) as image:
        shown = np.asarray(ImageOps.exif_transpose(image)).astype(int)
    assert np.abs(found - shown).mean() < 2
    assert len(stored) < 3 * len(content)


def with_wrong_crc(png):
    at = png.index(b"IDAT")
    end = at + 4 + struct.unpack(">I", png[at - 4 : at])[0]
    return png[:end] + b"\0\0\0\0" + png[end + 4 :]


PNG, JPEG = AS_IT_IS["PNG"], AS_IT_IS["JPEG"]
FAULTS = {
    "no end": (PNG[:-12], "cannot be decoded by TensorFlow (Invalid PNG data"),
    "wrong CRC": (with_wrong_crc(PNG), "cannot be decoded by TensorFlow (Invalid PNG data"),
    "a chunk of its own": (PNG[:33] + chunk(b"ABCD", b"x") + PNG[33:], "cannot be decoded by"),
    "half a JPEG": (JPEG[: len(JPEG) // 2], "cannot be decoded ("),
    "half a TIFF": (encoded(IMAGE, "TIFF")[:-200], "cannot be decoded (image file is truncated"),
    "nothing": (b"", "cannot be decoded (it is no image of a known format)"),
    "HEIC": (b"\0\0\0\x18ftypheic" + bytes(50), "is HEIC; save it as JPEG or PNG"),
    "numbers": (
        encoded(Image.fromarray(PIXELS[..., 0].astype(np.float32)), "TIFF"),
        "is of 32 bits",
    ),
    "a dot": (encoded(Image.new("L", (7, 9)), "BMP"), "is not of 8 to 10000 pixels a side"),
}


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    assert image_check.check(tmp_path / "a.png")[3] == "is no file, but a device or pipe"


@pytest.mark.parametrize("name", FAULTS)
def test_a_bad_image_is_reported_with_its_reason(name):
    content, fault = FAULTS[name]
    assert image_check.check(name, lambda _: content)[3].startswith(fault)
    with pytest.raises(image_check.UnfitError):
        image_check.fitted(content)
