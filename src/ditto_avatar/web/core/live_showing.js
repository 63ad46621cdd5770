/**
 * One segment that comes over WebRTC. The server decides when it begins; the RTP timestamp of each
 * painted picture says which frame of the segment it is. Offers what `Showing` does, and emits the
 * same.
 */
import { Emitter } from "./emitter.js";
import { FOLLOW_MS } from "./idle.js";

const FRAME_TICKS = 3_600;
const FRAME_MS = 40;
const ENDING_FRAMES = 6;
// The last picture may not be painted by a browser that is busy.
const END_SLACK_MS = 80;
const REPORT_MS = 1_000;
// Rather a sound twice than a word that is missing.
const REPEATED_SECONDS = 0.1;

export class LiveShowing extends Emitter {
  begun = false;
  closed = false;
  stalls = 0;
  corrections = 0;
  startupMs = null;
  covers = false;
  live = true;
  way = "webrtc";
  #line;
  #layers;
  #clock;
  #frame = -1;
  #frameAt = 0;
  #painted = false;
  #ending = false;
  #ended = false;
  #settle;
  #first;
  #onFirst;
  #end = null;
  #reportedAt = 0;
  #tickedAt = 0;
  #stops;

  constructor({ segment, line, layers, clock }) {
    super();
    this.segment = segment;
    this.layer = line.layer;
    this.#line = line;
    this.#layers = layers;
    this.#clock = clock;
    /** Resolves when it has ended, one way or another. */
    this.over = new Promise((resolve) => (this.#settle = resolve));
    this.#first = new Promise((resolve) => (this.#onFirst = resolve));
    this.#stops = [
      line.on("frame", ({ rtp, now }) => this.#painting(rtp, now)),
      line.on("down", ({ reason }) => this.#fail(`WebRTC is down (${reason}).`)),
      segment.on("placed", () => this.emit("changed")),
      segment.on("broken", () => this.#fail("The line broke off.")),
    ];
  }

  /** Whether the server has begun to send it. */
  get ready() {
    return !this.closed && this.segment.places.length > 0;
  }

  get streamed() {
    return true;
  }

  get driftMs() {
    return this.#line.driftMs;
  }

  /** Media seconds since the first picture. */
  get position() {
    if (this.#frame < 0) return 0;
    const since = Math.min(FRAME_MS, this.#clock.now() - this.#frameAt);
    return (this.#frame * FRAME_MS + (this.#ended ? FRAME_MS : since)) / 1000;
  }

  /** Media seconds that are left, Infinity as long as nobody knows. */
  get remaining() {
    const frames = this.#frames;
    return frames === null ? Infinity : (frames * FRAME_MS) / 1000 - this.position;
  }

  /** Resolves with the first picture. Rejects as HTMLMediaElement.play does. */
  async play() {
    const { video } = this.layer;
    this.begun = true;
    video.volume = 1;
    if (video.paused) await video.play();
    await Promise.race([this.#first, this.over]);
    if (video.paused && !this.closed) await video.play();
    // A fade of the sentence before must not hide this one.
    for (const fade of video.getAnimations()) fade.cancel();
    this.layer.shown = this;
  }

  /** The layer is on top: from now on the person sees it. */
  seen() {
    if (this.#painted) return;
    this.#painted = true;
    this.#reportedAt = this.#clock.now();
    this.#report("painted");
  }

  /** Nobody wants it any more; the layer stays as it is until `close`. */
  drop() {
    if (this.closed) return;
    this.#report("dropped");
    this.#stop();
  }

  close() {
    if (this.closed) return;
    this.closed = true;
    this.#stop();
    if (this.layer.shown !== this) return;
    const { video } = this.layer;
    this.layer.shown = null;
    video.muted = true;
    video.style.zIndex = "0";
    for (const fade of video.getAnimations()) fade.cancel();
  }

  get #frames() {
    return this.segment.places.at(-1)?.frames ?? null;
  }

  #stop() {
    for (const stop of this.#stops) stop();
    this.#clock.clearTimeout(this.#end);
    this.#settle();
  }

  #painting(rtp, now) {
    const frame = this.segment.frameAt(rtp);
    if (frame === null || this.#ended) return;
    if (this.#frames !== null && frame >= this.#frames) return this.#finish();
    this.#frame = frame;
    this.#frameAt = now;
    this.#onFirst();
    if (!this.begun) return;
    this.#expectEnd();
    this.#tell();
  }

  #tell() {
    const now = this.#clock.now();
    if (now - this.#tickedAt >= FOLLOW_MS) {
      this.#tickedAt = now;
      this.emit("tick");
    }
    const left = this.#frames === null ? Infinity : this.#frames - this.#frame;
    if (!this.#ending && left <= ENDING_FRAMES) {
      this.#ending = true;
      this.emit("ending");
    }
    if (this.#painted && now - this.#reportedAt >= REPORT_MS) {
      this.#reportedAt = now;
      this.#report("playing");
    }
  }

  #expectEnd() {
    if (this.#frames === null) return;
    this.#clock.clearTimeout(this.#end);
    this.#end = this.#clock.setTimeout(
      () => this.#finish(),
      (this.#frames - this.#frame) * FRAME_MS + END_SLACK_MS,
    );
  }

  #finish() {
    if (this.#ended || this.closed) return;
    this.#ended = true;
    this.#frame = this.#frames - 1;
    this.#report("ended");
    this.#stop();
    this.emit("ended");
  }

  #fail(reason) {
    if (this.closed || this.#ended) return;
    const at = this.begun ? Math.max(0, this.position - REPEATED_SECONDS) : 0;
    this.emit("failed", { reason, at });
  }

  #report(state) {
    const report = { segment: this.segment.id, state, media_ms: Math.round(this.position * 1000) };
    if (this.#painted && state !== "painted") report.drift_ms = Math.round(this.driftMs);
    this.emit("report", report);
  }
}
