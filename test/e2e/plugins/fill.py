# SPDX-License-Identifier: Apache-2.0
"""Writes to its disk without end."""

from mre_plugin import featurer, run


@featurer
def detect(ctx):
    with open("/tmp/fill", "wb", buffering=0) as file:
        while file.tell() < 2 << 30:
            file.write(bytes(1 << 20))


run()
