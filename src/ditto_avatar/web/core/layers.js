/**
 * The stack of video elements. Every layer is always opaque; what is seen is simply the one on
 * top, and a layer is raised only when it has painted a picture. So there is never a moment with
 * nothing to see.
 */
import { within } from "./clock.js";

const SOUND_STEPS = 5;

export class Layer {
  /** Who uses the layer now; null when it is free. */
  owner = null;
  #clock;
  #watch = 0;

  constructor(video, clock) {
    this.video = video;
    this.#clock = clock;
  }

  /** Resolves when the next picture is handed to the screen. */
  painted() {
    const { video } = this;
    if (!video.requestVideoFrameCallback) return once(video, "timeupdate");
    return new Promise((resolve) => video.requestVideoFrameCallback(resolve));
  }

  /** Calls `onframe(now, metadata)` for every painted picture until `unwatch`. */
  watch(onframe) {
    const watch = ++this.#watch;
    const { video } = this;
    if (!video.requestVideoFrameCallback) return;
    const frame = (now, metadata) => {
      if (watch !== this.#watch) return;
      video.requestVideoFrameCallback(frame);
      onframe(now, metadata);
    };
    video.requestVideoFrameCallback(frame);
  }

  unwatch() {
    this.#watch += 1;
  }

  /** Fades the sound out within `ms`, so that it does not end with a click. */
  async hush(ms) {
    const { video } = this;
    const loudness = video.volume;
    for (let step = 1; step <= SOUND_STEPS; step++) {
      await new Promise((resolve) => this.#clock.setTimeout(resolve, ms / SOUND_STEPS));
      video.volume = loudness * (1 - step / SOUND_STEPS);
    }
    video.pause();
    video.volume = loudness;
  }
}

export class Layers {
  #clock;
  #layers;
  #top = 0;
  #front = null;

  constructor(videos, clock) {
    this.#clock = clock;
    this.#layers = videos.map((video) => new Layer(video, clock));
  }

  /** The layer on top, or null before the first picture. */
  get front() {
    return this.#front;
  }

  /** Video elements that nobody uses. */
  get unused() {
    return this.#layers.filter(({ owner }) => owner === null).map(({ video }) => video);
  }

  /** A layer for `owner`, or null when all are in use. */
  take(owner) {
    const layer = this.#layers.find((candidate) => candidate.owner === null) ?? null;
    if (layer) layer.owner = owner;
    return layer;
  }

  /** Puts `layer` on top, blending it in over `fadeMs`; resolves when it hides all others. */
  async raise(layer, fadeMs) {
    const { video } = layer;
    video.style.zIndex = String(++this.#top);
    this.#front = layer;
    if (fadeMs === 0) return;
    const fade = video.animate([{ opacity: 0 }, { opacity: 1 }], { duration: fadeMs });
    // In a hidden tab animations stand still, but the answer goes on.
    await within(this.#clock, fadeMs + 200, fade.finished.catch(() => {}));
  }

  /** Gives the layer back; it sinks to the bottom of the stack. */
  free(layer) {
    layer.unwatch();
    layer.video.style.zIndex = "0";
    layer.owner = null;
  }
}

function once(target, type) {
  return new Promise((resolve) => target.addEventListener(type, resolve, { once: true }));
}
