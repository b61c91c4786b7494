"""Model files that nobody should trust, each with what the refusal must say."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from siamese_core.formats.safetensors import MAX_BYTES, MAX_HEADER, MAX_TENSORS

DIGITS = [str(digit) for digit in range(10)]
UPLOADED = "own-" + "0123456789abcdef01234567"

METADATA: dict[str, Any] = {
    "schema_version": "1",
    "experiment": "dataset=digits&held_out=3,8&loss=softmax&encoder=mlp&embedding_dim=6",
    "classes": DIGITS,
    "normalisation": {"mean": 0.30536951471611606, "std": 0.3753229539260216, "shape": [1, 8, 8]},
    "steps": "2",
}
THRESHOLD: dict[str, Any] = {
    "value": 0.5, "rule": "far=0.01", "group": "held_out", "false_accept": 0.01, "false_reject": 0.2, "different": 90,
    "same": 10,
}  # fmt: skip

A = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
B = {"dtype": "I64", "shape": [], "data_offsets": [24, 32]}
DATA = struct.pack("<6fq", 1, 2, 3, 4, 5, 6, 7)

INFINITE = "infinite"
"""Stands for a number that JSON can hold, and no float."""

CANARY = "canary"
PICKLE = f"cos\nsystem\n(S'echo > {CANARY}'\ntR.".encode()
"""Opcodes that make a file when they are unpickled: protocol 0."""
PICKLE_2 = b"\x80\x02" + PICKLE


def assembled(header: bytes, data: bytes = DATA, length: int | None = None) -> bytes:
    return (len(header) if length is None else length).to_bytes(8, "little") + header + data


def written(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Values as the JSON that a file has in their place; those that are None are left out."""
    return {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items() if v is not None}


def good(tensors: Mapping[str, Any] | None = None, data: bytes = DATA, **metadata: Any) -> bytes:
    """A file that is read, but for what the arguments say."""
    table = {"__metadata__": written(METADATA | metadata), **({"a": A, "b": B} if tensors is None else tensors)}
    return assembled(json.dumps(table).replace(json.dumps(INFINITE), "1e999").encode(), data)


def zipped() -> bytes:
    """As torch.save writes a model."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("archive/data.pkl"), PICKLE_2)
        archive.writestr(zipfile.ZipInfo("archive/version"), "3\n")
    return file.getvalue()


@dataclass(frozen=True)
class Case:
    make: Callable[[], bytes]
    message: str


def raw(message: str, header: str | bytes, **settings: Any) -> Case:
    return Case(lambda: assembled(header if isinstance(header, bytes) else header.encode(), **settings), message)


def with_a(message: str, **changes: Any) -> Case:
    """The tensor a, changed."""
    return Case(lambda: good({"a": A | changes, "b": B}), message)


def two(message: str, first: list[int], second: list[int], length: int = 32) -> Case:
    """Two tensors of so many bytes each, at these offsets."""
    offsets = {"a": first, "b": second}
    tensors = {n: {"dtype": "F32", "shape": [(e - b) // 4], "data_offsets": [b, e]} for n, (b, e) in offsets.items()}
    return Case(lambda: good(tensors, bytes(length)), message)


def meta(message: str, **metadata: Any) -> Case:
    return Case(lambda: good(**metadata), message)


def normalised(message: str, **changes: Any) -> Case:
    return meta(message, normalisation=METADATA["normalisation"] | changes)


def until(message: str, **changes: Any) -> Case:
    """A threshold, changed."""
    return meta(message, threshold=THRESHOLD | changes)


def many(count: int) -> bytes:
    return b"{" + b",".join(b'"%x":0' % number for number in range(count)) + b"}"


CASES: dict[str, Case] = {
    # What is no safetensors at all
    "nothing": Case(bytes, "0 bytes, expected at least 8"),
    "seven bytes": Case(lambda: bytes(7), "7 bytes, expected at least 8"),
    "too large": Case(lambda: bytes(MAX_BYTES + 1), "larger than 200 MB"),
    "pickle of protocol 0": Case(lambda: PICKLE, "no safetensors"),
    "pickle of protocol 2": Case(lambda: PICKLE_2, "PyTorch pickle, which this app never opens"),
    "pickle of protocol 4": Case(lambda: b"\x80\x04\x95" + PICKLE, "PyTorch pickle"),
    "pickle in a zip": Case(zipped, "PyTorch pickle"),
    "pickle behind a header": raw("damaged header", PICKLE),
    "html": Case(lambda: b"<!doctype html><p>404", "no safetensors"),
    # The header
    "header of 2**63 bytes": raw("9,223,372,036,854,775,808 bytes of header", b"{}", length=2**63),
    "header of 2**64 - 1 bytes": raw("at most 1,000,000", b"{}", length=2**64 - 1),
    "header just too long": raw("1,000,001 bytes of header", b"{}".ljust(MAX_HEADER + 1)),
    "header beyond the end": raw("40 bytes of header expected, 34 found", b"{}", length=40),
    "header cut short": Case(lambda: good()[:200], "cut short"),
    "no header": raw("damaged header", b""),
    "header of zeros": raw("damaged header", bytes(100)),
    "not JSON": raw("damaged header", "{'a': 1}"),
    "more than JSON": raw("damaged header", "{} {}"),
    "UTF-16": raw("UTF-8", json.dumps({"a": A}).encode("utf-16")),
    "UTF-16 without a mark": raw("damaged header", json.dumps({"a": A}).encode("utf-16-le")),
    "Latin-1": raw("UTF-8", '{"é": 1}'.encode("latin-1")),
    "half a character": raw("UTF-8", b'{"\xc3": 1}'),
    "a list": raw("[], expected a table", "[]"),
    "a number": raw("1, expected a table", "1"),
    "NaN in the header": raw("NaN is no number", '{"a": NaN}'),
    "infinity in the header": raw("-Infinity is no number", '{"a": -Infinity}'),
    "an endless number": raw("damaged header", '{"a": ' + "9" * 5_000 + "}"),
    "nested lists": raw("nested too deeply", "[" * 400_000),
    "nested tables": raw("nested too deeply", '{"a":' * 190_000),
    "a tensor twice": raw("given twice", f'{{"a": {json.dumps(A)}, "a": {json.dumps(A)}}}'),
    "a shape twice": raw("given twice", '{"a": {"dtype": "F32", "shape": [6], "shape": [6], "data_offsets": [0, 24]}}'),
    "metadata twice": raw("given twice", '{"__metadata__": {"steps": "1", "steps": "2"}}'),
    # Tensors
    "100,000 tensors": Case(lambda: good(dict.fromkeys(map(str, range(100_000)), A)), "bytes of header"),
    "60,000 short tensors": Case(
        lambda: assembled(many(60_000)[:-1] + b',"__metadata__":' + json.dumps(written(METADATA)).encode() + b"}"),
        "60,000 tensors",
    ),
    "a tensor too many": Case(lambda: good({str(n): A for n in range(MAX_TENSORS + 1)}), "2,001 tensors"),
    "a name too long": Case(lambda: good({"a" * 201: A, "b": B}), "200 printable"),
    "a name with a line": Case(lambda: good({"a\nb": A, "b": B}), "200 printable"),
    "a name from right to left": Case(lambda: good({"a\u202eb": A, "b": B}), "200 printable"),
    "half a pair of surrogates": Case(lambda: good({"\ud800": A, "b": B}), "200 printable"),
    "a tensor of no kind": Case(lambda: good({"a": None, "b": B}), "says None of a"),
    "a tensor that is a list": Case(lambda: good({"a": ["F32", [2, 3], [0, 24]], "b": B}), "of a, expected a dtype"),
    "a tensor without a shape": Case(lambda: good({"a": {"dtype": "F32", "data_offsets": []}}), "expected a dtype"),
    "a tensor with more": with_a("expected a dtype", code="x"),
    "half precision": with_a("a as F16, expected F32 or I64", dtype="F16"),
    "double precision": with_a("a as F64", dtype="F64"),
    "bytes": with_a("a as U8", dtype="U8"),
    "small letters": with_a("a as f32", dtype="f32"),
    "objects": with_a("a as O, expected", dtype="O"),
    "a dtype that is a list": with_a("expected a dtype", dtype=["F32"]),
    "a tebi squared": with_a("[1099511627776, 1099511627776]", shape=[2**40, 2**40]),
    "a product that is 0 in 64 bits": with_a("a the shape [4294967296", shape=[2**32, 2**32]),
    "small sides whose product is 0 in 64 bits": with_a("73,786,976,294,838,206,464", shape=[2**30, 2**30, 16]),
    "a product that is right in 64 bits": with_a("a the shape", shape=[2**63, 2, 6]),
    "two sides of 2**31": with_a("the shape [2147483648", shape=[2**31, 2**31]),
    "two sides just below": with_a("a 24 bytes, expected 18,446,744,056,529,682,436", shape=[2**31 - 1] * 2),
    "negative": with_a("the shape [-2, -3]", shape=[-2, -3]),
    "a side of -1": with_a("the shape [-1]", shape=[-1]),
    "nothing in it": with_a("the shape [0, 2147483647]", shape=[0, 2**31 - 1]),
    "floats": with_a("the shape [2.0, 3]", shape=[2.0, 3]),
    "an infinite side": with_a("the shape [inf]", shape=[INFINITE]),
    "bools": with_a("the shape [True, 6]", shape=[True, 6]),
    "strings": with_a("the shape ['2', '3']", shape=["2", "3"]),
    "a shape that is a string": with_a("expected a dtype", shape="23"),
    "a shape in a shape": with_a("the shape [[2, 3]]", shape=[[2, 3]]),
    "five axes": with_a("at most 4", shape=[1, 1, 1, 2, 3]),
    "a million axes": with_a("at most 4", shape=[1] * 300_000),
    "another shape": with_a("a 24 bytes, expected 28 of 7 F32", shape=[7]),
    "reversed": with_a("[24, 0], expected a first and a last", data_offsets=[24, 0]),
    "before the start": with_a("[-24, 0]", data_offsets=[-24, 0]),
    "offsets in floats": with_a("[0.0, 24.0]", data_offsets=[0.0, 24.0]),
    "offsets in bools": with_a("[False, 24]", data_offsets=[False, 24]),
    "three offsets": with_a("expected a dtype", data_offsets=[0, 12, 24]),
    "one offset": with_a("expected a dtype", data_offsets=[24]),
    "beyond the end": with_a("a ends beyond the 32 bytes", data_offsets=[0, 2**70]),
    "endless": with_a("a ends beyond", data_offsets=[10**4_000, 10**4_001]),
    "data cut short": Case(lambda: good(data=DATA[:-1]), "b ends beyond the 31 bytes"),
    "no data": Case(lambda: good(data=b""), "a ends beyond the 0 bytes"),
    "data too long": Case(lambda: good(data=DATA + b"x"), "end at byte 32, expected 33"),
    "data of nobody": Case(lambda: good({}), "end at byte 0, expected 32"),
    "overlapping": two("b overlaps the tensor before it, for it begins at byte 12, expected 16", [0, 16], [12, 32]),
    "one in the other": two("b overlaps", [0, 32], [8, 16]),
    "the same place": two("b overlaps", [0, 32], [0, 32]),
    "a gap": two("b leaves a gap before it, for it begins at byte 20, expected 16", [0, 16], [20, 32]),
    "a gap at the start": two("a leaves a gap", [4, 16], [16, 32]),
    "a gap at the end": two("end at byte 28, expected 32", [0, 16], [16, 28]),
    "NaN": Case(lambda: good(data=struct.pack("<5f", *range(5)) + b"\0\0\xc0\x7f" + bytes(8)), "not finite (NaN) in a"),
    "infinite": Case(lambda: good(data=b"\0\0\x80\x7f" + bytes(28)), "not finite (NaN) in a"),
    # What it says of itself
    "no metadata": Case(lambda: assembled(json.dumps({"a": A, "b": B}).encode()), "does not say which experiment"),
    "metadata that is a list": Case(lambda: good({"a": A, "b": B, "__metadata__": ["x"]}), "which experiment made it"),
    "metadata that is text": Case(lambda: good({"a": A, "b": B, "__metadata__": "x"}), "which experiment made it"),
    "metadata of numbers": Case(
        lambda: good({"a": A, "b": B, "__metadata__": written(METADATA) | {"steps": 2}}), "which experiment made it"
    ),
    "no version": meta("no schema_version", schema_version=None),
    "no experiment": meta("does not say which experiment made it", experiment=None),
    "an empty experiment": meta("does not say which experiment made it", experiment=""),
    "no classes": meta("what its classes are", classes=None),
    "no normalisation": meta("how its images were normalised", normalisation=None),
    "no steps": meta("after how many steps", steps=None),
    "the next version": meta("version 2 of this format, expected 1", schema_version="2"),
    "an unknown loss": meta("loss=magic: may be: contrastive", experiment="dataset=digits&loss=magic"),
    "an unknown encoder": meta("encoder=../../x", experiment="dataset=digits&encoder=../../x"),
    "an unknown dataset": meta("dataset=/etc/passwd", experiment="dataset=/etc/passwd"),
    "a dataset that is almost an uploaded one": meta(f"dataset={UPLOADED}0", experiment=f"dataset={UPLOADED}0"),
    "two datasets": meta("given more than once", experiment=f"dataset=digits&dataset={UPLOADED}"),
    "an uploaded one twice": meta("given more than once", experiment=f"dataset={UPLOADED}&dataset={UPLOADED}"),
    "an unknown field": meta("no such field", experiment="dataset=digits&code=1"),
    "a field out of its range": meta("embedding_dim=1000000", experiment="dataset=digits&embedding_dim=1000000"),
    "a contradiction": meta("held_out=0,1,2", experiment="dataset=digits&held_out=0,1,2,3,4,5,6,7,8"),
    "a line in a field": meta("loss=a�b", experiment="dataset=digits&loss=a%0ab"),
    "a link too long": meta("no link of this app", experiment="dataset=digits&" + "a" * 4_000),
    "a link with an accent": meta("no link of this app", experiment="dataset=é"),
    "a link with half a pair": meta("no link of this app", experiment="dataset=\ud800"),
    "a link with a line": meta("no link of this app", experiment="dataset=digits\n"),
    "one class": meta("expected a list of 2", classes=["0"]),
    "ten thousand and one classes": meta("expected a list of 2 to 10,000", classes=["0"] * 10_001),
    "classes that are a table": meta("expected a list of 2", classes={"0": "1", "1": "2"}),
    "classes that are no JSON": meta("damaged classes", classes="[0"),
    "classes with NaN": meta("NaN is no number", classes="[NaN, 1]"),
    "classes nested": meta("nested too deeply", classes="[" * 100_000),
    "classes of numbers": meta("class named 0", classes=list(range(10))),
    "an empty class": meta("class named ,", classes=["", *DIGITS[1:]]),
    "a blank class": meta("expected at most 100", classes=["  ", *DIGITS[1:]]),
    "a class with a bell": meta("class named �", classes=["\a", *DIGITS[1:]]),
    "a class of two lines": meta("class named a�b", classes=["a\nb", *DIGITS[1:]]),
    "a class from right to left": meta("class named �", classes=["\u202e0", *DIGITS[1:]]),
    "half a pair in a class": meta("class named �", classes=["\ud800", *DIGITS[1:]]),
    "a class of 101 letters": meta("at most 100", classes=["a" * 101, *DIGITS[1:]]),
    "a class too few": meta("9 classes, expected the 10 of “Digits, 8×8”", classes=DIGITS[1:]),
    "another class": meta("class zero, expected 0", classes=["zero", *DIGITS[1:]]),
    "a class in HTML": meta("class <script>, expected 0", classes=["<script>", *DIGITS[1:]]),
    "a normalisation that is a list": meta("the normalisation [", normalisation=[0.3, 0.4, [1, 8, 8]]),
    "a normalisation with more": normalised("expected a mean", code=1),
    "two sides": normalised("expected a mean", shape=[8, 8]),
    "two channels": normalised("[2, 8, 8], expected 1 or 3", shape=[2, 8, 8]),
    "a small side": normalised("[1, 7, 8], expected", shape=[1, 7, 8]),
    "a large side": normalised("8 to 256 pixels", shape=[1, 8, 257]),
    "a bool for channels": normalised("[True, 8, 8]", shape=[True, 8, 8]),
    "a side that is a float": normalised("[1, 8.0, 8]", shape=[1, 8.0, 8]),
    "images of another size": normalised("images of 1×28×28, expected 1×8×8", shape=[1, 28, 28]),
    "a mean that is text": normalised("the mean 0.3", mean="0.3"),
    "a mean that is a bool": normalised("the mean True", mean=True),
    "a mean out of range": normalised("the mean -0.1", mean=-0.1),
    "a std of nothing": normalised("the std 0", std=0),
    "a std of almost nothing": normalised("the std 5e-324", std=5e-324),
    "an infinite std": meta("the std inf", normalisation='{"mean": 0, "std": 1e999, "shape": [1, 8, 8]}'),
    "an endless mean": normalised("the mean 1000", mean=10**4_000),
    "another mean": normalised("the mean 0.305372, expected 0.3053695", mean=0.305372),
    "another std": normalised("the std 0.5, expected", std=0.5),
    "negative steps": meta("the steps -1", steps="-1"),
    "steps in Thai": meta("the steps ๒", steps="๒"),
    "steps in a float": meta("the steps 2.0", steps="2.0"),
    "endless steps": meta("the steps 9999", steps="9" * 10_000),
    "too many steps": meta("the steps 1000000001", steps="1000000001"),
    "a threshold that is a number": meta("the threshold 0.5", threshold="0.5"),
    "a threshold that is empty": meta("damaged threshold", threshold=""),
    "half a threshold": meta("expected value, rule, group", threshold={"value": 0.5}),
    "a threshold with more": until("expected value, rule, group", code=1),
    "a threshold of NaN": meta("NaN is no number", threshold='{"value": NaN}'),
    "a threshold beyond all": meta("whose value is inf", threshold=json.dumps(THRESHOLD).replace("0.5,", "1e999,")),
    "an endless threshold": until("whose value is 1000", value=10**400),
    "a threshold of text": until("whose value is 0.5", value="0.5"),
    "a rule of its own": until("whose rule is <b>, expected eer", rule="<b>"),
    "a rule of a number": until("whose rule is 1", rule=1),
    "a rule of a rate above 1": until("whose rule is far=2", rule="far=2"),
    "a rule that costs nothing": until("whose rule is costs=0:1:0.5", rule="costs=0:1:0.5"),
    "a rule of two costs": until("whose rule is costs=1:1", rule="costs=1:1"),
    "another group": until("whose group is all, expected seen or held_out", group="all"),
    "a rate above 1": until("whose false_accept is 1.1", false_accept=1.1),
    "a rate below 0": until("whose false_reject is -0.1", false_reject=-0.1),
    "half a pair": until("whose same is 0.5", same=0.5),
    "minus one pair": until("whose different is -1", different=-1),
    "pairs that are true": until("whose different is True", different=True),
}  # fmt: skip
