/**
 * One segment in one layer, from the first byte to the last picture. Tells what the person saw
 * and heard, and keeps picture and sound together.
 *
 * Emits
 * - `changed`  it may have become ready
 * - `report`   {segment, state, media_ms, drift_ms?} for the server
 * - `tick`     every `FOLLOW_MS` while it plays
 * - `ending`   the last picture comes in `ENDING_MS` or less
 * - `ended`    the last picture was shown
 * - `failed`   {reason, at}: it stops at media second `at`
 */
import { within } from "./clock.js";
import { Emitter } from "./emitter.js";
import { FOLLOW_MS } from "./idle.js";
import { ClipSource, StreamSource } from "./sources.js";

export const ENDING_MS = 240;
export const STALL_MS = 2_000;
const PICTURE_WITHIN_MS = 250;
const DRIFT_LIMIT_MS = 80;
const DRIFT_PAUSE_MS = 2_000;
const DRIFT_WEIGHT = 0.2;
const REPORT_MS = 1_000;

export class Showing extends Emitter {
  begun = false;
  closed = false;
  stalls = 0;
  driftMs = 0;
  corrections = 0;
  /** Milliseconds between the order to play and the motion, once they are known. */
  startupMs = null;
  /** Whether it hides everything behind it. */
  covers = false;
  #clock;
  #picture;
  #ending = false;
  #settle;
  #source;
  #layers;
  #stall = null;
  #painted = false;
  #playedAt = 0;
  #reportedAt = 0;
  #tickedAt = 0;
  #correctedAt = -Infinity;

  constructor({ segment, layer, layers, clock, MediaSource, neededSeconds }) {
    super();
    this.segment = segment;
    this.layer = layer;
    /** Resolves when it has ended, one way or another. */
    this.over = new Promise((resolve) => (this.#settle = resolve));
    this.#layers = layers;
    this.#clock = clock;
    const { video } = layer;
    // Painted while the layer is still hidden, so that it can come to the top at any moment.
    this.#picture = layer.painted();
    Object.assign(video, { loop: false, volume: 1, preload: "auto" });
    const streamed = MediaSource && segment.streamable && segment.clipUrl === null;
    this.#source = streamed
      ? new StreamSource(video, segment, {
          MediaSource,
          neededSeconds,
          startSeconds: segment.resumeAt,
        })
      : new ClipSource(video, segment.clipUrl, segment.resumeAt);
    this.streamed = streamed;
    this.way = streamed ? "stream" : "clip";
    this.#source.onchange = () => this.emit("changed");
    // What has come of a broken stream is played; before that there is nothing to lose.
    segment.on("broken", () => this.streamed && !this.begun && this.#fail("The stream broke off."));
    this.#source.onfail = (reason) => this.#fail(reason);
    segment.on("finished", () => this.#mindTheStream());
    video.onended = () => this.#end();
    video.onwaiting = () => this.#waiting();
    video.onplaying = () => this.#cancelStall();
  }

  get ready() {
    return !this.closed && this.#source.ready;
  }

  /** Media seconds since the first picture. */
  get position() {
    return Math.max(0, this.layer.video.currentTime - this.#source.zero);
  }

  /** Media seconds that are left, Infinity as long as nobody knows. */
  get remaining() {
    const { duration, currentTime } = this.layer.video;
    return Number.isFinite(duration) ? duration - currentTime : Infinity;
  }

  /** Starts to play; resolves with the first picture. Rejects as HTMLMediaElement.play does. */
  async play() {
    const { video } = this.layer;
    this.begun = true;
    // A source that begins a little after zero would wait there for ever.
    if (video.currentTime < this.#source.start) video.currentTime = this.#source.start;
    const playedAt = this.#clock.now();
    await video.play();
    // Hidden tabs paint nothing, and the sound shall not wait for them.
    await within(this.#clock, PICTURE_WITHIN_MS, this.#picture);
    this.#playedAt = playedAt;
    if (!this.closed) this.layer.watch((now, metadata) => this.#frame(metadata));
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
    this.#settle();
    this.#cancelStall();
    const { video } = this.layer;
    video.onended = video.onwaiting = video.onplaying = null;
  }

  close() {
    if (this.closed) return;
    this.closed = true;
    this.#settle();
    this.#cancelStall();
    const { video } = this.layer;
    video.onended = video.onwaiting = video.onplaying = null;
    this.#source.close();
    this.#layers.free(this.layer);
  }

  #frame(metadata) {
    const now = this.#clock.now();
    this.startupMs ??= Math.max(0, now - this.#playedAt - this.position * 1000);
    this.#measureDrift(metadata, now);
    if (now - this.#tickedAt >= FOLLOW_MS) {
      this.#tickedAt = now;
      this.emit("tick");
    }
    if (!this.#ending && this.remaining * 1000 <= ENDING_MS) {
      this.#ending = true;
      this.emit("ending");
    }
    if (this.#painted && now - this.#reportedAt >= REPORT_MS) {
      this.#reportedAt = now;
      this.#report("playing");
    }
  }

  /** Where the sound is when the picture is displayed, less the middle of the picture's time. */
  #measureDrift({ mediaTime, expectedDisplayTime }, now) {
    const { video } = this.layer;
    if (video.paused || video.seeking) return;
    const soundMs = video.currentTime * 1000 + Math.max(0, expectedDisplayTime - now);
    const driftMs = soundMs - mediaTime * 1000 - 20;
    this.driftMs += DRIFT_WEIGHT * (driftMs - this.driftMs);
    if (Math.abs(this.driftMs) > DRIFT_LIMIT_MS && now - this.#correctedAt > DRIFT_PAUSE_MS) {
      this.#correctedAt = now;
      this.corrections += 1;
      this.driftMs = 0;
      // A seek to the present place makes the decoder throw away what is late.
      video.currentTime += 0.001;
    }
  }

  /** The clip is there: when the stream is not complete soon, it never will be. */
  #mindTheStream() {
    if (!this.streamed) return;
    this.#clock.setTimeout(() => this.closed || this.segment.breakOff(), STALL_MS);
  }

  #waiting() {
    if (!this.begun || this.closed || this.#stall !== null) return;
    this.stalls += 1;
    if (this.segment.broken) return this.#fail("The stream broke off.");
    this.#stall = this.#clock.setTimeout(() => this.#fail("The stream stalled."), STALL_MS);
  }

  #cancelStall() {
    this.#clock.clearTimeout(this.#stall);
    this.#stall = null;
  }

  #end() {
    this.#cancelStall();
    this.#settle();
    this.#report("ended");
    this.emit("ended");
  }

  #fail(reason) {
    if (this.closed) return;
    this.#cancelStall();
    this.emit("failed", { reason, at: this.begun ? this.position : this.segment.resumeAt });
  }

  #report(state) {
    const report = { segment: this.segment.id, state, media_ms: Math.round(this.position * 1000) };
    if (this.#painted && state !== "painted") report.drift_ms = Math.round(this.driftMs);
    this.emit("report", report);
  }
}
