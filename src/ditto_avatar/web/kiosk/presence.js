/**
 * Sees in the camera whether somebody is there. Pictures of 32 x 24 grey points are compared in
 * the browser and forgotten; none leaves it, and nobody is recognised.
 */
const WIDTH = 32;
const HEIGHT = 24;
const LOOK_MS = 250;
const CAMERA = { video: { width: { ideal: 160 }, height: { ideal: 120 }, facingMode: "user" } };
// A camera that was unplugged may come back.
const RETRY_MS = 60_000;

// A point that is so much brighter or darker than the empty room, of 255, belongs to somebody.
const LEAST_DIFFERENCE = 18;
const LEAST_SHARE = 0.06;
// How much of each picture the memory of the empty room takes up. It follows the daylight while
// nobody is there; a person who stands still becomes part of the room after some minutes only.
const LEARN_EMPTY = 0.05;
const LEARN_OCCUPIED = 0.001;
const LOOKS_TO_BE_SURE = 3;

/** Compares pictures with the empty room; no DOM. */
export class Room {
  #empty = null;
  #agreeing = 0;
  #occupied = false;

  /** Whether somebody is there, after this picture: a brightness of 0 to 255 for each point. */
  look(grey) {
    this.#empty ??= Float32Array.from(grey);
    // The whole picture brighter: a lamp, or the camera's own exposure, and nobody.
    const light = mean(grey) - mean(this.#empty);
    let changed = 0;
    grey.forEach((value, i) => {
      if (Math.abs(value - light - this.#empty[i]) > LEAST_DIFFERENCE) changed += 1;
    });
    const sees = changed >= LEAST_SHARE * grey.length;
    this.#agreeing = sees === this.#occupied ? 0 : this.#agreeing + 1;
    if (this.#agreeing >= LOOKS_TO_BE_SURE) {
      this.#occupied = sees;
      this.#agreeing = 0;
    }
    const share = this.#occupied || sees ? LEARN_OCCUPIED : LEARN_EMPTY;
    grey.forEach((value, i) => (this.#empty[i] += share * (value - this.#empty[i])));
    return this.#occupied;
  }
}

/** Looks through the camera until it is closed. */
export class Camera {
  #onLook;
  #stream = null;
  #timer = null;
  #closed = false;

  /** @param onLook (sees) => void: true, false, or null while there is no camera */
  constructor(onLook) {
    this.#onLook = onLook;
  }

  async start() {
    try {
      const stream = await navigator.mediaDevices.getUserMedia(CAMERA);
      this.#stream = stream;
      if (this.#closed) return this.close();
      const video = Object.assign(document.createElement("video"), { muted: true, srcObject: stream });
      await video.play();
      this.#watch(video, new Room());
    } catch (error) {
      console.warn(`The camera cannot be used: ${error.message}`);
      this.#lost();
    }
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
  }

  #watch(video, room) {
    const canvas = Object.assign(document.createElement("canvas"), { width: WIDTH, height: HEIGHT });
    const paper = canvas.getContext("2d", { willReadFrequently: true });
    const look = () => {
      if (this.#closed) return;
      if (this.#stream.getVideoTracks()[0].readyState === "ended") return this.#lost();
      paper.drawImage(video, 0, 0, WIDTH, HEIGHT);
      this.#onLook(room.look(greyOf(paper.getImageData(0, 0, WIDTH, HEIGHT).data)));
      this.#timer = setTimeout(look, LOOK_MS);
    };
    look();
  }

  #lost() {
    if (this.#closed) return;
    this.#onLook(null);
    this.#timer = setTimeout(() => this.start(), RETRY_MS);
  }
}

function greyOf(rgba) {
  return Array.from({ length: rgba.length / 4 }, (_, i) => (rgba[4 * i] + 2 * rgba[4 * i + 1] + rgba[4 * i + 2]) / 4);
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
