# SPDX-License-Identifier: Apache-2.0
"""Times are whole microseconds: floats drift, and two plugins that round differently miss each other."""

import operator


class Micros(int):
    """Whole microseconds on the Event's timeline, or between two points of it."""

    @property
    def seconds(self):
        """The same in seconds, for people and for libraries that want them."""
        return int(self) / 1_000_000

    def __add__(self, other):
        return self._like(int.__add__(self, _whole(other, "a time that is added")))

    __radd__ = __add__

    def __sub__(self, other):
        return self._like(int.__sub__(self, _whole(other, "a time that is taken away")))

    def __rsub__(self, other):
        return self._like(int.__rsub__(self, _whole(other, "a time that is taken from")))

    @staticmethod
    def _like(value):
        return Micros(value)


def seconds(value):
    """Seconds, whole or not, as the nearest whole microseconds."""
    return Micros(round(value * 1_000_000))


def micros(value, what):
    """The value as Micros; a TypeError that says what to do when it is no whole number."""
    return Micros(_whole(value, what))


def _whole(value, what):
    if isinstance(value, bool):
        raise TypeError(f"{what} is {value!r}; times are whole microseconds, such as seconds(1.5)")
    try:
        # Takes numpy's integers, too, and refuses every float, also 2.0: it is seconds more often than not.
        return operator.index(value)
    except TypeError:
        hint = f"write seconds({value!r})" if isinstance(value, float) else "write seconds(1.5) for a second and a half"
        raise TypeError(
            f"{what} is {value!r} ({type(value).__name__}); times are whole microseconds: {hint}"
        ) from None
