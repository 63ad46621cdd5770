/**
 * The stack of video elements. At the bottom of what is seen lies the idle loop, always opaque; a
 * segment comes on top of it, when it has painted a picture, and leaves again. So there is never a
 * moment with nothing to see, whatever is interrupted when.
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

  constructor(videos, clock) {
    this.#clock = clock;
    this.#layers = videos.map((video) => new Layer(video, clock));
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
    layer.video.style.zIndex = String(++this.#top);
    await this.#fade(layer, 0, 1, { duration: fadeMs });
  }

  /** Lets `layer` vanish over `fadeMs`, from however much of it is seen now. It stays so until it
   * is given back. */
  async lower(layer, fadeMs) {
    const { opacity } = getComputedStyle(layer.video);
    await this.#fade(layer, Number(opacity), 0, { duration: fadeMs, fill: "forwards" });
  }

  /** Gives the layer back; it sinks to the bottom of the stack. */
  free(layer) {
    layer.unwatch();
    layer.video.style.zIndex = "0";
    for (const fade of layer.video.getAnimations()) fade.cancel();
    layer.owner = null;
  }

  async #fade({ video }, from, to, timing) {
    const { finished } = video.animate([{ opacity: from }, { opacity: to }], timing);
    // In a hidden tab animations stand still, but the answer goes on.
    await within(this.#clock, timing.duration + 200, finished.catch(() => {}));
  }
}

function once(target, type) {
  return new Promise((resolve) => target.addEventListener(type, resolve, { once: true }));
}
