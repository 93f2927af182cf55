"""What `cachedmethod`'s resolvers do, as far as they can be done without being called."""

import dis
from types import FunctionType

_LOAD_ARGUMENT = {"LOAD_FAST", "LOAD_FAST_BORROW"}
_NO_STEPS = {"RESUME", "CACHE", "NOP"}


def attribute_read(resolver: object) -> str | None:
    """The attribute that a function such as ``lambda self: self.cache`` reads and returns.

    None for a resolver that does anything else.
    """
    if type(resolver) is not FunctionType:
        return None
    code = resolver.__code__
    if (code.co_argcount, code.co_kwonlyargcount, code.co_nlocals) != (1, 0, 1):
        return None
    match [step for step in dis.get_instructions(code) if step.opname not in _NO_STEPS]:
        case [argument, read, end] if (
            argument.opname in _LOAD_ARGUMENT and read.opname == "LOAD_ATTR" and end.opname == "RETURN_VALUE"
        ):
            return str(read.argval)
        case _:
            return None
