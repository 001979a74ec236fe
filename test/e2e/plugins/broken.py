# SPDX-License-Identifier: Apache-2.0
"""Cannot even start."""

from mre_plugin import featurer, run


@featurer
def detect(ctx):
    return []


def load():
    raise FileNotFoundError("the weights are not at /models/crowd.bin")


run(load)
