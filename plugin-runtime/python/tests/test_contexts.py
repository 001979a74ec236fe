# SPDX-License-Identifier: Apache-2.0
"""What functions see and may answer, by class."""

import json
import unittest

from mre_plugin import Label, Micros, Optimized, Result, featurer, labeler, optimizer, registry, seconds, segmenter
from mre_plugin.runtime import answer

from .support import invocation, segment


class Contexts(unittest.TestCase):
    def setUp(self):
        self.addCleanup(registry.HANDLERS.clear)

    def ask(self, event):
        return json.loads(answer(event))["Mre"]

    def test_what_a_featurer_sees(self):
        seen = {}

        @featurer
        def detect(ctx):
            seen.update(
                chunk=(ctx.chunk.start.seconds, ctx.chunk.end.seconds, ctx.chunk.holds(ctx.chunk.end)),
                rate=str(ctx.timeline.rate),
                frame=ctx.timeline.frame_start(30),
                track=ctx.timeline.audio_tracks[0].language,
                media=ctx.media_path,
                found=[(d.plugin, d.start, d.is_point, d.attributes["n"]) for d in ctx.detections()],
            )
            self.assertTrue(0 < ctx.remaining_seconds <= 60)

        dependencies = {
            "b": [{"startMicros": 7, "endMicros": 9, "track": 1, "attributes": {"n": 2}}],
            "a": [{"startMicros": 5, "endMicros": 5, "track": 0, "attributes": {"n": 1}}],
        }
        self.assertEqual(self.ask(invocation(dependencies=dependencies)), {"contract": "v1", "results": []})
        self.assertEqual(
            seen,
            {
                "chunk": (6.0, 12.0, False),
                "rate": "30000/1001",
                "frame": 1_001_000,
                "track": "en",
                "media": "/mre/media/1/Open_final_1_00002.ts",
                "found": [("a", 5, True, 1), ("b", 7, False, 2)],
            },
        )

    def test_a_chunk_without_media(self):
        @featurer
        def detect(ctx):
            self.assertIsNone(ctx.media_path)
            return [Result(start=0) for _ in ctx.frames()]

        self.assertEqual(self.ask(invocation(media=None))["results"], [])

    def test_times(self):
        self.assertEqual(seconds(1.5), 1_500_000)
        total = Micros(2) + 3
        self.assertIsInstance(total, Micros)
        for wrong in (1.5, 2.0, "3", True, None):
            with self.subTest(wrong), self.assertRaises(TypeError) as e:
                Result(start=wrong)
            self.assertIn("seconds(", str(e.exception))
        with self.assertRaisesRegex(TypeError, r"seconds\(0.5\)"):
            Micros(1) + 0.5
        with self.assertRaisesRegex(ValueError, "before its start"):
            Result(start=2, end=1)

    def test_wrong_answers(self):
        cases = {
            "a dict instead of a Result": ([{"Start": 1}], TypeError, "yields Result, not dict"),
            "not a number": ([Result(start=1, attributes={"x": float("nan")})], ValueError, "not a number"),
            "an object": ([Result(start=1, attributes={"x": object()})], TypeError, "JSON does not know"),
        }
        for name, (returned, kind, message) in cases.items():
            with self.subTest(name):
                registry.HANDLERS["featurer"] = lambda ctx, returned=returned: returned
                with self.assertRaisesRegex(kind, message):
                    answer(invocation())

    def test_the_class_that_the_code_does_not_have(self):
        featurer(lambda ctx: None)
        with self.assertRaisesRegex(RuntimeError, "no @labeler"):
            answer(invocation("labeler"))
        with self.assertRaisesRegex(ValueError, "second @featurer"):
            featurer(len)

    def test_other_contracts(self):
        featurer(lambda ctx: None)
        with self.assertRaisesRegex(ValueError, "'v2'"):
            answer(invocation(contract="v2"))
        with self.assertRaisesRegex(ValueError, "no \"Mre\" key"):
            answer({})

    def test_a_segmenter_over_three_chunks(self):
        @segmenter
        def cut(ctx):
            for d in ctx.detections("whistle"):
                if ctx.is_open:
                    ctx.close(d.start, {"Whistles": 2})
                else:
                    ctx.open(d.start, {"Whistles": 1})
            if ctx.final and ctx.is_open:
                ctx.close(ctx.chunk.end, reason="SourceEnded")
            if not ctx.is_open and ctx.earliest < ctx.chunk.end:
                ctx.segment(max(ctx.earliest, ctx.chunk.end - seconds(1)), ctx.chunk.end + seconds(1))

        def whistles(*at):
            return {"whistle": [{"startMicros": t, "endMicros": t, "track": 0, "attributes": {}} for t in at]}

        self.assertEqual(
            self.ask(invocation("segmenter", dependencies=whistles(7_000_000, 8_000_000, 9_000_000)))["segments"],
            [
                {"startMicros": 7_000_000, "endMicros": 8_000_000, "attributes": {"Whistles": 2}},
                {"startMicros": 9_000_000, "attributes": {"Whistles": 1}},
            ],
        )
        open_one = segment(5_000_000, attributes={"Whistles": 1})
        self.assertEqual(
            self.ask(invocation("segmenter", dependencies=whistles(), segments=[segment(1, 2), open_one]))["segments"],
            [],
        )
        self.assertEqual(
            self.ask(invocation("final", dependencies=whistles(), segments=[open_one]))["segments"],
            [
                {
                    "id": open_one["id"],
                    "startMicros": 5_000_000,
                    "endMicros": 12_000_000,
                    "closeReason": "SourceEnded",
                    "attributes": {"Whistles": 1},
                }
            ],
        )
        self.assertEqual(
            self.ask(invocation("segmenter", dependencies=whistles(), previousEndMicros=11_500_000))["segments"],
            [{"startMicros": 11_500_000, "endMicros": 13_000_000, "attributes": {}}],
        )

    def test_segments_cannot_overlap(self):
        cases = {
            "start before the last end": (lambda ctx: ctx.open(4_999_999), ValueError, "overlap"),
            "two open": (lambda ctx: (ctx.open(6_000_000), ctx.open(7_000_000)), ValueError, "close it before"),
            "within one run": (
                lambda ctx: (ctx.segment(6_000_000, 8_000_000), ctx.open(7_000_000)),
                ValueError,
                "overlap",
            ),
            "after the chunk": (lambda ctx: ctx.open(12_000_000), ValueError, "after the chunk's end"),
            "end at the start": (lambda ctx: ctx.segment(6_000_000, 6_000_000), ValueError, "nothing would be left"),
            "nothing to close": (lambda ctx: ctx.close(6_000_000), ValueError, "no open segment to close"),
            "nothing to describe": (lambda ctx: ctx.describe({}), ValueError, "no open segment to describe"),
            "a float": (lambda ctx: ctx.open(6.5), TypeError, r"seconds\(6.5\)"),
            "a result": (lambda ctx: [Result(start=1)], TypeError, "yields nothing"),
        }
        for name, (handler, kind, message) in cases.items():
            with self.subTest(name):
                registry.HANDLERS["segmenter"] = lambda ctx, handler=handler: (
                    handler(ctx) if name == "a result" else [handler(ctx), None][1]
                )
                with self.assertRaisesRegex(kind, message):
                    answer(invocation("segmenter", previousEndMicros=5_000_000))

    def test_describe_the_open_segment(self):
        @segmenter
        def cut(ctx):
            ctx.describe({"Score": "1:0"})

        one = segment(5_000_000, attributes={"Team": "A"})
        self.assertEqual(
            self.ask(invocation("segmenter", segments=[one]))["segments"],
            [{"id": one["id"], "startMicros": 5_000_000, "attributes": {"Team": "A", "Score": "1:0"}}],
        )

    def test_optimizer(self):
        @optimizer
        def move(ctx):
            for s in ctx.segments:
                cuts = ctx.during(s, "cuts", margin=seconds(1))
                yield Optimized(s, start=cuts[0].start) if cuts else Optimized(s)

        at = [{"startMicros": t, "endMicros": t, "track": 0, "attributes": {}} for t in (500_000, 1_500_000)]
        segments = [segment(2_000_000, 4_000_000), segment(8_000_000, 9_000_000)]
        self.assertEqual(
            self.ask(invocation("optimizer", segments=segments, dependencies={"cuts": at}))["optimized"],
            [
                {
                    "segmentID": "000001-2000000",
                    "startMicros": 1_500_000,
                    "endMicros": 4_000_000,
                    "startCode": "Moved",
                    "endCode": "Not moved",
                },
                {
                    "segmentID": "000001-8000000",
                    "startMicros": 8_000_000,
                    "endMicros": 9_000_000,
                    "startCode": "Not moved",
                    "endCode": "Not moved",
                },
            ],
        )

    def test_labeler(self):
        @labeler
        def name(ctx):
            return [Label(s, f"Segment {s.start.seconds:g}", {"Big": True}) for s in ctx.segments]

        self.assertEqual(
            self.ask(invocation("labeler", segments=[segment(2_000_000, 4_000_000)]))["labels"],
            [{"segmentID": "000001-2000000", "code": "Succeeded", "label": "Segment 2", "attributes": {"Big": True}}],
        )

    def test_marks_and_codes_that_make_no_sense(self):
        from mre_plugin.invocation import parse

        whole, opened = parse(invocation("optimizer", segments=[segment(2, 4), segment(6)])).segments
        with self.assertRaisesRegex(ValueError, "nothing would be left"):
            Optimized(whole, start=4)
        with self.assertRaisesRegex(ValueError, "is open"):
            Optimized(opened, start=4)
        with self.assertRaisesRegex(ValueError, "not made"):
            Label(whole, "x", code="Not Attempted")


if __name__ == "__main__":
    unittest.main()
