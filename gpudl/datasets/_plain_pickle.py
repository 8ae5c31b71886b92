"""Reading plain data out of files that Python's `pickle` wrote, without running anything that is in them.

Unpickling calls what the file names. This reader calls nothing: it knows numbers, text, bytes, lists, tuples,
dictionaries and NumPy arrays of numbers or of lists, and refuses every other instruction.
"""

from __future__ import annotations

import io
import math
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray


class RefusedError(ValueError):
    """The file is damaged, or holds more than plain data."""


class _Name(Enum):
    """What a file may mention."""

    RECONSTRUCT = "_reconstruct"
    ARRAY = "ndarray"
    DTYPE = "dtype"


_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): _Name.RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _Name.RECONSTRUCT,
    ("numpy", "ndarray"): _Name.ARRAY,
    ("numpy", "dtype"): _Name.DTYPE,
}
_INSTRUCTIONS = {instruction.code: instruction for instruction in pickletools.opcodes}
_DTYPE = re.compile(r"[biuf][1248]|O8?")
_MARK = object()


@dataclass
class _Dtype:
    kind: str
    order: str = "="

    def numpy(self) -> np.dtype:
        return np.dtype(self.kind if self.order not in "<>" else self.order + self.kind)


@dataclass
class _Unfilled:
    """An array whose shape and content come later."""


def read(data: bytes) -> object:
    """Return the plain data of a pickle; text of Python 2 becomes bytes.

    Raises:
        RefusedError: it is damaged, or holds something else.

    Example:
        >>> import pickle
        >>> read(pickle.dumps({"a": [1, 2.5, None], b"b": (True, "text")}))
        {'a': [1, 2.5, None], b'b': (True, 'text')}
        >>> read(pickle.dumps(print))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        gpudl.datasets._plain_pickle.RefusedError: The file names builtins.print, which is no plain data...
    """
    reader = _Reader(data)
    try:
        return reader.run()
    except RefusedError:
        raise
    # pickletools and this reader answer damaged bytes with errors of many kinds.
    except Exception as error:
        raise RefusedError(f"The pickled data is damaged: {error or type(error).__name__}.") from error


@dataclass
class _Reader:
    data: bytes
    stack: list[object] = field(default_factory=list)
    memo: dict[int, object] = field(default_factory=dict)

    def run(self) -> object:
        data, stack, at = self.data, self.stack, 0
        while True:
            code = data[at]
            # Numbers of one and two bytes: the texts of data sets have millions of them.
            if code == 0x4B:
                stack.append(data[at + 1])
                at += 2
            elif code == 0x4D:
                stack.append(data[at + 1] | data[at + 2] << 8)
                at += 3
            elif code == 0x2E:  # STOP
                result = self.pop()
                if stack or isinstance(result, _Name | _Dtype):
                    raise RefusedError("The pickled data is damaged: it ends with something unfinished.")
                return result
            else:
                at = self._step(chr(code), at + 1)

    def _step(self, code: str, at: int) -> int:
        """Follow the instruction `code`, whose argument begins at `at`, and return where the next one is."""
        instruction = _INSTRUCTIONS.get(code)
        if instruction is None:
            raise RefusedError(f"The pickled data is damaged: there is no instruction {code!r}.")
        argument: object = None
        if instruction.arg is not None:
            file = io.BytesIO(self.data)
            file.seek(at)
            argument = instruction.arg.reader(file)
            at = file.tell()
        name = instruction.name
        if name in _IGNORED:
            pass
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _VALUES:
            self.stack.append(argument)
        elif name in _OLD_TEXT:
            self.stack.append(str(argument).encode("latin-1"))
        elif name in _ACTIONS:
            _ACTIONS[name](self, argument)
        else:
            raise RefusedError(f"The file has the instruction {name}, which is not for plain data. It was not run.")
        return at

    def pop(self) -> object:
        value = self.stack.pop()
        if value is _MARK or isinstance(value, _Unfilled):
            raise RefusedError("The pickled data is damaged: something unfinished stands where a value should.")
        return value

    def since_mark(self) -> list[object]:
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise RefusedError("The pickled data is damaged: a mark is missing.")
        values = self.stack[at + 1 :]
        del self.stack[at:]
        return values

    def add(self, values: list[object]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise RefusedError("The file appends to what is no list.")
        target.extend(values)

    def set_items(self, values: list[object]) -> None:
        target = self.stack[-1]
        keys = values[::2]
        if not isinstance(target, dict) or not all(isinstance(key, str | bytes | int) for key in keys):
            raise RefusedError("The file sets items of what is no dictionary, or by what is no text.")
        target.update(zip(keys, values[1::2], strict=True))

    def named(self, module: object, name: object) -> None:
        known = _NAMES.get((str(module), str(name)))
        if known is None:
            raise RefusedError(f"The file names {module}.{name}, which is no plain data. It was not run.")
        self.stack.append(known)

    def call(self, argument: object) -> None:
        arguments, function = self.pop(), self.pop()
        given = arguments if isinstance(arguments, tuple) else ()
        if function is _Name.RECONSTRUCT and given[:1] == (_Name.ARRAY,):
            self.stack.append(_Unfilled())
        elif function is _Name.DTYPE and given and isinstance(kind := _text(given[0]), str) and _DTYPE.fullmatch(kind):
            self.stack.append(_Dtype(kind))
        else:
            raise RefusedError(f"The file calls {function} with {given!r:.80}, which makes no array. It was not run.")

    def build(self, argument: object) -> None:
        state, target = self.pop(), self.stack[-1]
        if isinstance(target, _Dtype) and isinstance(state, tuple):
            target.order = str(_text(state[1]))
        elif isinstance(target, _Unfilled) and isinstance(state, tuple):
            array = _array(state)
            self.stack[-1] = array
            self.memo.update({key: array for key, value in self.memo.items() if value is target})
        else:
            raise RefusedError("The file fills something that is no array.")


def _text(value: object) -> object:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _array(state: tuple[object, ...]) -> NDArray[np.generic]:
    """Return the array of a version, a shape, a dtype, whether columns come first, and the content."""
    _, shape, dtype, columns, content = state
    if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple):
        raise RefusedError("An array of the file has no shape and dtype.")
    sizes = tuple(size for size in shape if isinstance(size, int) and size >= 0)
    count, kind = math.prod(sizes), dtype.numpy()
    expected = count if kind.hasobject else count * kind.itemsize
    if columns and kind.hasobject:
        raise RefusedError("An array of objects in the file has its columns first.")
    if (
        len(sizes) != len(shape)
        or not isinstance(content, list if kind.hasobject else bytes)
        or len(content) != expected
    ):
        raise RefusedError(f"An array of the file has another size than its shape {shape} and dtype {kind} say.")
    if isinstance(content, list):
        array = np.empty(count, object)
        for number, item in enumerate(content):
            array[number] = item
        return array.reshape(sizes)
    return np.ndarray(sizes, kind, bytearray(content), order="F" if columns else "C")


def _tuple(size: int) -> Callable[[_Reader, object], None]:
    return lambda reader, _: reader.stack.append(tuple([reader.pop() for _ in range(size)][::-1]))


def _stack_global(reader: _Reader, argument: object) -> None:
    name, module = reader.pop(), reader.pop()
    reader.named(module, name)


def _memoize(reader: _Reader, argument: object) -> None:
    key = len(reader.memo) if argument is None else argument
    assert isinstance(key, int)
    reader.memo[key] = reader.stack[-1]


def _recall(reader: _Reader, key: object) -> None:
    assert isinstance(key, int)
    reader.stack.append(reader.memo[key])


def _set_item(reader: _Reader, argument: object) -> None:
    value, key = reader.pop(), reader.pop()
    reader.set_items([key, value])


_IGNORED = {"PROTO", "FRAME"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "MARK": _MARK, "EMPTY_TUPLE": ()}
_VALUES = {"INT", "LONG", "LONG1", "LONG4", "BININT", "FLOAT", "BINFLOAT"}
_VALUES |= {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
_OLD_TEXT = {"STRING", "BINSTRING", "SHORT_BINSTRING"}
_ACTIONS: dict[str, Callable[[_Reader, object], None]] = {
    "EMPTY_LIST": lambda reader, _: reader.stack.append([]),
    "EMPTY_DICT": lambda reader, _: reader.stack.append({}),
    "LIST": lambda reader, _: reader.stack.append(reader.since_mark()),
    "TUPLE": lambda reader, _: reader.stack.append(tuple(reader.since_mark())),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "APPEND": lambda reader, _: reader.add([reader.pop()]),
    "APPENDS": lambda reader, _: reader.add(reader.since_mark()),
    "SETITEM": _set_item,
    "SETITEMS": lambda reader, _: reader.set_items(reader.since_mark()),
    "GLOBAL": lambda reader, name: reader.named(*str(name).split(" ", 1)),
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _Reader.call,
    "BUILD": _Reader.build,
    "MEMOIZE": _memoize,
    "PUT": _memoize,
    "BINPUT": _memoize,
    "LONG_BINPUT": _memoize,
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _recall),
}
