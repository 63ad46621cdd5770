/**
 * Whether somebody stands before the kiosk: comes, is there, leaves. Pure bookkeeping over
 * what the camera and the keys tell; no DOM.
 *
 * Emits
 * - `came`   somebody is there now
 * - `left`   nobody is there any more
 * - `invite` nobody is there, and it is time to say something
 */
import { systemClock } from "../core/clock.js";
import { Emitter } from "../core/emitter.js";

const LOOK_MS = 1_000;
// Somebody who reads or thinks touches nothing for a while; a camera knows better.
export const GONE_WITHOUT_CAMERA_MS = 60_000;
export const GONE_WITH_CAMERA_MS = 15_000;
export const INVITE_MS = 45_000;

export class Visit extends Emitter {
  #clock;
  #busy;
  #here = false;
  #watched = false;
  #seenAt = -Infinity;
  #invitedAt;
  #timer = null;

  /** @param busy () => whether an answer is given: nobody leaves in the middle of one */
  constructor({ busy, clock = systemClock }) {
    super();
    this.#busy = busy;
    this.#clock = clock;
    this.#invitedAt = clock.now();
  }

  get here() {
    return this.#here;
  }

  start() {
    this.#timer = this.#clock.setTimeout(() => this.#look(), LOOK_MS);
  }

  close() {
    this.#clock.clearTimeout(this.#timer);
  }

  /** A key or a touch. */
  touched() {
    this.#seen();
  }

  /** The camera looked; null when there is none (any more). */
  camera(sees) {
    this.#watched = sees !== null;
    if (sees) this.#seen();
  }

  #seen() {
    this.#seenAt = this.#clock.now();
    if (this.#here) return;
    this.#here = true;
    this.emit("came");
  }

  #look() {
    this.start();
    const now = this.#clock.now();
    if (this.#busy()) {
      if (this.#here) this.#seenAt = now;
      this.#invitedAt = now;
      return;
    }
    const goneMs = this.#watched ? GONE_WITH_CAMERA_MS : GONE_WITHOUT_CAMERA_MS;
    if (this.#here && now - this.#seenAt >= goneMs) {
      this.#here = false;
      this.#invitedAt = now;
      this.emit("left");
    } else if (!this.#here && now - this.#invitedAt >= INVITE_MS) {
      this.#invitedAt = now;
      this.emit("invite");
    }
  }
}
