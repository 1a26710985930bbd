"""`--read OPTION=VALUE`: checked against the readers themselves, and given to those that have it."""

import argparse
from importlib import import_module

import pytest
import test_stb

from handpose.data import READERS, dexter, freihand, interhand, photos, rhd, stb, synth_hands
from handpose.data.options import add_read_argument, check_read, read_arguments, splits_of
from handpose.errors import HandposeError
from regnet.batches import BatchMaker, StreamConfig
from regnet.cli import main
from regnet.progress import HeldOut

VIEWS = "all|stereo|BB_left|BB_right|SK_color"


def test_words_become_the_arguments_of_a_reader():
    words = ["wrist=palm", "corrected=false", "wrist=fingers", "palm=true", "hands=all"]
    assert read_arguments(stb, words) == {"wrist": "fingers"}, "the last one counts"
    assert read_arguments(dexter, words) == {"corrected": False}
    assert read_arguments(rhd, words) == {"palm": True, "hands": "all"}
    assert read_arguments(photos, words) == {}
    check_read(words, [stb, dexter, rhd])


def test_every_reader_can_be_asked_what_it_has():
    for name in READERS:
        reader = import_module(f"handpose.data.{name}")
        with pytest.raises(HandposeError, match=f"^--read x=1: {name} is read with "):
            check_read(["x=1"], [reader])


@pytest.mark.parametrize(
    ("word", "readers", "told"),
    [
        ("wrist=thumb", [stb], f"stb is read with views={VIEWS}, wrist=ring|fingers|palm"),
        ("wrist", [stb], f"stb is read with views={VIEWS}, wrist=ring|fingers|palm"),
        ("split=train", [photos], "photos is read with no options"),
        (
            "palm=yes",
            [rhd, dexter],
            "rhd is read with hands=dominant|all, palm=true|false; dexter is read with corrected=true|false",
        ),
        ("wrist=palm", [], "there is no dataset to read"),
    ],
)
def test_what_no_reader_has_is_one_line_that_tells_what_there_is(word, readers, told):
    with pytest.raises(HandposeError) as caught:
        check_read([word], readers)
    assert str(caught.value) == f"--read {word}: {told}"


def test_a_value_that_a_reader_has_not_is_no_argument():
    with pytest.raises(HandposeError, match="--read views=left: stb is read with"):
        read_arguments(stb, ["views=left"])


def test_splits_are_those_of_the_reader():
    assert splits_of(freihand) == ("train", "held_out") and splits_of(synth_hands) == ()
    assert splits_of(interhand) == ("train", "held_out", "val", "test")


def test_several_words_follow_one_option():
    parser = argparse.ArgumentParser()
    add_read_argument(parser)
    assert parser.parse_args([]).read == [] and parser.parse_args(["--read", "a=1", "b=2"]).read == ["a=1", "b=2"]


def test_training_reads_as_it_is_told(tmp_path, capsys):
    for sequence in ("B1Random", "B2Random"):
        test_stb.write(tmp_path, sequence)
    source, words = (str(tmp_path),), ("views=BB_left",)
    assert BatchMaker(StreamConfig(source, (1.0,), read=words)).datasets[source[0]].n_hands == test_stb.N
    assert HeldOut(source, 128, words).n_photos == test_stb.N
    assert main(["train", "--i", *source, "--o", str(tmp_path / "run"), "--read", "wrist=thumb"]) == 1
    assert "--read wrist=thumb: stb is read with" in capsys.readouterr().err
