/**
 * One segment in one layer, from the first byte to the last picture. Tells what the person saw
 * and heard, and keeps picture and sound together.
 *
 * Emits
 * - `changed`  it may have become ready
 * - `report`   {segment, state, media_ms, drift_ms?} for the server
 * - `tick`     about twice a second while it plays
 * - `ended`    the last picture was shown
 * - `failed`   {reason, at}: it stops at media second `at`
 */
import { within } from "./clock.js";
import { Emitter } from "./emitter.js";
import { ClipSource, StreamSource } from "./sources.js";

export const STALL_MS = 2_000;
const PICTURE_WITHIN_MS = 250;
const DRIFT_LIMIT_MS = 80;
const DRIFT_PAUSE_MS = 2_000;
const DRIFT_WEIGHT = 0.2;
const REPORT_MS = 1_000;
const TICK_MS = 500;

export class Showing extends Emitter {
  begun = false;
  closed = false;
  stalls = 0;
  driftMs = 0;
  corrections = 0;
  #clock;
  #picture;
  #source;
  #layers;
  #stall = null;
  #painted = false;
  #reportedAt = 0;
  #tickedAt = 0;
  #correctedAt = -Infinity;

  constructor({ segment, layer, layers, clock, MediaSource, neededSeconds }) {
    super();
    Object.assign(this, { segment, layer });
    this.#layers = layers;
    this.#clock = clock;
    const { video } = layer;
    // Painted while the layer is still hidden, so that it can come to the top at any moment.
    this.#picture = layer.painted();
    Object.assign(video, { loop: false, volume: 1, preload: "auto" });
    const streamed = MediaSource && segment.streamable && segment.clipUrl === null;
    this.#source = streamed
      ? new StreamSource(video, segment, { MediaSource, neededSeconds })
      : new ClipSource(video, segment.clipUrl, segment.resumeAt);
    this.streamed = streamed;
    this.#source.onchange = () => this.emit("changed");
    this.#source.onfail = (reason) => this.#fail(reason);
    video.onended = () => this.#end();
    video.onwaiting = () => this.#waiting();
    video.onplaying = () => this.#cancelStall();
  }

  get ready() {
    return !this.closed && this.#source.ready;
  }

  /** Media seconds since the first picture. */
  get position() {
    return Math.max(0, this.layer.video.currentTime - (this.streamed ? this.#source.start : 0));
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
    await video.play();
    // Hidden tabs paint nothing, and the sound shall not wait for them.
    await within(this.#clock, PICTURE_WITHIN_MS, this.#picture);
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
    if (this.#painted) this.#report("dropped");
    this.#cancelStall();
    const { video } = this.layer;
    video.onended = video.onwaiting = video.onplaying = null;
  }

  close() {
    if (this.closed) return;
    this.closed = true;
    this.#cancelStall();
    const { video } = this.layer;
    video.onended = video.onwaiting = video.onplaying = null;
    this.#source.close();
    this.#layers.free(this.layer);
  }

  #frame(metadata) {
    const now = this.#clock.now();
    this.#measureDrift(metadata, now);
    if (now - this.#tickedAt >= TICK_MS) {
      this.#tickedAt = now;
      this.emit("tick");
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

  #waiting() {
    if (!this.begun || this.closed || this.#stall !== null) return;
    this.stalls += 1;
    this.#stall = this.#clock.setTimeout(() => this.#fail("The stream stalled."), STALL_MS);
  }

  #cancelStall() {
    this.#clock.clearTimeout(this.#stall);
    this.#stall = null;
  }

  #end() {
    this.#cancelStall();
    this.#report("ended");
    this.emit("ended");
  }

  #fail(reason) {
    if (this.closed) return;
    this.#cancelStall();
    this.emit("failed", { reason, at: this.begun ? this.position : 0 });
  }

  #report(state) {
    const report = { segment: this.segment.id, state, media_ms: Math.round(this.position * 1000) };
    if (state !== "painted") report.drift_ms = Math.round(this.driftMs);
    this.emit("report", report);
  }
}
