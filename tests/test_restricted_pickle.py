"""Pickles are read as data: arrays of every protocol come back, and whatever would run or is no data is refused by name."""

import collections
import contextlib
import os
import pickle
import struct

import numpy as np
import pytest

from handpose.data.restricted_pickle import load_pickle
from handpose.errors import HandposeError

RNG = np.random.default_rng(0)
CONTENT = {
    0: {"xyz": RNG.normal(size=(42, 3)), "uv_vis": RNG.normal(size=(42, 3)).astype(np.float32), "K": np.eye(3)},
    np.int64(1): [
        "text",
        "Jörg",
        b"\x00\xff",
        b"",
        True,
        3,
        2.5,
        np.complex64(1 + 2j),
        np.float32(0.1),
        np.array(["a", "bc"]),
    ],
    "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "strided": np.arange(20, dtype=np.uint8)[::3],
    "swapped": np.arange(4, dtype=">i4"),
    "empty": np.zeros((0, 3)),
}


def loaded(tmp_path, content: bytes):
    path = tmp_path / "anno.pickle"
    path.write_bytes(content)
    return load_pickle(path)


def refused(tmp_path, content: bytes, words: str):
    with pytest.raises(HandposeError, match=f"anno.pickle: no pickle of .*{words}") as caught:
        loaded(tmp_path, content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_data_come_back_whatever_the_protocol(tmp_path, protocol):
    back = loaded(tmp_path, pickle.dumps(CONTENT, protocol))
    np.testing.assert_equal(back, CONTENT)
    assert back[0]["uv_vis"].dtype == np.float32 and back["swapped"].dtype == np.dtype(">i4")
    assert back["columns"].tolist() == [[0, 1, 2], [3, 4, 5]]
    back[0]["xyz"][0] = 1  # the arrays are the reader's own


def test_names_of_numpy_2_are_known(tmp_path):
    old, new = b"cnumpy.core.multiarray\n", b"cnumpy._core.multiarray\n"
    content = pickle.dumps({"a": np.arange(3)}, 2)
    for text in (content.replace(new, old), content.replace(old, new)):
        assert (old in text) != (new in text)
        assert loaded(tmp_path, text)["a"].tolist() == [0, 1, 2]


def test_an_array_of_python_2_is_read(tmp_path):
    """Python 2 wrote the bytes of an array as a text string of 8 bits."""
    raw = np.array([1.5, -2.0]).tobytes()
    content = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01K\x02\x85cnumpy\ndtype\n"
        b"(U\x02f8K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U"
        + bytes([len(raw)])
        + raw
        + b"tb."
    )
    assert loaded(tmp_path, content).tolist() == [1.5, -2.0]


def test_shared_and_self_holding_containers_end(tmp_path):
    array = np.arange(2)
    tower = [array, array]
    for _ in range(60):  # 2**60 leaves, counted naively
        tower = [tower, tower]
    tower.append(tower)
    back = loaded(tmp_path, pickle.dumps(tower))
    assert back[2] is back
    while isinstance(back, list):
        back = back[0]
    assert back.tolist() == [0, 1]


class Command:
    """Pickles as a call."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def test_nothing_is_run(tmp_path):
    witness = tmp_path / "was_here"
    refused(tmp_path, pickle.dumps({0: Command(os.mkdir, str(witness))}), "posix.mkdir|nt.mkdir")
    refused(tmp_path, pickle.dumps([Command(eval, f"__import__('os').mkdir({str(witness)!r})")]), "builtins.eval")
    refused(tmp_path, b"cos\nsystem\n(Vmkdir " + str(witness).encode() + b"\ntR.", "os.system")
    refused(tmp_path, b"(Vmkdir\nios\nsystem\n.", "os.system")
    refused(tmp_path, b"\x80\x04\x8c\x05numpy\x8c\x13core.os.system.name\x93.", "numpy.core.os.system")
    assert not witness.exists()


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (collections.OrderedDict(a=1), "OrderedDict"),
        ({1, 2}, "set"),
        ((1, 2), "tuple"),
        ({"a": None}, "NoneType"),
        ({(1, 2): 3}, "a key is a tuple"),
        (np.array([{}], object), "dtype 'O8'"),
        (np.zeros(2, [("x", "f4")]), "dtype 'V4'"),
        (np.array(["2020-01-01"], "M8[D]"), "dtype 'M8'"),
        (np.dtype("f8"), "Dtype"),
        (np.ndarray, "StandIn"),
        (np.ma.masked_array([1.0]), "numpy.ma"),
    ],
)
def test_other_things_are_refused(tmp_path, thing, words):
    refused(tmp_path, pickle.dumps(thing, 4), words)


def test_numpy_itself_is_not_reached(tmp_path):
    dtype = b"cnumpy\ndtype\n(Vf8\nI0\nI1\ntR"
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntVb\ntR"
    refused(tmp_path, b"cnumpy\nndarray\n((I9\nttR.", "it calls numpy.ndarray")
    refused(tmp_path, array.replace(b"ndarray", b"dtype") + b".", "kind of its own")
    refused(tmp_path, array + b".", "values")  # never given a state
    refused(tmp_path, array + b"(I1\n(I2\nt" + dtype + b"I00\nVtoo short\ntb.", "multiple of element size")
    refused(tmp_path, array + b"(I1\n(I9\nt" + dtype + b"I00\nV12345678\ntb.", "reshape")
    refused(tmp_path, dtype + b"(I3\nV<\nN(Vx\ntNI-1\nI-1\nI0\ntb.", "records")
    refused(tmp_path, b"cnumpy\ndtype\n(dVx\nI1\nsb.", "state of a function")
    refused(tmp_path, b"c_codecs\nencode\n(Va\nVrot13\ntR.", "rot13")


def test_broken_files_are_named(tmp_path):
    whole = pickle.dumps(CONTENT)
    for broken in (b"", b"no pickle at all", whole[: len(whole) // 2], b"\x80\x63."):
        refused(tmp_path, broken, "")
    for _ in range(200):
        spoilt = bytearray(whole)
        spoilt[RNG.integers(len(spoilt))] = RNG.integers(256)
        with contextlib.suppress(HandposeError):  # any other error fails the test
            loaded(tmp_path, bytes(spoilt))
    with pytest.raises(HandposeError, match="absent.pickle: No such file"):
        load_pickle(tmp_path / "absent.pickle")


def test_a_length_beyond_the_file_is_refused(tmp_path):
    refused(tmp_path, b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"short.", "")
