/**
 * One segment of fragments or of a clip in one layer, from the first byte to the last picture. Keeps
 * picture and sound together. Emits what `SegmentShowing` does.
 */
import { within } from "./clock.js";
import { SegmentShowing } from "./segment_showing.js";
import { ClipSource, StreamSource } from "./sources.js";

export const STALL_MS = 2_000;
const PICTURE_WITHIN_MS = 250;
const DRIFT_LIMIT_MS = 80;
const DRIFT_PAUSE_MS = 2_000;
const DRIFT_WEIGHT = 0.2;

export class Showing extends SegmentShowing {
  driftMs = 0;
  #clock;
  #picture;
  #source;
  #layers;
  #stall = null;
  #playedAt = 0;
  #correctedAt = -Infinity;

  constructor({ segment, layer, layers, clock, MediaSource, neededSeconds }) {
    super({ segment, layer, clock });
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
    video.onended = () => this.finish();
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

  stop() {
    super.stop();
    this.#cancelStall();
    const { video } = this.layer;
    video.onended = video.onwaiting = video.onplaying = null;
  }

  release() {
    this.#source.close();
    this.#layers.free(this.layer);
  }

  #frame(metadata) {
    const now = this.#clock.now();
    this.startupMs ??= Math.max(0, now - this.#playedAt - this.position * 1000);
    this.#measureDrift(metadata, now);
    this.advance();
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

  #fail(reason) {
    if (this.closed) return;
    this.#cancelStall();
    this.emit("failed", { reason, at: this.begun ? this.position : this.segment.resumeAt });
  }
}
