/**
 * One segment that comes over WebRTC. The server decides when it begins; the RTP timestamp of each
 * painted picture says which frame of the segment it is. Emits what `SegmentShowing` does.
 */
import { SegmentShowing } from "./segment_showing.js";

const FRAME_TICKS = 3_600;
const FRAME_MS = 40;
// The last pictures may not be painted by a browser that is busy. When more are missing, the line
// may have fallen silent, and says so within this time: then the rest is still to be heard.
const UNPAINTED_FRAMES = 5;
const END_SLACK_MS = 80;
const SILENCE_SLACK_MS = 1_600;
// Rather a sound twice than a word that is missing.
const REPEATED_SECONDS = 0.1;

export class LiveShowing extends SegmentShowing {
  live = true;
  way = "webrtc";
  #line;
  #clock;
  #frame = -1;
  #frameAt = 0;
  #ended = false;
  #first;
  #onFirst;
  #end = null;
  #stops;

  constructor({ segment, line, clock }) {
    super({ segment, layer: line.layer, clock });
    this.#line = line;
    this.#clock = clock;
    this.#first = new Promise((resolve) => (this.#onFirst = resolve));
    this.#stops = [
      line.on("frame", ({ rtp, now }) => this.#painting(rtp, now)),
      line.on("down", ({ reason }) => this.#fail(`WebRTC is down (${reason}).`)),
      segment.on("placed", () => this.#placed()),
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

  stop() {
    super.stop();
    for (const stop of this.#stops) stop();
    this.#clock.clearTimeout(this.#end);
  }

  release() {
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

  /** Pictures may be quicker than the message that says whose they are. */
  #placed() {
    const { newest } = this.#line;
    if (newest) this.#painting(newest.rtp, newest.now);
    this.emit("changed");
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
    this.advance();
  }

  #expectEnd() {
    if (this.#frames === null) return;
    this.#clock.clearTimeout(this.#end);
    const left = this.#frames - this.#frame;
    const slackMs = left > UNPAINTED_FRAMES ? SILENCE_SLACK_MS : END_SLACK_MS;
    this.#end = this.#clock.setTimeout(() => this.#finish(), left * FRAME_MS + slackMs);
  }

  #finish() {
    if (this.#ended || this.closed) return;
    this.#ended = true;
    this.#frame = this.#frames - 1;
    this.finish();
  }

  #fail(reason) {
    if (this.closed || this.#ended) return;
    const at = this.begun ? Math.max(0, this.position - REPEATED_SECONDS) : 0;
    this.emit("failed", { reason, at });
  }
}
