"""What serving reads of an ONNX file without the onnx library: nodes, weights, and one more output.

An ONNX file is one protobuf message. Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto,
the encoding is https://protobuf.dev/programming-guides/encoding/.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ml.errors import MlError

Field = tuple[int, int | memoryview]

GRAPH, OPSETS = 7, 8
"""Fields of ModelProto."""
NODE, INITIALIZER, OUTPUT = 1, 5, 12
"""Fields of GraphProto."""
VALUE_NAME: Final = 1
"""The field of ValueInfoProto."""

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
"""Wire types of protobuf."""

DTYPES: Final[dict[int, np.dtype[Any]]] = {1: np.dtype("<f4"), 3: np.dtype("i1"), 10: np.dtype("<f2")}
"""TensorProto.DataType of the weights that an export stores."""


class UnreadableGraph(MlError):
    """An ONNX file that is damaged, or of another form than exported ones."""


@dataclass(frozen=True)
class Node:
    """A NodeProto."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    flags: dict[str, int]
    """Attributes that are whole numbers."""
    raw: memoryview


@dataclass(frozen=True)
class OnnxFile:
    """The nodes and weights of a graph."""

    nodes: list[Node] = field(default_factory=list)
    weights: dict[str, memoryview] = field(default_factory=dict)
    """Name to TensorProto."""
    outputs: list[str] = field(default_factory=list)
    opsets: list[memoryview] = field(default_factory=list)

    def producer(self, tensor: str) -> Node | None:
        """The node that computes a tensor; None for a weight or an input."""
        return next((node for node in self.nodes if tensor in node.outputs), None)

    def needed_for(self, tensor: str) -> tuple[list[Node], list[memoryview]]:
        """The nodes and weights that a tensor is computed by, in the order of the file."""
        wanted = {tensor}
        chosen = []
        for node in reversed(self.nodes):  # ONNX requires them in the order of computation
            if wanted.intersection(node.outputs):
                chosen.append(node)
                wanted.update(node.inputs)
        return chosen[::-1], [raw for name, raw in self.weights.items() if name in wanted]

    def constant(self, tensor: str) -> NDArray[np.float32] | None:
        """A weight, of any shape, possibly stored to be cast, scaled or transposed; None if computed."""
        if tensor in self.weights:
            return weight(self.weights[tensor])
        node = self.producer(tensor)
        if node is None or node.op not in ("Cast", "Identity", "Transpose", "Mul"):
            return None
        parts = [self.constant(name) for name in node.inputs]
        values = [part for part in parts if part is not None]
        if len(values) < len(parts):
            return None
        first = values[0]
        if node.op == "Mul":
            return np.asarray(first * values[1], np.float32)
        return first.T if node.op == "Transpose" else first


def parse(content: bytes) -> OnnxFile:
    """Parse an ONNX file.

    Raises:
        UnreadableGraph: it is damaged.
    """
    found = OnnxFile()
    try:
        for number, value in fields(memoryview(content)):
            if number == OPSETS:
                found.opsets.append(message(value))
            elif number == GRAPH:
                _add_graph(found, message(value))
    except (IndexError, KeyError, ValueError) as error:
        raise UnreadableGraph(
            f"not an ONNX file ({error}); restore it from its source, or export it again"
        ) from error
    return found


def _add_graph(found: OnnxFile, graph: memoryview) -> None:
    for number, value in fields(graph):
        if number == NODE:
            found.nodes.append(_node(message(value)))
        elif number == INITIALIZER:
            raw = message(value)
            found.weights[text_of(raw, 8)] = raw
        elif number == OUTPUT:
            found.outputs.append(text_of(message(value), VALUE_NAME))


def _node(raw: memoryview) -> Node:
    texts: dict[int, list[str]] = {1: [], 2: [], 4: []}
    flags: dict[str, int] = {}
    for number, value in fields(raw):
        if number in texts:
            texts[number].append(str(message(value), "utf-8"))
        elif number == 5:
            attribute = dict(fields(message(value)))
            if isinstance(whole := attribute.get(3), int):
                flags[str(message(attribute[1]), "utf-8")] = whole
    return Node(texts[4][0], tuple(texts[1]), tuple(texts[2]), flags, raw)


def weight(tensor: memoryview) -> NDArray[np.float32]:
    """The values of a TensorProto, of any shape.

    Raises:
        UnreadableGraph: of a type that exports do not store, or in another file.
    """
    shape: list[int] = []
    dtype, data = 0, b""
    for number, value in fields(tensor):
        if number == 1:
            shape += [value] if isinstance(value, int) else list(_varints(value))
        elif number == 2:
            dtype = int(value) if isinstance(value, int) else 0
        elif number in (4, 9):  # float_data, raw_data: both are little-endian bytes
            data += bytes(message(value))
    if dtype not in DTYPES or len(data) != int(np.prod(shape)) * DTYPES[dtype].itemsize:
        raise UnreadableGraph(
            f"the weight {text_of(tensor, 8)} has data type {dtype} and {len(data)} bytes, expected float32, "
            "float16 or int8 within the file; export the artifact again"
        )
    return np.asarray(np.frombuffer(data, DTYPES[dtype]).reshape(shape), np.float32)


def with_output(content: bytes, tensor: str) -> bytes:
    """The file with one more output, which follows those that it has.

    Messages that are appended to one another are merged, so nothing before them has to change.
    """
    output = _length_delimited(OUTPUT, _length_delimited(VALUE_NAME, tensor.encode()))
    return content + _length_delimited(GRAPH, output)


def fields(data: memoryview) -> Iterator[Field]:
    """Yield number and value of each field of a message.

    Raises:
        IndexError, ValueError: the message is damaged.
    """
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire == LENGTH:
            size, position = _varint(data, position)
        elif wire in (FIXED32, FIXED64):
            size = 4 if wire == FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire}")
        if position + size > len(data):
            raise ValueError(f"ends within field {number}")
        yield number, data[position : position + size]
        position += size


def message(value: int | memoryview) -> memoryview:
    """The content of a field that is not a number.

    Raises:
        ValueError: it is one.
    """
    if isinstance(value, int):
        raise ValueError("a number in place of a message")
    return value


def text_of(data: memoryview, number: int) -> str:
    """The text in a field of a message; empty without it."""
    return next((str(message(value), "utf-8") for found, value in fields(data) if found == number), "")


def _varints(data: memoryview) -> Iterator[int]:
    position = 0
    while position < len(data):
        value, position = _varint(data, position)
        yield value


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _length_delimited(number: int, content: bytes) -> bytes:
    return _as_varint(number << 3 | LENGTH) + _as_varint(len(content)) + content


def _as_varint(value: int) -> bytes:
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)
