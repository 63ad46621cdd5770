import { test } from "node:test";

import { Timeline } from "../../src/ditto_avatar/web/core/timeline.js";
import { equal } from "./harness.js";

const turn = (generation) => ({ turn: `t${generation}`, generation });
const started = (generation) => ({ type: "turn.started", ...turn(generation) });
const segment = (generation, index) => ({
  type: "segment.started",
  ...turn(generation),
  segment: `${generation}.${index}`,
  index,
  text: "text",
  mime: "video/mp4",
  first_frame: 10,
});
const ready = (generation, index) => ({
  ...segment(generation, index),
  type: "video_ready",
  video_url: `/video/${generation}.${index}.mp4`,
  duration: 1,
  last_frame: 34,
});
const header = (generation, index, fragment, last = false) => ({
  generation,
  segment: `${generation}.${index}`,
  index: fragment,
  bytes: 4,
  last,
});
const bytes = () => new ArrayBuffer(4);
const ids = (timeline) => timeline.segments.map(({ id }) => id);

function timelineOf(...events) {
  const timeline = new Timeline();
  for (const event of events) timeline.apply(event);
  return timeline;
}

test("segments wait in the order of the answer", () => {
  equal(ids(timelineOf(started(1), segment(1, 0), segment(1, 1))), ["1.0", "1.1"]);
});

test("a clip that was missed is put where it belongs", () => {
  equal(ids(timelineOf(started(1), segment(1, 1), ready(1, 0))), ["1.0", "1.1"]);
});

test("a new turn drops what is left of the last one", () => {
  const timeline = timelineOf(started(1), segment(1, 0));
  let dropped = 0;
  timeline.on("dropped", () => dropped++);
  timeline.apply(started(2));
  equal([ids(timeline), dropped], [[], 1]);
});

test("a turn that is confirmed again shows nothing twice", () => {
  const timeline = timelineOf(started(1), segment(1, 0), segment(1, 1));
  timeline.remove(timeline.segments[0]);
  timeline.apply(started(1));
  timeline.apply(ready(1, 0));
  equal(ids(timeline), ["1.1"]);
});

test("what an old generation still sends is dropped", () => {
  const timeline = timelineOf(started(1), segment(1, 0), started(2), segment(2, 0));
  equal(timeline.apply(segment(1, 1)), false);
  equal(timeline.apply(ready(1, 0)), false);
  equal(timeline.addFragment(header(1, 0, 0), bytes()), false);
  equal(ids(timeline), ["2.0"]);
});

test("an interrupted turn is over even before the server agrees", () => {
  const timeline = timelineOf(started(1), segment(1, 0));
  timeline.interrupt();
  equal([ids(timeline), timeline.open], [[], false]);
  equal(timeline.apply(segment(1, 1)), false);
  equal(timeline.addFragment(header(1, 0, 0), bytes()), false);
  timeline.apply(started(2));
  timeline.apply(segment(2, 0));
  equal(ids(timeline), ["2.0"]);
});

test("the server's interruption drops the turn, the next one goes on", () => {
  const timeline = timelineOf(started(1), segment(1, 0));
  timeline.apply({ type: "turn.interrupted", ...turn(1), reason: "user" });
  equal([ids(timeline), timeline.open], [[], false]);
  equal(timeline.apply(segment(1, 1)), false);
  timeline.apply(started(2));
  equal(timeline.apply(segment(2, 0)), true);
});

test("fragments are kept in order, and the last one ends the segment", () => {
  const timeline = timelineOf(started(1), segment(1, 0));
  timeline.addFragment(header(1, 0, 0), bytes());
  timeline.addFragment(header(1, 0, 1, true), bytes());
  const [{ fragments, complete, broken }] = timeline.segments;
  equal([fragments.length, complete, broken], [2, true, false]);
});

test("the end may come without bytes", () => {
  const timeline = timelineOf(started(1), segment(1, 0));
  timeline.addFragment(header(1, 0, 0), bytes());
  timeline.addFragment({ ...header(1, 0, 1, true), bytes: 0 }, null);
  equal([timeline.segments[0].fragments.length, timeline.segments[0].complete], [1, true]);
});

test("a hole in the fragments breaks the stream", () => {
  const timeline = timelineOf(started(1), segment(1, 0));
  timeline.addFragment(header(1, 0, 1), bytes());
  equal([timeline.segments[0].broken, timeline.segments[0].streamable], [true, false]);
});

test("a viewer that was too slow waits for the clip", () => {
  const timeline = timelineOf(started(1), segment(1, 0));
  timeline.addFragment({ ...header(1, 0, 0, true), bytes: 0, dropped: true }, null);
  equal(timeline.segments[0].streamable, false);
});

test("a broken line breaks unfinished streams and leaves finished ones", () => {
  const timeline = timelineOf(started(1), segment(1, 0), segment(1, 1));
  timeline.addFragment(header(1, 0, 0, true), bytes());
  timeline.breakOff();
  equal(timeline.segments.map(({ streamable }) => streamable), [true, false]);
});

test("the clip tells where the idle loop goes on", () => {
  const timeline = timelineOf(started(1), segment(1, 0), ready(1, 0));
  const [{ clipUrl, lastFrame }] = timeline.segments;
  equal([clipUrl, lastFrame], ["/video/1.0.mp4", 34]);
});

test("a clip that comes after its segment was shown is not shown again", () => {
  const timeline = timelineOf(started(1), segment(1, 0));
  timeline.remove(timeline.segments[0]);
  timeline.apply(ready(1, 0));
  equal(ids(timeline), []);
});

test("is open from the start of a turn to its end", () => {
  const timeline = timelineOf(started(1));
  equal(timeline.open, true);
  timeline.apply({ type: "turn.finished", ...turn(1) });
  equal(timeline.open, false);
});

test("clips of the history play again, twice if one likes", () => {
  const timeline = timelineOf(started(1), ready(1, 0));
  timeline.apply({ type: "turn.finished", ...turn(1) });
  timeline.remove(timeline.segments[0]);
  for (let time = 0; time < 2; time++) {
    equal(timeline.replay([ready(1, 0)]), true);
    equal(ids(timeline), ["1.0"]);
    timeline.remove(timeline.segments[0]);
  }
});

test("nothing is repeated while an answer is in progress", () => {
  const timeline = timelineOf(started(1));
  equal(timeline.replay([ready(1, 0)]), false);
});

test("a turn that the server forgot is dropped, and the next one may be shown", () => {
  const timeline = timelineOf(started(1), segment(1, 0));
  timeline.addFragment(header(1, 0, 0, true), bytes());
  timeline.skip(null);
  equal([ids(timeline), timeline.open], [[], false]);
  timeline.apply(started(2));
  timeline.apply(segment(2, 0));
  equal(ids(timeline), ["2.0"]);
});

test("an answer that was complete before the gap is shown to its end", () => {
  const timeline = timelineOf(started(1), segment(1, 0));
  timeline.addFragment(header(1, 0, 0, true), bytes());
  timeline.apply({ type: "turn.finished", ...turn(1) });
  timeline.skip(null);
  equal(ids(timeline), ["1.0"]);
});

test("after a gap a running turn goes on without the sentences that have holes", () => {
  const timeline = timelineOf(started(1), segment(1, 0), ready(1, 1));
  timeline.addFragment(header(1, 0, 0), bytes());
  timeline.breakOff();
  timeline.skip("t1");
  equal([ids(timeline), timeline.open], [["1.1"], true]);
});

test("a new conversation may count from one again", () => {
  const timeline = timelineOf(started(5), segment(5, 0));
  timeline.reset();
  timeline.apply(started(1));
  equal(timeline.apply(segment(1, 0)), true);
});
