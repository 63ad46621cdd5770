/**
 * What is the same however a segment comes: what the person saw and heard of it is reported, and
 * the player is told how far it is. `Showing` has fragments and clips, `LiveShowing` WebRTC; each
 * says where it is (`position`, `remaining`, `driftMs`) and how its layer is freed (`release`).
 *
 * Emits
 * - `changed`  it may have become ready
 * - `report`   {segment, state, media_ms, drift_ms?} for the server
 * - `tick`     every `FOLLOW_MS` while it plays
 * - `ending`   the last picture comes in `ENDING_MS` or less
 * - `ended`    the last picture was shown
 * - `failed`   {reason, at}: it stops at media second `at`
 */
import { Emitter } from "./emitter.js";
import { FOLLOW_MS } from "./idle.js";

const ENDING_MS = 240;
const REPORT_MS = 1_000;

export class SegmentShowing extends Emitter {
  begun = false;
  closed = false;
  stalls = 0;
  corrections = 0;
  /** Milliseconds between the order to play and the motion, once they are known. */
  startupMs = null;
  /** Whether it hides everything behind it. */
  covers = false;
  #clock;
  #settle;
  #painted = false;
  #ending = false;
  #reportedAt = 0;
  #tickedAt = 0;

  constructor({ segment, layer, clock }) {
    super();
    this.segment = segment;
    this.layer = layer;
    this.#clock = clock;
    /** Resolves when it has ended, one way or another. */
    this.over = new Promise((resolve) => (this.#settle = resolve));
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
    this.stop();
  }

  close() {
    if (this.closed) return;
    this.closed = true;
    this.stop();
    this.release();
  }

  /** Plays no further: whoever waits for its end goes on. Subclasses add what they listen to. */
  stop() {
    this.#settle();
  }

  /** For subclasses: a picture was painted. */
  advance() {
    const now = this.#clock.now();
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

  /** For subclasses: the last picture was painted. */
  finish() {
    this.stop();
    this.#report("ended");
    this.emit("ended");
  }

  #report(state) {
    const report = { segment: this.segment.id, state, media_ms: Math.round(this.position * 1000) };
    if (this.#painted && state !== "painted") report.drift_ms = Math.round(this.driftMs);
    this.emit("report", report);
  }
}
