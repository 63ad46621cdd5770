/**
 * The idle loop: a file the browser plays for ever. It goes on underneath a speaking segment, in
 * step with it, because a segment has the head motion of the loop: so the way back is there at
 * any moment, without a seek and without a jump.
 */
import { within } from "./clock.js";

export const FOLLOW_MS = 250;
const LONGEST_WAIT_MS = 200;
const FOLLOW_TOLERANCE_SECONDS = 0.06;
const STUCK_MS = 1_000;
const LONGEST_SEEK_SECONDS = 0.5;
const PICTURE_WITHIN_MS = 1_000;

export class IdleLoop {
  #clock;
  // What a seek costs: the loop would be that much behind when it plays again.
  #seekSeconds = 0.06;
  #sought = false;
  #stuck = null;

  /** `avatar` as in GET /api/avatars: idle_url, fps, frames. */
  constructor(layer, avatar, clock) {
    this.layer = layer;
    this.avatar = avatar;
    this.#clock = clock;
  }

  /** Loads and plays; resolves with the first picture. Rejects when the file cannot be played. */
  async start() {
    const { video } = this.layer;
    Object.assign(video, { muted: true, loop: true });
    video.ontimeupdate = () => this.#mind();
    const failed = new Promise((_, reject) => {
      video.onerror = () => reject(new Error(video.error?.message || "no idle loop"));
    });
    const painted = this.layer.painted();
    video.src = this.avatar.idle_url;
    await Promise.race([video.play(), failed]);
    await within(this.#clock, PICTURE_WITHIN_MS, painted);
  }

  /** Plays on, where the browser stopped it to save power or did not let it begin. */
  wake() {
    const { video } = this.layer;
    if (video.paused) video.play().catch(() => {});
  }

  close() {
    const { video } = this.layer;
    video.onerror = video.ontimeupdate = null;
    this.#clock.clearTimeout(this.#stuck);
    video.pause();
    video.loop = false;
    video.removeAttribute("src");
    video.load();
  }

  /** The frame that is seen now, 0 to frames - 1. */
  get frame() {
    // Half a millisecond more, because 0.04 s is a little less than a frame in binary.
    return this.#wrap(Math.floor((this.layer.video.currentTime + 0.0005) * this.avatar.fps));
  }

  /** The frame that `seconds` of motion after `frame` lead to. */
  after(frame, seconds) {
    return this.#wrap(frame + Math.floor((seconds + 0.0005) * this.avatar.fps));
  }

  /** Frames from now to `frame` on the shorter way round; negative when it has passed. */
  distance(frame) {
    const { frames } = this.avatar;
    const ahead = this.#wrap(frame - this.frame);
    return ahead > frames / 2 ? ahead - frames : ahead;
  }

  /** Waits until `leadMs` before the loop is at `frame`, when that is soon; at most 200 ms. */
  reach(frame, leadMs = 0) {
    const waitMs = this.#ahead(frame / this.avatar.fps) * 1000 - leadMs;
    if (waitMs <= 0 || waitMs > LONGEST_WAIT_MS) return Promise.resolve();
    return new Promise((resolve) => this.#clock.setTimeout(resolve, waitMs));
  }

  /** Moves a hidden loop to `frame` when it is more than `tolerance` frames away; waits at most
   * `withinMs` until it shows that frame. */
  async align(frame, withinMs = LONGEST_WAIT_MS, tolerance = 1) {
    if (Math.abs(this.distance(frame)) <= tolerance) return;
    const painted = this.layer.painted();
    this.#seek(frame / this.avatar.fps);
    await within(this.#clock, withinMs, painted);
  }

  /** Keeps a hidden loop in step with a motion that is at `seconds` now. Call every `FOLLOW_MS`. */
  follow(seconds) {
    if (this.layer.video.seeking) return;
    const ahead = this.#ahead(seconds);
    if (this.#sought) this.#learn(ahead);
    this.#sought = Math.abs(ahead) > FOLLOW_TOLERANCE_SECONDS;
    if (this.#sought) this.#seek(seconds);
  }

  /** Some browsers forget to loop after a seek and stay at the end: begin again then. */
  #mind() {
    this.#clock.clearTimeout(this.#stuck);
    this.#stuck = this.#clock.setTimeout(() => {
      if (!this.layer.video.paused) this.layer.video.currentTime = 0;
    }, STUCK_MS);
  }

  #learn(missedSeconds) {
    const seconds = this.#seekSeconds + missedSeconds / 2;
    this.#seekSeconds = Math.max(0, Math.min(LONGEST_SEEK_SECONDS, seconds));
  }

  #seek(seconds) {
    const length = this.avatar.frames / this.avatar.fps;
    this.layer.video.currentTime = (seconds + this.#seekSeconds) % length;
    this.wake();
  }

  /** Seconds to the moment `seconds` of the loop, on the shorter way round. */
  #ahead(seconds) {
    const length = this.avatar.frames / this.avatar.fps;
    const ahead = (((seconds - this.layer.video.currentTime) % length) + length) % length;
    return ahead > length / 2 ? ahead - length : ahead;
  }

  #wrap(frame) {
    const { frames } = this.avatar;
    return ((frame % frames) + frames) % frames;
  }
}
