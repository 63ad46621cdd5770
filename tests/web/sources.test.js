/** A segment that goes on in the middle, in a video that counts in whole microseconds. */
import { test } from "node:test";

import { StreamSource } from "../../src/ditto_avatar/web/core/sources.js";
import { Segment } from "../../src/ditto_avatar/web/core/timeline.js";
import { equal } from "./harness.js";

class FakeBuffer extends EventTarget {
  updating = false;

  appendBuffer() {
    queueMicrotask(() => this.dispatchEvent(new Event("updateend")));
  }
}

class FakeMediaSource extends EventTarget {
  readyState = "open";
  buffer = new FakeBuffer();

  constructor() {
    super();
    queueMicrotask(() => this.dispatchEvent(new Event("sourceopen")));
  }

  addSourceBuffer() {
    return this.buffer;
  }
}

class FakeVideo {
  readyState = 4;
  seeking = false;
  seeks = 0;
  buffered = { length: 1, start: () => 0, end: () => 3 };
  #us = 0;

  get currentTime() {
    return this.#us / 1e6;
  }

  set currentTime(seconds) {
    this.seeks += 1;
    this.#us = Math.floor(seconds * 1e6);
  }
}

test("a stream goes on wherever it broke, and seeks once", async () => {
  const { createObjectURL } = URL;
  URL.createObjectURL = () => "blob:";
  try {
    for (const startSeconds of [1.1 - 0.1, 1.08 - 0.1, 1 / 3, 2 / 3, 1.7]) {
      const video = new FakeVideo();
      const segment = new Segment({ segment: "s", mime: "video/mp4" });
      const source = new StreamSource(video, segment, { MediaSource: FakeMediaSource, neededSeconds: 0.2, startSeconds });
      segment.add({ index: 0 }, new Uint8Array(1));
      segment.add({ index: 1 }, new Uint8Array(1));
      await new Promise((done) => setTimeout(done));
      equal([source.ready, video.seeks], [true, 1]);
    }
  } finally {
    URL.createObjectURL = createObjectURL;
  }
});
