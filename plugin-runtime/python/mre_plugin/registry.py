# SPDX-License-Identifier: Apache-2.0
"""Which function stands for which class."""

HANDLERS = {}


def _register(plugin_class, function):
    if not callable(function):
        raise TypeError(f"@{plugin_class} decorates a function, not {type(function).__name__}")
    if plugin_class in HANDLERS:
        raise ValueError(
            f"{function.__name__} is a second @{plugin_class}, after {HANDLERS[plugin_class].__name__}: "
            "a process is one plugin, give each its own file"
        )
    HANDLERS[plugin_class] = function
    return function


def featurer(function):
    """The function detects things in a chunk: it yields Results."""
    return _register("featurer", function)


def segmenter(function):
    """The function opens and closes segments, chunk after chunk, with ctx.open and ctx.close."""
    return _register("segmenter", function)


def optimizer(function):
    """The function moves the marks of ctx.segments: it yields Optimized."""
    return _register("optimizer", function)


def labeler(function):
    """The function names ctx.segments: it yields Labels."""
    return _register("labeler", function)
