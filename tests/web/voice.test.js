import { test } from "node:test";

import { Resampler, toInt16 } from "../../src/ditto_avatar/web/core/pcm-worklet.js";
import { preferredLanguage, STRINGS } from "../../src/ditto_avatar/web/ui/strings.js";
import { equal, truthy } from "./harness.js";

/** The tone of `hz` after the resampler from `rate`, fed in blocks of 128 samples. */
function resampledTone(rate, hz, seconds = 0.5) {
  const resampler = new Resampler(rate / 16_000);
  const output = [];
  for (let start = 0; start < rate * seconds; start += 128) {
    const block = Float32Array.from({ length: 128 }, (_, i) =>
      Math.sin((2 * Math.PI * hz * (start + i)) / rate),
    );
    output.push(...resampler.push(block));
  }
  return output;
}

const loudness = (samples) => Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length);

test("a voice keeps its pitch and its level from 48 and 44.1 kHz", () => {
  for (const rate of [48_000, 44_100]) {
    const tone = resampledTone(rate, 440);
    truthy(Math.abs(tone.length - 8000) < 40, `8000 samples from ${rate} Hz, not ${tone.length}`);
    const crossings = tone.filter((x, i) => i > 0 && x >= 0 && tone[i - 1] < 0).length;
    truthy(Math.abs(crossings - 220) <= 2, `220 waves from ${rate} Hz, not ${crossings}`);
    truthy(Math.abs(loudness(tone) - Math.SQRT1_2) < 0.02, `level from ${rate} Hz`);
  }
});

test("what 16 kHz cannot carry does not come back as a lower tone", () => {
  truthy(loudness(resampledTone(48_000, 12_000)) < 0.02, "12 kHz must be filtered out");
});

test("samples at 16 kHz pass as they are", () => {
  const samples = Float32Array.of(0.1, -0.2);
  equal(new Resampler(1).push(samples), samples);
});

test("samples are clipped to 16 bits", () => {
  equal([2, 1, 0, -1, -2].map(toInt16), [32767, 32767, 0, -32768, -32768]);
});

test("both languages have the same texts", () => {
  const keys = (value) =>
    Object.entries(value).flatMap(([key, inner]) =>
      inner !== null && typeof inner === "object" && !Array.isArray(inner) ? keys(inner).map((k) => `${key}.${k}`) : [key],
    );
  equal(keys(STRINGS.ko).sort(), keys(STRINGS.en).sort());
});

test("the first in the queue is next, the others are told how many come before", () => {
  const told = ({ phases }) => [1, 2, 4].map(phases.queued);
  equal(told(STRINGS.en), ["You are next.", "Waiting, 1 ahead of you", "Waiting, 3 ahead of you"]);
  equal(told(STRINGS.ko), ["다음 차례예요.", "대기 중, 앞에 1명", "대기 중, 앞에 3명"]);
});

test("the browser's languages choose the page's", () => {
  equal(preferredLanguage(["fr-FR", "ko-KR", "en"]), "ko");
  equal(preferredLanguage(["en-GB"]), "en");
  equal(preferredLanguage(["fr"]), "en");
});
