/** The watch over WebRTC, with time by hand and a connection that a test speaks through. */
import { test } from "node:test";

import { CONNECT_WITHIN_MS, RETRY_MS, RtcLine, SILENT_MS, SOUND_DELAY_MS } from "../../src/ditto_avatar/web/core/rtc.js";
import { Segment } from "../../src/ditto_avatar/web/core/timeline.js";
import { equal, FakeClock, settled, truthy } from "./harness.js";

const SETTINGS = {
  ice_servers: [
    { urls: ["turn:a"], username: "u", credential: "p" },
    { urls: ["stun:b"], username: null, credential: null },
  ],
  expires_in: 60,
  microphone: false,
};

globalThis.MediaStream = class {
  addTrack() {}
};

class FakePeer {
  static all = [];
  connectionState = "new";
  localDescription = { sdp: "offer" };
  closed = false;
  receivers = [];
  audio = { type: "inbound-rtp", kind: "audio", packetsReceived: 0, packetsLost: 0 };
  video = { type: "inbound-rtp", kind: "video", packetsReceived: 0, packetsLost: 0, framesDecoded: 0 };

  constructor(configuration) {
    this.configuration = configuration;
    FakePeer.all.push(this);
  }
  addTransceiver() {
    const receiver = { jitterBufferTarget: null };
    this.receivers.push(receiver);
    return { sender: { replaceTrack: async () => {} }, receiver };
  }
  async setLocalDescription() {}
  async setRemoteDescription() {}
  async getStats() {
    return new Map([["a", { ...this.audio }], ["v", { ...this.video }]]);
  }
  close() {
    this.closed = true;
  }
}

async function opened() {
  FakePeer.all = [];
  const clock = new FakeClock();
  const sent = [];
  const video = { play: async () => {}, requestVideoFrameCallback() {} };
  const line = new RtcLine({ send: (m) => sent.push(m), video, clock, PeerConnection: FakePeer });
  const told = [];
  line.on("up", () => told.push("up"));
  line.on("down", ({ reason }) => told.push(reason));
  await line.start(SETTINGS);
  const peer = FakePeer.all[0];
  return { clock, sent, line, told, peer };
}

test("an offer that the browser cannot make is tried again", async () => {
  class BrokenPeer extends FakePeer {
    async setLocalDescription() {
      throw new Error("no codec");
    }
  }
  FakePeer.all = [];
  const clock = new FakeClock();
  const video = { play: async () => {}, requestVideoFrameCallback() {} };
  const line = new RtcLine({ send() {}, video, clock, PeerConnection: BrokenPeer });
  await line.start(SETTINGS);
  truthy(FakePeer.all[0].closed);
  clock.advance(RETRY_MS);
  await settled();
  equal(FakePeer.all.length, 2);
});

/** Half a second in which everything arrives. */
async function flow({ clock, peer }, ms = 500, { sound = true, lost = 0 } = {}) {
  for (let t = 0; t < ms; t += 20) {
    if (sound) peer.audio.packetsReceived += 1;
    if (t % 40 === 0) {
      peer.video.packetsReceived += 2;
      peer.video.framesDecoded += 1;
    }
    peer.audio.packetsLost += lost;
    await clock.advance(20);
  }
}

async function up() {
  const world = await opened();
  await world.line.answer("answer");
  await flow(world, 1_000);
  return world;
}

test("offers without waiting for candidates, with passwords where there are any", async () => {
  const { sent, peer } = await opened();
  equal(sent, [{ type: "rtc.offer", sdp: "offer", id: "rtc-1", sound_delay_ms: SOUND_DELAY_MS }]);
  equal(peer.configuration.iceServers, [
    { urls: ["turn:a"], username: "u", credential: "p" },
    { urls: ["stun:b"] },
  ]);
});

test("has the browser keep sound always as long, and says so", async () => {
  const { sent, peer } = await opened();
  equal(peer.receivers.map(({ jitterBufferTarget }) => jitterBufferTarget), [SOUND_DELAY_MS, null]);
  equal(sent[0].sound_delay_ms, SOUND_DELAY_MS);
});

test("says nothing of the sound where the browser does as it likes", async () => {
  class OlderPeer extends FakePeer {
    addTransceiver() {
      return { sender: {}, receiver: {} };
    }
  }
  const sent = [];
  const video = { play: async () => {}, requestVideoFrameCallback() {} };
  const line = new RtcLine({ send: (m) => sent.push(m), video, clock: new FakeClock(), PeerConnection: OlderPeer });
  await line.start(SETTINGS);
  equal(sent, [{ type: "rtc.offer", sdp: "offer", id: "rtc-1" }]);
});

test("is up once sound and pictures have arrived for half a second", async () => {
  const world = await opened();
  await world.line.answer("answer");
  await flow(world, 400);
  equal(world.told, []);
  await flow(world, 600);
  equal(world.told, ["up"]);
  equal(world.sent.at(-1), { type: "rtc.state", state: "up" });
});

test("is not up without a picture that could be decoded", async () => {
  const world = await opened();
  await world.line.answer("answer");
  for (let i = 0; i < 60; i++) {
    world.peer.audio.packetsReceived += 1;
    await world.clock.advance(20);
  }
  equal(world.told, []);
});

test("gives up when nothing has come soon after the answer, and tries again later", async () => {
  const { clock, line, sent, peer } = await opened();
  await line.answer("answer");
  await clock.advance(CONNECT_WITHIN_MS + 300);
  truthy(peer.closed, "the connection is closed");
  equal(sent.length, 1, "messages: it never was up");
  await clock.advance(RETRY_MS);
  equal(FakePeer.all.length, 2);
});

test("is down after a second of silence, and says so at once", async () => {
  const world = await up();
  await world.clock.advance(SILENT_MS + 250);
  equal(world.told, ["up", "silent"]);
  equal(world.sent.at(-1), { type: "rtc.state", state: "down", reason: "silent" });
  truthy(world.peer.closed, "the connection is closed");
});

test("counts the silence from the last packet, and not from the look that saw it", async () => {
  const world = await up();
  const { audio } = world.peer;
  Object.defineProperty(audio, "timestamp", { enumerable: true, get: () => world.clock.now() });
  // The next look is 250 ms after the last one: it sees a packet that came just behind that.
  audio.packetsReceived += 1;
  audio.lastPacketReceivedTimestamp = world.clock.now() + 10;
  await world.clock.advance(SILENT_MS);
  equal(world.told, ["up"]);
  await world.clock.advance(30);
  equal(world.told, ["up", "silent"]);
});

test("is down when more than a tenth is lost for three seconds", async () => {
  const world = await up();
  await flow(world, 4_000, { lost: 1 });
  equal(world.told, ["up", "loss"]);
});

test("stays up with a few lost packets", async () => {
  const world = await up();
  await flow(world, 4_000, { lost: 0.1 });
  equal(world.told, ["up"]);
});

test("is down when packets of the picture come and nothing is painted", async () => {
  const world = await up();
  for (let t = 0; t < 2_000; t += 20) {
    world.peer.audio.packetsReceived += 1;
    world.peer.video.packetsReceived += 1;
    await world.clock.advance(20);
  }
  equal(world.told, ["up", "freeze"]);
});

test("stays up while nobody speaks and no picture comes", async () => {
  const world = await up();
  for (let t = 0; t < 5_000; t += 20) {
    world.peer.audio.packetsReceived += 1;
    await world.clock.advance(20);
  }
  equal(world.told, ["up"]);
});

test("begins anew at once when the network is back", async () => {
  const world = await up();
  await world.clock.advance(SILENT_MS + 250);
  world.line.wake();
  await settled();
  equal(FakePeer.all.length, 2);
  equal(world.sent.at(-1).id, "rtc-2");
});

test("leaves nothing running when it is closed", async () => {
  const world = await up();
  world.line.close();
  equal(world.clock.waiting, []);
  truthy(world.peer.closed, "the connection is closed");
  equal(world.sent.at(-1), { type: "rtc.state", state: "up" }, "it says nothing");
});

test("finds the frame of a timestamp, over the end of the numbers and after a gap", () => {
  const segment = new Segment({ segment: "s", mime: "video/mp4", transport: "rtc" });
  equal(segment.frameAt(5), null);
  segment.place({ rtp: 2 ** 32 - 3_600, frame: 0, frames: null });
  equal(segment.frameAt(2 ** 32 - 7_200), null);
  equal(segment.frameAt(2 ** 32 - 3_600), 0);
  equal(segment.frameAt(0), 1);
  equal(segment.frameAt(7_200), 3);
  segment.place({ rtp: 72_000, frame: 4, frames: 9 });
  equal(segment.frameAt(7_200), 3);
  equal(segment.frameAt(72_000), 4);
  equal(segment.frameAt(75_600), 5);
});
