# SPDX-License-Identifier: Apache-2.0
"""python3 -m mre_plugin MODULE: import the module, call its init() if it has one, and serve its functions.

What goes wrong in the import, such as a library that is missing, then reaches the Event's status as the plugin's own
words, instead of ending in the container's log.
"""

import importlib
import os
import sys

from .runtime import serve


def main(arguments):
    if len(arguments) != 1:
        print("usage: python3 -m mre_plugin MODULE", file=sys.stderr)
        return 2
    name = arguments[0]
    sys.path.insert(0, os.getcwd())

    def prepare():
        getattr(importlib.import_module(name), "init", _nothing)()

    serve(prepare)
    return 0


def _nothing():
    pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
