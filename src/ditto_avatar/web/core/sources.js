/**
 * The two ways a segment gets into a video element: fragments through Media Source Extensions
 * while it is still being drawn, or its finished clip by URL. Both offer
 *
 * - `ready`    there is enough to begin
 * - `zero`     media seconds of the first picture
 * - `start`    media seconds where it begins to play
 * - `onchange` called when `ready` may have changed
 * - `onfail`   called once with a sentence when it cannot be shown this way
 * - `close()`  frees the element
 */

const HAVE_CURRENT_DATA = 2;
const HAVE_FUTURE_DATA = 3;
// A browser counts in whole microseconds: after a seek it may stand a little before the place.
const HAIR_SECONDS = 0.001;

/** The browser's media source: newer iPhones have only the managed kind. Undefined without one. */
export function findMediaSource(scope = globalThis) {
  return scope.MediaSource ?? scope.ManagedMediaSource;
}

export class StreamSource {
  onchange = () => {};
  onfail = () => {};
  #video;
  #segment;
  #mediaSource;
  #buffer = null;
  #appended = 0;
  #needed;
  #url = null;
  #failed = false;
  #stop;

  #from;

  /** `neededSeconds`: how much must lie ahead before it is `ready`; `startSeconds`: where to go on,
   * when it began another way. */
  constructor(video, segment, { MediaSource, neededSeconds, startSeconds = 0 }) {
    this.#from = startSeconds;
    this.#video = video;
    this.#segment = segment;
    this.#needed = neededSeconds;
    this.#mediaSource = new MediaSource();
    this.#mediaSource.addEventListener("sourceopen", () => this.#open(), { once: true });
    this.#stop = segment.on("grown", () => this.#pump());
    video.onerror = () => this.#fail(video.error?.message || "The stream cannot be decoded.");
    video.oncanplay = video.onseeked = () => this.onchange();
    // A managed source is granted only to a video that cannot be sent to another screen.
    video.disableRemotePlayback = true;
    this.#url = URL.createObjectURL(this.#mediaSource);
    video.src = this.#url;
  }

  get ready() {
    const { readyState, seeking } = this.#video;
    if (this.#failed || readyState < HAVE_FUTURE_DATA) return false;
    if (this.#from > 0 && (seeking || !this.#reached)) return false;
    return this.#mediaSource.readyState === "ended" || this.#ahead >= this.#needed;
  }

  get start() {
    return this.zero + this.#from;
  }

  get zero() {
    const { buffered } = this.#video;
    return buffered.length ? buffered.start(0) : 0;
  }

  get #reached() {
    return this.#video.currentTime > this.start - HAIR_SECONDS;
  }

  close() {
    this.#stop();
    release(this.#video);
    URL.revokeObjectURL(this.#url);
  }

  get #ahead() {
    const { buffered, currentTime } = this.#video;
    return buffered.length ? buffered.end(buffered.length - 1) - currentTime : 0;
  }

  #open() {
    try {
      this.#buffer = this.#mediaSource.addSourceBuffer(this.#segment.mime);
    } catch (error) {
      return this.#fail(error.message);
    }
    this.#buffer.addEventListener("updateend", () => {
      this.#seek();
      this.onchange();
      this.#pump();
    });
    this.#pump();
  }

  /** Goes to where it begins, as soon as that has come. */
  #seek() {
    const { buffered } = this.#video;
    if (this.#from === 0 || !buffered.length || this.#reached) return;
    if (buffered.end(buffered.length - 1) > this.start) this.#video.currentTime = this.start;
  }

  #pump() {
    if (!this.#buffer || this.#buffer.updating || this.#failed) return;
    if (this.#mediaSource.readyState !== "open") return;
    const { fragments, complete } = this.#segment;
    try {
      if (this.#appended < fragments.length) this.#buffer.appendBuffer(fragments[this.#appended++]);
      else if (complete) this.#end();
    } catch (error) {
      this.#fail(error.message);
    }
  }

  #end() {
    this.#mediaSource.endOfStream();
    this.onchange();
  }

  #fail(reason) {
    if (this.#failed) return;
    this.#failed = true;
    this.onfail(reason);
  }
}

export class ClipSource {
  onchange = () => {};
  onfail = () => {};
  zero = 0;
  start;
  #video;

  /** `startSeconds`: where to go on, when a stream broke in the middle. */
  constructor(video, url, startSeconds = 0) {
    this.#video = video;
    this.start = startSeconds;
    video.onerror = () => this.onfail(video.error?.message || "The clip cannot be loaded.");
    video.oncanplay = () => this.onchange();
    video.onseeked = () => this.onchange();
    video.src = url;
    video.load();
    if (startSeconds > 0) video.currentTime = startSeconds;
  }

  get ready() {
    const { readyState, seeking, duration, currentTime } = this.#video;
    if (seeking) return false;
    // The last picture has no future data.
    return readyState > HAVE_CURRENT_DATA || (readyState === HAVE_CURRENT_DATA && currentTime >= duration);
  }

  close() {
    release(this.#video);
  }
}

function release(video) {
  video.onerror = video.oncanplay = video.onseeked = null;
  video.pause();
  video.removeAttribute("src");
  video.load();
}
