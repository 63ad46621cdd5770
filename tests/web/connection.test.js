import { test } from "node:test";

import { Connection, retryDelay } from "../../src/ditto_avatar/web/core/connection.js";
import { equal, FakeClock, FakeSocket, FakeStorage, truthy } from "./harness.js";

const READY = {
  type: "session.ready", session: "s1", epoch: 4, token: "t1", resumed: false, seq: 1,
};

function begin({ storage = new FakeStorage(), join = null } = {}) {
  const sockets = [];
  const clock = new FakeClock();
  const connection = new Connection({
    url: "ws://here/ws",
    storage,
    preferences: () => ({ language: "ko", playback: "stream" }),
    openSocket: (url) => sockets[sockets.push(new FakeSocket(url)) - 1],
    clock,
    random: () => 0,
  });
  const [events, states, fragments, faults] = [[], [], [], []];
  connection.on("event", (event) => events.push(event));
  connection.on("state", (state) => states.push(state));
  connection.on("fragment", (fragment) => fragments.push(fragment));
  connection.on("fault", (fault) => faults.push(fault));
  if (join !== null) connection.join(join);
  connection.start();
  return { connection, sockets, clock, storage, events, states, fragments, faults };
}

function beginReady(options) {
  const all = begin(options);
  all.sockets[0].open();
  all.sockets[0].say(READY);
  return all;
}

test("says hello first, with language and playback", () => {
  const { sockets } = begin();
  sockets[0].open();
  equal(sockets[0].sent, [{ type: "hello", language: "ko", playback: "stream" }]);
});

test("is open only when the session is ready", () => {
  const { connection, sockets } = begin();
  sockets[0].open();
  equal(connection.state, "connecting");
  sockets[0].say(READY);
  equal(connection.state, "open");
});

test("comes back to its session with the last number it saw", async () => {
  const { sockets, clock } = beginReady();
  sockets[0].say({ type: "text.delta", seq: 7 });
  sockets[0].hangUp(1006);
  await clock.advance(3000);
  sockets[1].open();
  const { session, token, after, epoch } = sockets[1].sent[0];
  equal([session, token, after, epoch], ["s1", "t1", 7, 4]);
});

test("an error keeps back the message that it names and no other", async () => {
  const { connection, sockets, clock } = beginReady();
  for (const id of ["q1", "q2"]) connection.send({ type: "user.text", id, text: "Hi" });
  sockets[0].say({ type: "error", code: "invalid_input", message: "No.", id: "q1" });
  sockets[0].say({ type: "error", code: "invalid_input", message: "No.", id: null });
  sockets[0].hangUp(1006);
  await clock.advance(3000);
  sockets[1].open();
  sockets[1].say({ ...READY, resumed: true });
  equal(sockets[1].sent.slice(1).map(({ id }) => id), ["q2"]);
});

async function afterResuming({ gap }) {
  const { sockets, clock } = beginReady();
  sockets[0].say({ type: "text.delta", seq: 7 });
  sockets[0].hangUp(1006);
  await clock.advance(3000);
  sockets[1].say({ ...READY, resumed: true, gap, seq: 12 });
  sockets[1].hangUp(1006);
  await clock.advance(3000);
  sockets[2].open();
  return sockets[2].sent[0].after;
}

test("a resumed session counts on from what it missed", async () => {
  equal(await afterResuming({ gap: false }), 7);
});

test("a resumed session with a gap counts on from its history", async () => {
  equal(await afterResuming({ gap: true }), 12);
});

test("a page that is loaded anew asks for the whole history", () => {
  const { storage, sockets } = beginReady();
  sockets[0].say({ type: "text.delta", seq: 7 });
  const reloaded = begin({ storage });
  reloaded.sockets[0].open();
  const [{ session, token, after }] = reloaded.sockets[0].sent;
  equal([session, token, after], ["s1", "t1", undefined]);
});

test("tries again after 3 s, then ever later up to 30 s", async () => {
  const { sockets, clock, states } = begin();
  for (let attempt = 0; attempt < 7; attempt++) {
    sockets.at(-1).hangUp(1006);
    await clock.advance(states.at(-1).retryMs);
  }
  const delays = states.filter(({ state }) => state === "waiting").map(({ retryMs }) => retryMs);
  equal(delays, [3000, 6000, 12000, 24000, 30000, 30000, 30000]);
  equal(sockets.length, 8);
});

test("a page whose server leaves its session to another comes back within a second", async () => {
  const { sockets, clock, states } = beginReady();
  sockets[0].hangUp(1012);
  truthy(states.at(-1).retryMs <= 1000);
  await clock.advance(states.at(-1).retryMs);
  equal(sockets.length, 2);
  sockets[1].hangUp(1012);
  equal(states.at(-1).retryMs, 6000);
});

test("a page tells the next server whose numbers it counted by", async () => {
  const { sockets, clock } = beginReady();
  sockets[0].hangUp(1006);
  await clock.advance(3000);
  sockets[1].open();
  sockets[1].say({ ...READY, resumed: true, gap: true, epoch: 5, seq: 2 });
  sockets[1].hangUp(1006);
  await clock.advance(3000);
  sockets[2].open();
  const { after, epoch } = sockets[2].sent[0];
  equal([after, epoch], [2, 5]);
});

test("spreads the later tries by chance, never beyond 30 s", () => {
  equal(retryDelay(0, () => 1), 3000);
  equal(retryDelay(1, () => 1), 3000);
  equal(retryDelay(9, () => 0), 30000);
  equal(retryDelay(9, () => 0.5), 22500);
});

test("a session that is ready begins again with 3 s", async () => {
  const { sockets, clock, states } = begin();
  sockets[0].hangUp(1006);
  await clock.advance(3000);
  sockets[1].hangUp(1006);
  await clock.advance(6000);
  sockets[2].open();
  sockets[2].say(READY);
  sockets[2].hangUp(1006);
  equal(states.at(-1).retryMs, 3000);
});

test("pings every 30 s and stays while pongs come", async () => {
  const { connection, sockets, clock } = beginReady();
  for (let minute = 0; minute < 3; minute++) {
    await clock.advance(30_000);
    const { type, t } = sockets[0].sent.at(-1);
    equal(type, "ping");
    sockets[0].say({ type: "pong", t });
  }
  await clock.advance(9_000);
  equal([connection.state, sockets.length], ["open", 1]);
});

test("a line without a pong is given up", async () => {
  const { connection, sockets, clock } = beginReady();
  await clock.advance(40_000);
  equal(connection.state, "waiting");
  truthy(sockets[0].closed, "the old socket is closed");
});

test("a server that accepts and says nothing is given up", async () => {
  const { connection, sockets, clock } = begin();
  sockets[0].open();
  await clock.advance(15_000);
  equal(connection.state, "waiting");
});

test("a wrong token begins a new session at once", async () => {
  const { connection, sockets } = beginReady();
  sockets[0].hangUp(4401);
  sockets[1].open();
  equal(sockets[1].sent[0].session, undefined);
  equal(connection.session, null);
});

test("a hello that was refused is not repeated", async () => {
  const { connection, sockets, clock } = begin();
  sockets[0].hangUp(4400);
  await clock.advance(120_000);
  equal([connection.state, sockets.length], ["closed", 1]);
});

test("a page that may not connect does not try again", async () => {
  const { connection, sockets, clock, states } = begin();
  sockets[0].open();
  sockets[0].hangUp(4403);
  connection.retryNow();
  await clock.advance(120_000);
  equal([connection.state, sockets.length, states.at(-1).code], ["closed", 1, 4403]);
});

test("a fragment is its header with the next binary frame", () => {
  const { sockets, fragments } = beginReady();
  sockets[0].say({ type: "segment.data", segment: "a", index: 0, bytes: 5, last: false });
  sockets[0].say({ type: "pong", t: 1 });
  sockets[0].sayBytes(5);
  equal([fragments[0].header.segment, fragments[0].bytes.byteLength], ["a", 5]);
});

test("an end without bytes needs no binary frame", () => {
  const { sockets, fragments } = beginReady();
  sockets[0].say({ type: "segment.data", segment: "a", index: 3, bytes: 0, last: true });
  equal([fragments.length, fragments[0].bytes], [1, null]);
});

test("a binary frame without its header, and text that is no JSON, are faults and not the end", () => {
  const { connection, sockets, fragments, faults } = beginReady();
  sockets[0].sayBytes(5);
  sockets[0].say("{");
  equal([faults.length, fragments.length, connection.state], [2, 0, "open"]);
});

test("a question asked without a line is sent when the session is back, once", async () => {
  const { connection, sockets, clock } = beginReady();
  sockets[0].hangUp(1012);
  connection.send({ type: "user.text", id: "q1", text: "?" });
  await clock.advance(3000);
  sockets[1].open();
  sockets[1].say({ ...READY, resumed: true });
  equal(sockets[1].sent.at(-1).id, "q1");
  sockets[1].say({ type: "turn.started", id: "q1", generation: 1, seq: 2 });
  sockets[1].hangUp(1012);
  await clock.advance(3000);
  sockets[2].open();
  sockets[2].say({ ...READY, resumed: true });
  equal(sockets[2].sent.map(({ type }) => type), ["hello"]);
});

test("what has no id is not kept for later", async () => {
  const { connection, sockets, clock } = beginReady();
  sockets[0].hangUp(1012);
  equal(connection.send({ type: "interrupt" }), false);
  await clock.advance(3000);
  sockets[1].open();
  sockets[1].say({ ...READY, resumed: true });
  equal(sockets[1].sent.length, 1);
});

test("live sound is dropped rather than queued on a slow line", () => {
  const { connection, sockets } = beginReady();
  equal(connection.sendAudio(new ArrayBuffer(1280)), true);
  sockets[0].bufferedAmount = 100_000;
  equal(connection.sendAudio(new ArrayBuffer(1280)), false);
});

test("the network's return ends the wait", async () => {
  const { connection, sockets } = beginReady();
  sockets[0].hangUp(1006);
  connection.retryNow();
  equal([connection.state, sockets.length], ["connecting", 2]);
});

test("an old socket is not heard any more", async () => {
  const { sockets, clock, events } = beginReady();
  sockets[0].hangUp(1006);
  await clock.advance(3000);
  const before = events.length;
  sockets[0].say({ type: "text.delta", seq: 99 });
  equal(events.length, before);
});

test("opens a session with a join token, and goes on with the session's own", async () => {
  const { connection, sockets, clock } = begin({ join: "head.body.signature" });
  sockets[0].open();
  equal(sockets[0].sent[0].join, "head.body.signature");
  sockets[0].say(READY);
  sockets[0].hangUp(1006);
  await clock.advance(3000);
  sockets[1].open();
  equal([sockets[1].sent[0].join, sockets[1].sent[0].token], [undefined, "t1"]);
  equal(connection.state, "connecting");
});

test("keeps a join token until it has opened a session", async () => {
  const { sockets, clock } = begin({ join: "one" });
  sockets[0].open();
  sockets[0].hangUp(1006);
  await clock.advance(3000);
  sockets[1].open();
  equal(sockets[1].sent[0].join, "one");
});

test("an invitation that is followed again goes on with its session", () => {
  const { storage } = joined("one");
  const again = begin({ storage, join: "one" });
  again.sockets[0].open();
  equal([again.sockets[0].sent[0].join, again.sockets[0].sent[0].session], [undefined, "s1"]);
});

test("another invitation opens another session, in a page that is open too", () => {
  const { connection, sockets } = joined("one");
  connection.join("one");
  equal(sockets.length, 1);
  connection.join("two");
  sockets[1].open();
  equal([sockets[1].sent[0].join, sockets[1].sent[0].session], ["two", undefined]);
});

test("without an invitation that is needed it does not try again", async () => {
  const { sockets, clock, states, storage } = beginReady();
  sockets[0].hangUp(4407);
  await clock.advance(60_000);
  equal(sockets.length, 1);
  equal([states.at(-1).state, states.at(-1).code], ["closed", 4407]);
  equal(storage.getItem("ditto-avatar.session"), null);
});

test("an invitation that comes later opens a session", () => {
  const { connection, sockets } = begin();
  sockets[0].open();
  sockets[0].hangUp(4407);
  connection.join("one");
  sockets[1].open();
  equal(sockets[1].sent[0].join, "one");
});

test("a refused invitation leads back to the session before it", () => {
  const { connection, sockets } = beginReady();
  connection.join("two");
  sockets[1].open();
  sockets[1].hangUp(4407);
  sockets[2].open();
  equal([sockets[2].sent[0].join, sockets[2].sent[0].session], [undefined, "s1"]);
});

function joined(token) {
  const all = begin({ join: token });
  all.sockets[0].open();
  all.sockets[0].say(READY);
  return all;
}
