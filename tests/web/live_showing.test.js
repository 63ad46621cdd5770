/** A segment that comes over WebRTC, with time by hand and a line that a test speaks through. */
import { test } from "node:test";

import { Emitter } from "../../src/ditto_avatar/web/core/emitter.js";
import { LiveShowing } from "../../src/ditto_avatar/web/core/live_showing.js";
import { Segment } from "../../src/ditto_avatar/web/core/timeline.js";
import { equal, FakeClock, settled, truthy } from "./harness.js";

const RTP = 90_000;
const FRAMES = 60;

function opened() {
  const clock = new FakeClock();
  const segment = new Segment({ segment: "s", mime: "video/mp4", transport: "rtc" });
  const video = { paused: false, muted: false, style: { zIndex: "3" }, getAnimations: () => [] };
  const line = Object.assign(new Emitter(), { layer: { video, shown: null }, driftMs: 7 });
  const showing = new LiveShowing({ segment, line, clock });
  const told = [];
  for (const name of ["tick", "ending", "ended"]) showing.on(name, () => told.push(name));
  showing.on("failed", ({ at }) => told.push(`failed at ${at.toFixed(2)}`));
  showing.on("report", ({ state, media_ms: ms }) => told.push(`${state} ${ms}`));
  return { clock, segment, line, showing, told, video };
}

async function paint({ clock, line }, frames) {
  for (const frame of frames) {
    line.emit("frame", { rtp: RTP + 3_600 * frame, now: clock.now() });
    await clock.advance(40);
  }
}

const range = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);

async function playing(world, frames = FRAMES) {
  world.segment.place({ rtp: RTP, frame: 0, frames });
  const begun = world.showing.play();
  await paint(world, [0]);
  await begun;
  world.showing.seen();
}

test("is ready once the server says where it is", () => {
  const { segment, showing } = opened();
  equal(showing.ready, false);
  segment.place({ rtp: RTP, frame: 0, frames: null });
  equal(showing.ready, true);
});

test("is seen at once when its picture came before the message that says whose it is", async () => {
  const world = opened();
  world.line.newest = { rtp: RTP + 3_600, now: world.clock.now() };
  world.segment.place({ rtp: RTP, frame: 0, frames: FRAMES });
  await world.showing.play();
  equal(world.showing.position, 0.04);
});

test("does not take the last picture of the sentence before for its own", async () => {
  const world = opened();
  world.line.newest = { rtp: RTP - 3_600, now: world.clock.now() };
  world.segment.place({ rtp: RTP, frame: 0, frames: FRAMES });
  let begun = false;
  world.showing.play().then(() => (begun = true));
  await settled();
  equal(begun, false);
  await paint(world, [0]);
  equal(begun, true);
});

test("reports what was seen, each second and at its end", async () => {
  const world = opened();
  await playing(world);
  await paint(world, range(1, FRAMES));
  await world.clock.advance(200);
  const reports = world.told.filter((what) => / /.test(what));
  equal(reports.map((what) => what.split(" ")[0]), ["painted", "playing", "playing", "ended"]);
  equal(reports.at(-1), `ended ${FRAMES * 40}`);
  equal(world.told.filter((what) => what === "ending").length, 1);
  equal(world.told.at(-1), "ended");
  equal(world.clock.waiting, []);
});

test("says where it broke off, a little before, so that no word is missing", async () => {
  const world = opened();
  await playing(world);
  await paint(world, range(1, 26));
  world.line.emit("down", { reason: "silent" });
  equal(world.told.at(-1), "failed at 0.94");
});

test("is not over when the line falls silent shortly before its end", async () => {
  const world = opened();
  await playing(world);
  await paint(world, range(1, FRAMES - 20));
  await world.clock.advance(1_300);
  world.line.emit("down", { reason: "silent" });
  equal(world.told.at(-1), "failed at 1.50");
});

test("ends by itself when the last pictures are not painted", async () => {
  const world = opened();
  await playing(world);
  await paint(world, range(1, FRAMES - 3));
  await world.clock.advance(240);
  equal(world.told.at(-1), "ended");
});

test("reports once that it was dropped, and lets go of the video when it is closed", async () => {
  const world = opened();
  await playing(world);
  world.showing.drop();
  await world.showing.over;
  world.showing.close();
  world.showing.drop();
  await paint(world, range(1, 5));
  await settled();
  equal(world.told.filter((what) => what.startsWith("dropped")).length, 1);
  truthy(world.video.muted, "nothing is heard any more");
  equal(world.video.style.zIndex, "0");
});
