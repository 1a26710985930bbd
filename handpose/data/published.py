"""How many pictures each dataset has according to its authors, or to those who counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Published:
    """Pictures of each part, by what the names of its samples hold after a slash, and who says so; `exact` where they count what we count."""

    parts: dict[str, int]
    source: str
    exact: bool = True


PUBLISHED = {
    "SynthHands": Published(
        {"female_noobject": 46_646, "female_object": 46_830, "male_noobject": 46_830, "male_object": 45_328},
        "counted by users of the release; its page says 63,530",
    ),
    "GANerated": Published(
        {"noObject": 143_449, "withObject": 188_050}, "README of the release; users count 329,396 in all"
    ),
    "RealHands": Published({"user": 28_903}, "Mueller et al. 2018; users count 49,332 pairs in the release"),
    "RHD": Published({"training": 41_258, "evaluation": 2_728}, "Zimmermann and Brox 2017"),
    "STB": Published(
        {"BB_left": 18_000, "BB_right": 18_000, "SK_color": 18_000}, "Zhang et al. 2017: 12 sequences of 1,500"
    ),
    "Dexter+Object": Published(
        {"": 3_014}, "frames, labelled or not, Sridhar et al. 2016; other lists say 3,145", exact=False
    ),
    "EgoDexter": Published({"": 1_485}, "labelled frames of 3,190, Mueller et al. 2017"),
    "FreiHAND": Published(
        {"training": 130_240, "evaluation": 3_960}, "README of the release: 4 x 32,560 to train, 3,960 to evaluate"
    ),
    "InterHand2.6M": Published(
        {"images/train": 1_361_000, "images/val": 380_000, "images/test": 849_000},
        "Moon et al. 2020, in thousands",
        exact=False,
    ),
    "CMU Panoptic hands": Published(
        {
            "manual_train": 1_912,
            "manual_test": 846,
            "synth1": 6_546,
            "synth2": 3_243,
            "synth3": 2_348,
            "synth4": 2_124,
            "imgs": 14_817,
        },
        "READMEs of the releases",
    ),
}


def compared(name: str, folder: Path, pictures: Iterable[str]) -> list[str]:
    """Say in lines how many of the published pictures are there; `pictures` are the names of a dataset's samples in `folder`.

    A dataset of which nothing is published gives no line.
    """
    known = _published(name)
    if known is None:
        return []
    found = count_parts(name, folder, set(pictures))
    if not any(found.values()):
        return [f"none of its published parts: {', '.join(known.parts)}"]
    lines = [f"{part or 'all'}: {_beside(found[part], count, known.exact)}" for part, count in known.parts.items()]
    return [*lines, f"published by: {known.source}"]


def count_parts(name: str, folder: Path, pictures: Iterable[str]) -> dict[str, int]:
    """Count the samples of a dataset in `folder`, given by their names, by its published parts."""
    known = _published(name)
    placed = [f"/{folder.resolve().name}/{picture}" for picture in pictures]
    return {part: sum(f"/{part}" in picture for picture in placed) for part in known.parts} if known else {}


def _published(name: str) -> Published | None:
    return PUBLISHED.get(name.removesuffix("-corrected"))


def _beside(found: int, published: int, exact: bool) -> str:
    """Set a count beside the published one, and say what is too much only where that is `exact`."""
    if not exact:
        return f"{found:,} of about {published:,} published pictures"
    off = found - published
    return f"{found:,} of {published:,} published pictures" + (
        f", {abs(off):,} too {'many' if off > 0 else 'few'}" if off else ""
    )
