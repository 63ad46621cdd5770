import { test } from "node:test";

import { Hearing, isEcho } from "../../src/ditto_avatar/web/core/hearing.js";
import { equal, FakeClock } from "./harness.js";

const FIRST = "This is the first sentence.";
const SECOND = "And this is another one.";

function hearingAfter(...sentences) {
  const clock = new FakeClock();
  const hearing = new Hearing(clock);
  for (const sentence of sentences) hearing.speaks(sentence);
  return { hearing, clock };
}

test("the presenter's own words are an echo, another sentence is not", () => {
  equal(isEcho("this is the first", FIRST), true);
  equal(isEcho("this was the first sentence", FIRST), true);
  equal(isEcho("stop please", FIRST), false);
  equal(isEcho("", "anything"), true);
});

test("the same words in another order are no echo", () => {
  equal(isEcho("is the first sentence this", FIRST), true);
  equal(isEcho("sentence first the is this", FIRST), false);
});

test("words that are far apart in what was spoken are no echo", () => {
  const spoken = "Stop signs are red. Many people in this town say that they are the oldest now.";
  equal(isEcho("stop people now", spoken), false);
});

test("Korean is compared by syllables, wherever the spaces are", () => {
  const spoken = "이것은 첫 번째 문장입니다.";
  equal(isEcho("이것은첫번째 문장 입니다", spoken), true);
  equal(isEcho("이 것은 첫번 째", spoken.normalize("NFD")), true);
  equal(isEcho("그만 말해", spoken), false);
  equal(isEcho("GPU가 필요해요", "네, GPU가 필요해요."), true);
});

test("a sentence that comes back after it ended is an echo, but not for ever", async () => {
  const { hearing, clock } = hearingAfter(FIRST, SECOND, "");
  equal(hearing.isPerson("this is the first", true), false);
  equal(hearing.isPerson("what is the weather like", true), true);
  await clock.advance(6_000);
  equal(hearing.isPerson("this is the first", true), true);
});

test("an echo of two sentences at once is an echo", () => {
  const { hearing } = hearingAfter(FIRST, SECOND);
  equal(hearing.isPerson("the first sentence and this is another", true), false);
});

test("a long utterance is compared with all that sounded since it began", async () => {
  const { hearing, clock } = hearingAfter(FIRST);
  equal(hearing.isPerson("this is", false), false);
  await clock.advance(9_000);
  hearing.speaks(SECOND);
  await clock.advance(6_000);
  equal(hearing.isPerson("this is the first sentence and this is another one", true), false);
});

test("only what has lasted 300 ms interrupts before it is final", async () => {
  const { hearing, clock } = hearingAfter(FIRST);
  hearing.voiceBegan(clock.now());
  await clock.advance(200);
  equal(hearing.isPerson("wait a", false), false);
  await clock.advance(100);
  equal(hearing.isPerson("wait a", false), true);
});

test("without a beginning two words interrupt, or four syllables of Hangul", () => {
  const { hearing } = hearingAfter(FIRST);
  const heard = ["uh", "wait please", "잠깐", "잠깐만요"];
  equal(heard.map((text) => hearing.isPerson(text, false)), [false, true, false, true]);
});

test("the beginning of one utterance says nothing about the next", async () => {
  const { hearing, clock } = hearingAfter(FIRST);
  hearing.voiceBegan(clock.now());
  await clock.advance(500);
  equal(hearing.isPerson("never mind", true), true);
  equal(hearing.isPerson("uh", false), false);
});

test("a short word counts when it is final, or when the presenter is silent", () => {
  const { hearing } = hearingAfter(FIRST);
  equal(hearing.isPerson("why", true), true);
  hearing.speaks("");
  equal(hearing.isPerson("why", false), true);
});
