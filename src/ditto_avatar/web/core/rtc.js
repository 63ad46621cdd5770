/**
 * WebRTC beside the WebSocket: connects, watches over itself, and gives up before a person notices
 * much. A browser says only after 15 s that packets do not come any more; here it is one second.
 *
 * Emits
 * - `up`    packets and pictures arrive: the next sentence may come this way
 * - `down`  {reason} it was up
 * - `frame` {rtp, now}: a picture was painted
 */
import { Emitter } from "./emitter.js";
import { LiveShowing } from "./live_showing.js";
import { Layer } from "./layers.js";

export const CONNECT_WITHIN_MS = 2_000;
export const SILENT_MS = 1_000;
export const RETRY_MS = 60_000;
/** How long the browser keeps sound before it is heard. By itself it would decide anew all the time,
 * between 40 and 160 ms, and let the picture follow seconds later. The server sends sound ahead of
 * its pictures for that, so it costs no time. */
export const SOUND_DELAY_MS = 120;
const POLL_MS = 250;
const LEAST_POLL_MS = 20;
const PROOF_PACKETS = 25;
const LOSS_SHARE = 0.1;
const LOSS_MS = 3_000;
const FREEZE_MS = 1_500;
const HUSH_STEPS = 4;
const DRIFT_WEIGHT = 0.2;

export class RtcLine extends Emitter {
  layer;
  /** Whether sentences may come this way. */
  up = false;
  /** Milliseconds by which the picture is behind the sound, as the browser estimates it. */
  driftMs = 0;
  /** The picture that was painted last: {rtp, now}; null before the first one. */
  newest = null;
  #send;
  #clock;
  #PeerConnection;
  #settings = null;
  #peer = null;
  #offer = 0;
  #poll = null;
  #retry = null;
  #microphone = null;
  #listening = false;

  /** @param send (message) => void, over the WebSocket
   * @param video an element of its own, on top of the others */
  constructor({ send, video, clock, PeerConnection = globalThis.RTCPeerConnection }) {
    super();
    this.#send = send;
    this.#clock = clock;
    this.#PeerConnection = PeerConnection;
    this.layer = new LiveLayer(video, clock);
    this.layer.owner = this;
  }

  /** Begins anew with what `session.ready` says of WebRTC. */
  async start(settings) {
    this.close();
    if (!this.#PeerConnection) return;
    this.#settings = settings;
    const peer = new this.#PeerConnection({
      iceServers: settings.ice_servers.map(withoutNulls),
      bundlePolicy: "max-bundle",
    });
    this.#peer = peer;
    const stream = new MediaStream();
    peer.ontrack = ({ track }) => stream.addTrack(track);
    peer.onconnectionstatechange = () => {
      if (["failed", "closed"].includes(peer.connectionState)) this.#fail(peer, "ended");
    };
    const audio = peer.addTransceiver("audio", { direction: settings.microphone ? "sendrecv" : "recvonly" });
    this.#microphone = settings.microphone ? audio.sender : null;
    peer.addTransceiver("video", { direction: "recvonly" });
    const delay = keepSound(audio.receiver);
    this.#play(stream);
    try {
      await peer.setLocalDescription();
    } catch {
      return this.#fail(peer, "connect");
    }
    if (peer !== this.#peer) return;
    this.#offer += 1;
    this.#send({ type: "rtc.offer", sdp: peer.localDescription.sdp, id: `rtc-${this.#offer}`, ...delay });
  }

  /** The server answers the offer. */
  async answer(sdp) {
    const peer = this.#peer;
    if (!peer) return;
    try {
      await peer.setRemoteDescription({ type: "answer", sdp });
    } catch {
      return this.#fail(peer, "connect");
    }
    this.#watchStats(peer);
  }

  /** The server takes no offer: it stays as it is, and is tried again. */
  refused() {
    if (this.#peer) this.#fail(this.#peer, "connect");
  }

  /** Whether the microphone's sound goes this way now. */
  get listening() {
    return this.up && this.#listening;
  }

  /** Sends what a microphone hears this way, where the server wants that; null for nothing. */
  async listen(track) {
    this.#listening = false;
    if (!this.up || !this.#microphone) return;
    await this.#microphone.replaceTrack(track);
    this.#listening = track !== null;
  }

  /** Shows `segment`, whose pictures come this way. */
  show(segment) {
    return new LiveShowing({ segment, line: this, clock: this.#clock });
  }

  /** The network is another one, or back. */
  wake() {
    if (this.#settings && !this.#peer) this.start(this.#settings);
  }

  /** Closes the peer; the server is not notified: it ends it as well, or never knew. */
  close() {
    this.#drop();
    this.#settings = null;
  }

  #play(stream) {
    const { video } = this.layer;
    Object.assign(video, { srcObject: stream, muted: true, playsInline: true });
    video.play().catch(() => {});
    this.layer.watch((now, { rtpTimestamp }) => {
      if (rtpTimestamp === undefined) return;
      this.newest = { rtp: rtpTimestamp, now };
      this.emit("frame", this.newest);
    });
  }

  /** Looks at the packets, from the answer on. */
  #watchStats(peer) {
    const begun = this.#clock.now();
    const watch = { packets: 0, heardAt: begun, firstAt: null, first: 0, lost: [], decoded: 0, shown: 0, shownAt: begun };
    const poll = async () => {
      const stats = await readStats(peer);
      if (peer !== this.#peer) return;
      const reason = this.#judge(watch, stats, begun, peer);
      if (reason) return this.#fail(peer, reason);
      // Silence is noticed when it has lasted long enough, and not a look later.
      const silentInMs = watch.heardAt + SILENT_MS - this.#clock.now();
      this.#poll = this.#clock.setTimeout(poll, Math.max(LEAST_POLL_MS, Math.min(POLL_MS, silentInMs)));
    };
    poll();
  }

  /** Why it has to be given up, or null. */
  #judge(watch, { packets, heardMsAgo, lost, decoded, pictures, driftMs }, begun, peer) {
    const now = this.#clock.now();
    // A picture stands still when its packets come and nothing is made of them. None at all come
    // when nobody speaks, or when the server has none yet.
    if (decoded > watch.decoded || pictures === watch.shown) watch.shownAt = now;
    Object.assign(watch, { decoded, shown: pictures });
    if (packets > watch.packets) watch.heardAt = now - heardMsAgo;
    if (packets > 0 && watch.firstAt === null) Object.assign(watch, { firstAt: now, first: packets });
    watch.packets = packets;
    watch.lost.push({ at: now, lost, packets: packets + pictures });
    while (watch.lost[1]?.at <= now - LOSS_MS) watch.lost.shift();
    if (driftMs !== null) this.driftMs += DRIFT_WEIGHT * (driftMs - this.driftMs);
    const proved = watch.firstAt !== null && packets - watch.first >= PROOF_PACKETS && decoded > 0;
    if (!this.up && proved) {
      this.up = true;
      this.#send({ type: "rtc.state", state: "up" });
      this.emit("up");
    }
    if (watch.firstAt === null) return now - begun >= CONNECT_WITHIN_MS ? "connect" : null;
    if (now - watch.heardAt >= SILENT_MS) return "silent";
    const [oldest] = watch.lost;
    const newlyLost = lost - oldest.lost;
    const whole = now - oldest.at >= LOSS_MS;
    if (whole && newlyLost > LOSS_SHARE * (newlyLost + packets + pictures - oldest.packets)) return "loss";
    if (now - watch.shownAt >= FREEZE_MS) return "freeze";
    return peer.connectionState === "failed" ? "ended" : null;
  }

  #fail(peer, reason) {
    if (peer !== this.#peer) return;
    const wasUp = this.up;
    this.#drop();
    if (wasUp) this.#send({ type: "rtc.state", state: "down", reason });
    if (wasUp) this.emit("down", { reason });
    this.#retry = this.#clock.setTimeout(() => this.wake(), RETRY_MS);
  }

  #drop() {
    this.up = false;
    this.#clock.clearTimeout(this.#poll);
    this.#clock.clearTimeout(this.#retry);
    this.layer.unwatch();
    this.newest = null;
    const peer = this.#peer;
    this.#peer = this.#microphone = null;
    this.#listening = false;
    if (!peer) return;
    peer.onconnectionstatechange = peer.ontrack = null;
    peer.close();
  }
}

/** The video element of WebRTC: it plays all the time, and is only heard when it is seen. */
class LiveLayer extends Layer {
  /** Who shows something in it now. */
  shown = null;
  #clock;

  constructor(video, clock) {
    super(video, clock);
    this.#clock = clock;
  }

  async hush(ms) {
    const { video } = this;
    const { volume } = video;
    for (let step = 1; step <= HUSH_STEPS; step++) {
      video.volume = volume * (1 - step / HUSH_STEPS);
      await new Promise((resolve) => this.#clock.setTimeout(resolve, ms / HUSH_STEPS));
    }
    video.muted = true;
    video.volume = volume;
  }
}

async function readStats(peer) {
  const found = { packets: 0, heardMsAgo: 0, lost: 0, decoded: 0, pictures: 0, driftMs: null };
  const played = {};
  for (const report of (await peer.getStats()).values()) {
    if (report.type !== "inbound-rtp") continue;
    if (report.kind === "audio") {
      found.packets = report.packetsReceived;
      found.heardMsAgo = Math.max(0, report.timestamp - report.lastPacketReceivedTimestamp) || 0;
    } else {
      found.decoded = report.framesDecoded ?? 0;
      found.pictures = report.packetsReceived ?? 0;
    }
    found.lost += Math.max(0, report.packetsLost ?? 0);
    played[report.kind] = report.estimatedPlayoutTimestamp;
  }
  if (played.audio && played.video) found.driftMs = played.audio - played.video;
  return found;
}

/** Lets the browser keep sound always as long, where it can; what the server has to know of it. */
function keepSound(receiver) {
  if (!("jitterBufferTarget" in receiver)) return {};
  receiver.jitterBufferTarget = SOUND_DELAY_MS;
  return { sound_delay_ms: SOUND_DELAY_MS };
}

/** Without the fields that are null: a browser takes no such password. */
function withoutNulls(server) {
  return Object.fromEntries(Object.entries(server).filter(([, value]) => value !== null));
}
