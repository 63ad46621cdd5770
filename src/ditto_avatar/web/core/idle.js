/**
 * The idle loop: a file the browser plays for ever. It goes on underneath a speaking segment, in
 * step with it, because a segment has the head motion of the loop: so the way back is there at
 * any moment, without a seek and without a jump.
 */
import { within } from "./clock.js";

export const FOLLOW_MS = 250;
const LONGEST_WAIT_MS = 200;
const MOST_TO_CATCH_UP_SECONDS = 0.4;
const MOST_HURRY = 0.5;
const PICTURE_WITHIN_MS = 1_000;
// What a seek costs, in frames: the loop would be that much behind when it plays again.
const SEEK_FRAMES = 1.5;

export class IdleLoop {
  #clock;

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
    const failed = new Promise((_, reject) => {
      video.onerror = () => reject(new Error(video.error?.message || "no idle loop"));
    });
    const painted = this.layer.painted();
    video.src = this.avatar.idle_url;
    await Promise.race([video.play(), failed]);
    await within(this.#clock, PICTURE_WITHIN_MS, painted);
  }

  close() {
    const { video } = this.layer;
    video.onerror = null;
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

  /** Moves a hidden loop to `frame` when it is more than `tolerance` frames away. */
  async align(frame, tolerance = 1) {
    if (Math.abs(this.distance(frame)) <= tolerance) return;
    const { video } = this.layer;
    const painted = this.layer.painted();
    video.currentTime = this.#wrap(frame + SEEK_FRAMES) / this.avatar.fps;
    if (video.paused) video.play().catch(() => {});
    await within(this.#clock, LONGEST_WAIT_MS, painted);
  }

  /** Keeps a hidden loop in step with a motion that is at `seconds` now, by its speed: unlike a
   * seek that leaves a picture there at any moment. Call every `FOLLOW_MS`. */
  follow(seconds) {
    const ahead = this.#ahead(seconds);
    if (Math.abs(ahead) > MOST_TO_CATCH_UP_SECONDS) {
      return this.align(Math.floor(seconds * this.avatar.fps));
    }
    const change = (ahead * 1000) / FOLLOW_MS;
    this.layer.video.playbackRate = 1 + Math.max(-MOST_HURRY, Math.min(MOST_HURRY, change));
  }

  /** The loop is seen again, at its own speed. */
  unfollow() {
    this.layer.video.playbackRate = 1;
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
