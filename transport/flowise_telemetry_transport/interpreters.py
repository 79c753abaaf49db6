"""Sub-interpreters: several Pythons in one process, as mod_wsgi has them."""

from __future__ import annotations

import functools

__all__ = ["in_sub_interpreter"]


@functools.cache
def in_sub_interpreter() -> bool:
    """Return True outside the main interpreter of the process; False where that cannot be known.

    A sub-interpreter may have no thread left when it ends: CPython aborts the process (``Py_EndInterpreter``). One that
    nobody ended is ended with the process, when its threads can run no more. So there a thread may live only while it
    has something to do.
    """
    try:
        import ctypes

        current = ctypes.PYFUNCTYPE(ctypes.c_void_p)(("PyInterpreterState_Get", ctypes.pythonapi))
        number = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(("PyInterpreterState_GetID", ctypes.pythonapi))
        return bool(number(current()))
    except (ImportError, AttributeError):  # built without ctypes; not CPython
        return False
