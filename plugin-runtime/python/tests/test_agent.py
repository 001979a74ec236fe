# SPDX-License-Identifier: Apache-2.0
"""Frames, variables, prompts and models, over HTTP."""

import json
import os
import unittest
from unittest import mock

from mre_plugin import Model, ModelError, Result, Tensor, featurer, frames, registry
from mre_plugin.agent import AgentError
from mre_plugin.runtime import answer

from .support import Agent, invocation

# Three grey pictures of 2x1 at 5 frames a second from 6.04 s.
FRAMES = (
    {
        "X-Mre-Width": 2,
        "X-Mre-Height": 1,
        "X-Mre-Frames": 3,
        "X-Mre-Rate-Num": 5,
        "X-Mre-Rate-Den": 1,
        "X-Mre-First-Micros": 6_040_000,
    },
    bytes([10, 20, 30, 40, 50, 60]),
)


class WithAgent(unittest.TestCase):
    def setUp(self):
        self.agent = Agent()
        self.agent.__enter__()
        self.addCleanup(self.agent.__exit__)
        environment = mock.patch.dict(os.environ, self.agent.environment)
        environment.start()
        self.addCleanup(environment.stop)
        self.addCleanup(registry.HANDLERS.clear)

    def run_with(self, handler, **more):
        featurer(handler)
        return json.loads(answer(invocation(**more)))["Mre"]

    def test_frames(self):
        self.agent.frames = FRAMES
        seen = []

        def detect(ctx):
            for f in ctx.frames(width=2, rate="5/2"):
                seen.append((f.start, f.end, f.width, f.height, list(bytes(f.pixels))))
                array = hasattr(f.pixels, "shape") and not isinstance(f.pixels, memoryview)
                self.assertEqual(array, frames.numpy is not None)

        self.run_with(detect)
        self.assertEqual(
            seen,
            [
                (6_040_000, 6_240_000, 2, 1, [10, 20]),
                (6_240_000, 6_440_000, 2, 1, [30, 40]),
                (6_440_000, 6_640_000, 2, 1, [50, 60]),
            ],
        )
        self.assertIn(("GET", "/mre/v1/frames?width=2&format=gray&rate=5%2F2"), self.agent.calls)

    def test_colour_frames(self):
        self.agent.frames = ({**FRAMES[0], "X-Mre-Frames": 1}, FRAMES[1])

        def detect(ctx):
            (frame,) = ctx.frames(width=2, gray=False)
            self.assertEqual(len(bytes(frame.pixels)), 6)
            if frames.numpy:
                self.assertEqual(frame.pixels[0, 1].tolist(), [40, 50, 60])

        self.run_with(detect)

    def test_frames_that_break_off(self):
        self.agent.frames = (FRAMES[0], FRAMES[1][:3])
        with self.assertRaisesRegex(AgentError, "frame 1 of 3"):
            self.run_with(lambda ctx: [None for _ in ctx.frames(width=2)])

    def test_the_agents_words_reach_the_author(self):
        with self.assertRaisesRegex(AgentError, "404: there is no such thing"):
            self.run_with(lambda ctx: ctx.prompt("none"))

    def test_without_an_agent(self):
        del os.environ["MRE_API"]
        with self.assertRaisesRegex(AgentError, "MRE_API is not set"):
            self.run_with(lambda ctx: ctx.prompt("none"))

    def test_variables(self):
        def detect(ctx):
            v = ctx.variables
            self.assertEqual((v["Theme"], v.get("None"), len(v)), ("weather", None, 2))
            v["Theme"] = "sports"
            self.assertEqual(v["Theme"], "sports")
            self.assertFalse(v.swap("Count", 7, 8))
            self.assertTrue(v.swap("Count", 1, 2))
            self.assertTrue(v.swap("New", None, "x"))
            self.assertEqual((v["Count"], v["New"]), (2, "x"))
            with self.assertRaises(TypeError):
                v["Theme"] = ["a list"]
            return [Result(start=6_000_000)]

        self.assertEqual(self.run_with(detect)["variables"], {"Theme": "sports"})
        self.assertEqual(self.agent.variables, {"Theme": "weather", "Count": 2, "New": "x"})

    def test_prompt(self):
        def detect(ctx):
            self.assertEqual(ctx.prompt("Describe it", "v2"), "Say {what}")

        self.run_with(detect)
        self.assertIn(("GET", "/mre/v1/prompts/Describe%20it?version=v2"), self.agent.calls)

    def test_model(self):
        address = f"http://{self.agent.address}/served/"

        def detect(ctx):
            y = ctx.model.infer(Tensor.of("x", [[1.5, 2], [3, 4]]), outputs=["y"])["y"]
            self.assertEqual((y.shape, y.data), ((2, 2), [3.0, 4, 6, 8]))
            if frames.numpy:
                self.assertEqual(y.array()[1].tolist(), [6, 8])
                zeros = frames.numpy.zeros((1, 2), "uint8")
                self.assertEqual(Tensor.of("x", zeros), Tensor("x", "UINT8", (1, 2), [0, 0]))

        self.run_with(detect, model={"name": "crowd 1", "protocol": "OpenInference", "address": address})
        path, body, _ = self.agent.said.get(timeout=10)
        self.assertEqual(path, "/served/v2/models/crowd%201/infer")
        self.assertEqual(
            body,
            {
                "inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1.5, 2, 3, 4]}],
                "outputs": [{"name": "y"}],
            },
        )

    def test_models_that_cannot_answer(self):
        with self.assertRaisesRegex(ModelError, "plain address"):
            Model("m", "Plain", "arn:x").infer(Tensor.of("x", [1]))
        with self.assertRaisesRegex(ModelError, "cannot be reached"):
            Model("m", "OpenInference", "http://127.0.0.1:1", 5).infer(Tensor.of("x", [1]))
        with self.assertRaisesRegex(ValueError, "ragged"):
            Tensor.of("x", [[1], [2, 3]])

    def test_numbers_of_numpy(self):
        numpy = frames.numpy
        if numpy is None:
            with self.assertRaisesRegex(ModelError, "needs numpy"):
                Tensor.of("x", [1]).array()
            return

        def detect(ctx):
            attributes = {"a": numpy.float32(0.5), "b": numpy.bool_(True), "c": numpy.arange(2)}
            return [Result(start=numpy.int64(6_000_000), attributes=attributes)]

        want = {"startMicros": 6_000_000, "endMicros": 6_000_000, "attributes": {"a": 0.5, "b": True, "c": [0, 1]}}
        self.assertEqual(self.run_with(detect)["results"], [want])


if __name__ == "__main__":
    unittest.main()
