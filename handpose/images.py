"""Reading pictures of any kind as RGB uint8, with the rotation that EXIF asks for; and writing them."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from handpose.errors import HandposeError

Image.MAX_IMAGE_PIXELS = None  # phones take 200 megapixels, which Pillow refuses as an attack
_JPEG_QUALITY = 95
_FILM_DIAGONAL_MM = 43.27  # of 36x24 mm
_ON_ITS_SIDE = (5, 6, 7, 8)  # orientations of EXIF
_LENSES_MM = (6.0, 2000.0)  # from fisheyes to telescopes


def read_image(path: Path) -> np.ndarray:
    """Read a picture, (H, W, 3) RGB uint8: grey, palette, RGBA and 16-bit ones are converted.

    Raises HandposeError naming the file where it is missing, truncated or no picture.
    """
    try:
        with Image.open(path) as picture:
            if picture.mode == "F":
                raise ValueError("floating-point numbers, of which none is known to be white")
            picture.load()
            with suppress(Exception):  # damaged EXIF: a rotation that can be read is done before the rest fails
                ImageOps.exif_transpose(picture, in_place=True)
            decoded = np.array(picture if picture.mode.startswith("I") else picture.convert("RGB"))
    except FileNotFoundError as error:
        raise HandposeError(f"{path}: no such file") from error
    except Exception as error:  # damage leads Pillow's decoders into errors of every kind
        raise HandposeError(f"{path}: not a readable picture ({error})") from error
    if decoded.ndim == 3:
        return decoded
    deep = decoded.astype(np.float32)  # 16 bits: Pillow would clip them
    return np.repeat((deep / 257).round().clip(0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def fov_deg(path: Path) -> float | None:
    """Tell the horizontal field of view [deg] of an upright picture by the focal length of film that its EXIF gives; None without one.

    Film and picture are compared by their diagonals, as cameras do (CIPA DCG-001); a picture that was cut smaller shows less than this.
    """
    with suppress(Exception), Image.open(path) as picture:  # damaged EXIF tells nothing
        focal_mm = float(picture.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.FocalLengthIn35mmFilm, 0))
        if _LENSES_MM[0] <= focal_mm <= _LENSES_MM[1]:
            across, other = picture.size
            if picture.getexif().get(ExifTags.Base.Orientation, 1) in _ON_ITS_SIDE:
                across, other = other, across
            return math.degrees(2 * math.atan(across / math.hypot(across, other) * _FILM_DIAGONAL_MM / (2 * focal_mm)))
    return None


def write_image(path: Path, image: np.ndarray) -> None:
    """Write a picture (H, W, 3) RGB uint8, its kind by the extension. Raises HandposeError where that cannot be done."""
    try:
        Image.fromarray(image).save(path, quality=_JPEG_QUALITY)  # other kinds pass it over
    except (OSError, ValueError) as error:
        raise HandposeError(f"{path}: cannot be written ({error})") from error
