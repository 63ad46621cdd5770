import { test } from "node:test";

import { Room } from "../../src/ditto_avatar/web/kiosk/presence.js";
import { TEXTS } from "../../src/ditto_avatar/web/kiosk/texts.js";
import {
  GONE_WITH_CAMERA_MS,
  GONE_WITHOUT_CAMERA_MS,
  INVITE_MS,
  Visit,
} from "../../src/ditto_avatar/web/kiosk/visit.js";
import { equal, FakeClock, truthy } from "./harness.js";

function begin() {
  const clock = new FakeClock();
  const told = [];
  const state = { busy: false };
  const visit = new Visit({ clock, busy: () => state.busy });
  for (const type of ["came", "left", "invite"]) visit.on(type, () => told.push(type));
  visit.start();
  return { clock, told, state, visit };
}

test("somebody who touches comes, and leaves after a minute without a touch", async () => {
  const { clock, told, visit } = begin();
  visit.touched();
  await clock.advance(GONE_WITHOUT_CAMERA_MS - 2_000);
  visit.touched();
  await clock.advance(GONE_WITHOUT_CAMERA_MS - 2_000);
  equal(told, ["came"]);
  await clock.advance(4_000);
  equal(told, ["came", "left"]);
});

test("a camera keeps somebody who only looks, and lets nobody go sooner", async () => {
  const { clock, told, visit } = begin();
  for (let i = 0; i < 100; i++) {
    visit.camera(true);
    await clock.advance(1_000);
  }
  equal(told, ["came"]);
  visit.camera(false);
  await clock.advance(GONE_WITH_CAMERA_MS + 1_000);
  equal(told, ["came", "left"]);
});

test("nobody leaves in the middle of an answer", async () => {
  const { clock, told, state, visit } = begin();
  visit.touched();
  state.busy = true;
  await clock.advance(10 * GONE_WITHOUT_CAMERA_MS);
  equal(told, ["came"]);
  state.busy = false;
  await clock.advance(GONE_WITHOUT_CAMERA_MS + 2_000);
  equal(told, ["came", "left"]);
});

test("people are invited while nobody is there, and not while somebody is", async () => {
  const { clock, told, visit } = begin();
  await clock.advance(2 * INVITE_MS + 3_000);
  equal(told, ["invite", "invite"]);
  visit.touched();
  await clock.advance(INVITE_MS + 3_000);
  equal(told, ["invite", "invite", "came"]);
});

test("a kiosk that was ended does nothing more", async () => {
  const { clock, told, visit } = begin();
  visit.close();
  await clock.advance(10 * INVITE_MS);
  equal(told, []);
});

const POINTS = 32 * 24;
const room = (light = 0) => Float32Array.from({ length: POINTS }, (_, i) => 90 + (i % 17) + light);

/** The room with somebody in the middle. */
function person(light = 0) {
  return room(light).map((value, i) => (i % 32 > 10 && i % 32 < 22 && i > 200 ? value + 60 : value));
}

function looks(watched, picture, times) {
  let seen;
  for (let i = 0; i < times; i++) seen = watched.look(picture);
  return seen;
}

test("somebody is seen after some pictures, and is gone after some others", () => {
  const watched = new Room();
  equal(looks(watched, room(), 20), false);
  equal(looks(watched, person(), 1), false);
  equal(looks(watched, person(), 3), true);
  equal(looks(watched, room(), 4), false);
});

test("light that is switched on is nobody", () => {
  const watched = new Room();
  looks(watched, room(), 20);
  equal(looks(watched, room(40), 20), false);
});

test("somebody who stands still for two minutes is still seen", () => {
  const watched = new Room();
  looks(watched, room(), 20);
  equal(looks(watched, person(), 480), true);
});

test("both languages have the same texts", () => {
  equal(Object.keys(TEXTS.ko).sort(), Object.keys(TEXTS.en).sort());
  truthy(Object.values(TEXTS.ko).every(Boolean));
});
