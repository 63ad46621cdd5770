import { test } from "node:test";

import { Recognition } from "../../src/ditto_avatar/web/core/recognition.js";
import { equal } from "./harness.js";

/** The browser's engine as a test drives it; like a real one it ends some time after `stop`. */
class FakeEngine {
  static made = [];
  starts = 0;

  constructor() {
    FakeEngine.made.push(this);
  }

  start() {
    this.starts += 1;
  }

  stop() {}

  hear(...pieces) {
    const results = pieces.map(([transcript, isFinal]) => Object.assign([{ transcript }], { isFinal }));
    this.onresult({ resultIndex: 0, results });
  }
}

function listening({ continuous = true } = {}) {
  globalThis.SpeechRecognition = FakeEngine;
  FakeEngine.made = [];
  const recognition = new Recognition();
  const told = [];
  const tell = (name) => (value) => told.push(value === undefined ? name : `${name} ${value}`);
  const names = ["onVoice", "onInterim", "onFinal", "onError", "onNothing", "onEnd"];
  const handlers = Object.fromEntries(names.map((name) => [name, tell(name)]));
  const start = () => recognition.start({ language: "ko", continuous }, handlers);
  start();
  return { recognition, told, start };
}

test("an old recogniser that ends late leaves the new one on", () => {
  const { recognition, told, start } = listening();
  recognition.stop();
  start();
  const [old, present] = FakeEngine.made;
  old.onend();
  equal([told, old.starts, present.starts], [[], 1, 1]);
  present.onend();
  equal([told, present.starts], [[], 2]);
});

test("what was said before the stop is still told", () => {
  const { recognition, told } = listening({ continuous: false });
  recognition.stop();
  FakeEngine.made[0].hear(["안녕하세요", true]);
  FakeEngine.made[0].onend();
  equal(told, ["onFinal 안녕하세요"]);
});

test("a button that held a silence is told of", () => {
  const { recognition, told } = listening({ continuous: false });
  FakeEngine.made[0].onerror({ error: "no-speech" });
  recognition.stop();
  FakeEngine.made[0].onend();
  equal(told, ["onNothing"]);
});

test("one that ends by itself says so, and goes on where it is continuous", () => {
  const once = listening({ continuous: false });
  FakeEngine.made[0].onend();
  equal(once.told, ["onNothing", "onEnd"]);
  const on = listening();
  FakeEngine.made[0].onerror({ error: "no-speech" });
  FakeEngine.made[0].onend();
  equal([on.told, FakeEngine.made[0].starts], [[], 2]);
});

test("after an error it does not begin again", () => {
  const { told } = listening();
  FakeEngine.made[0].onerror({ error: "not-allowed" });
  FakeEngine.made[0].onend();
  equal([told, FakeEngine.made[0].starts], [["onError not-allowed", "onEnd"], 1]);
});

test("the pieces of one utterance are told together", () => {
  const { told } = listening();
  FakeEngine.made[0].hear([" that is it ", true], ["what ", false], ["now", false]);
  equal(told, ["onFinal that is it", "onInterim what now"]);
});
