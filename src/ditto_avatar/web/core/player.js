/**
 * Shows a timeline on three stacked video elements: the idle loop, the segment that is spoken,
 * and the next one, loaded beforehand. Sentences follow one another with a hard cut between equal
 * poses; the way from and to the idle loop is a short cross-fade between equal poses.
 *
 * Emits
 * - `speaking` the segment that is seen and heard from now on
 * - `idle`     nothing is spoken any more
 * - `sound`    {blocked, muted} changed
 * - `report`   a `playback` message for the server, without its type
 * - `fault`    a sentence for the console
 */
import { systemClock } from "./clock.js";
import { Emitter } from "./emitter.js";
import { IdleLoop } from "./idle.js";
import { Layers } from "./layers.js";
import { Lead } from "./lead.js";
import { Showing } from "./showing.js";
import { findMediaSource } from "./sources.js";

export const FADE_MS = 300;
const HUSH_MS = 80;
// Ways back to the idle loop: how long it may take to find the pose that it goes on from, and the
// cross-fade. A person who interrupts sees it within 150 ms.
const BACK = {
  ended: { poseMs: 200, fadeMs: FADE_MS },
  interrupted: { poseMs: 25, fadeMs: 50 },
  failed: { poseMs: 200, fadeMs: 0 },
};
const IDLE_TOLERANCE_FRAMES = 2;
// Rather a picture that stays a moment than one that is left out.
const PREROLL_SHARE = 0.6;
const STARTUP_WEIGHT = 0.1;

export class Player extends Emitter {
  #timeline;
  #clock;
  #MediaSource;
  #layers;
  #idle = null;
  #wantedAvatar = null;
  #changing = false;
  #closed = false;
  #showings = new Map();
  #onScreen = null;
  #starting = null;
  #muted = false;
  #blocked = false;
  #textAt = null;
  #waitedMs = 0;
  #startupMs = 60;
  #lead = new Lead();
  #live = null;

  /** @param videos three video elements on top of one another */
  constructor({ videos, timeline, clock = systemClock, MediaSource = findMediaSource() }) {
    super();
    this.#timeline = timeline;
    this.#clock = clock;
    this.#MediaSource = MediaSource;
    this.#layers = new Layers(videos, clock);
    for (const video of videos) {
      video.playsInline = true;
      video.disablePictureInPicture = true;
    }
    timeline.on("changed", () => this.#refresh());
    timeline.on("dropped", (segment) => this.#dropped(segment));
  }

  /** What `hello` says: fragments or whole clips. */
  get playback() {
    return this.#MediaSource ? "stream" : "clips";
  }

  /** Where the idle loop is now; undefined before it plays. */
  get idleFrame() {
    if (this.#onScreen) return this.#pose(this.#onScreen);
    return this.#idle?.frame;
  }

  get speaking() {
    return this.#onScreen !== null;
  }

  get sound() {
    return { blocked: this.#blocked, muted: this.#muted };
  }

  /** What is on the screen, for the overlay of developers. */
  get current() {
    return this.#onScreen;
  }

  /** Shows segments that come over WebRTC with `line` (see `RtcLine`) from now on. */
  showLive(line) {
    this.#live = line;
  }

  /** Another presenter, from the next idle moment on. */
  setAvatar(avatar) {
    this.#wantedAvatar = avatar;
    return this.#changeAvatar();
  }

  /** The person asked something now: the next first picture is measured from here. */
  expectAnswer() {
    this.#textAt = this.#clock.now();
  }

  /** Fades back to the idle loop and forgets the answer in progress. */
  interrupt() {
    this.#textAt = null;
    this.#timeline.interrupt();
  }

  /** Turns the sound on or off; on, within a click, also lifts the browser's block. */
  setMuted(muted) {
    this.#muted = muted;
    if (!muted) this.#blocked = false;
    if (this.#onScreen) {
      const { video } = this.#onScreen.layer;
      video.muted = muted;
      if (video.paused) video.play().catch(() => {});
    }
    this.emit("sound", this.sound);
  }

  /** Plays on after the browser stopped it, in a hidden tab for example. */
  wake() {
    this.#idle?.wake();
  }

  /** Call within a click or key: some browsers bless only elements that were touched in one. */
  unlock() {
    for (const video of this.#layers.unused) video.load();
    this.wake();
    if (this.#blocked && !this.#muted) this.setMuted(false);
  }

  /** Ends everything that plays or loads, at once. Cannot be undone. */
  close() {
    this.#closed = true;
    this.#wantedAvatar = null;
    for (const showing of this.#showings.values()) {
      showing.drop();
      showing.close();
    }
    this.#showings.clear();
    this.#onScreen?.close();
    this.#onScreen = null;
    if (this.#idle) this.#release(this.#idle);
    this.#idle = null;
    this.#live?.close();
  }

  #refresh() {
    if (!this.#idle) return;
    for (const segment of this.#timeline.segments.slice(0, 2)) this.#load(segment);
    const first = this.#showings.get(this.#timeline.segments[0]);
    if (this.#starting) return;
    if (first?.ready && !first.begun) return this.#begin(first);
    // Pictures of WebRTC come when they come: the next sentence is waited for while this one ends.
    const next = this.#showings.get(this.#timeline.segments[1]);
    if (first?.live && next?.live && next.ready && !next.begun) this.#begin(next);
  }

  #load(segment) {
    if (this.#showings.has(segment)) return;
    const showing = this.#showingOf(segment);
    if (!showing) return;
    this.#showings.set(segment, showing);
    showing.on("changed", () => this.#refresh());
    showing.on("ending", () => this.#startNext(showing));
    showing.on("ended", () => this.#ended(showing));
    showing.on("failed", (failure) => this.#failed(showing, failure));
    showing.on("tick", () => this.#keepInStep(showing));
    showing.on("report", (report) => this.#report(segment, report));
  }

  /** The best way that there is for `segment` now; null when there is none yet. */
  #showingOf(segment) {
    const layers = this.#layers;
    if (segment.live && this.#live?.up) return this.#live.show(segment);
    segment.live = false;
    const streams = this.#MediaSource && segment.streamable;
    if (!(streams || segment.clipUrl)) return null;
    const layer = layers.take(segment);
    if (!layer) return null;
    return new Showing({
      segment,
      layer,
      layers,
      clock: this.#clock,
      MediaSource: this.#MediaSource,
      neededSeconds: this.#lead.seconds,
    });
  }

  /** The next sentence starts, behind the last pictures of this one, when it takes just the time
   * that is left until it moves: both are silent there. */
  #startNext(showing) {
    const leadMs = Math.max(0, showing.remaining * 1000 - PREROLL_SHARE * this.#startupMs);
    this.#clock.setTimeout(() => {
      const next = this.#showings.get(this.#timeline.segments[1]);
      const wanted = showing === this.#onScreen && next?.ready && !next.begun;
      if (wanted && !this.#starting) this.#begin(next);
    }, leadMs);
  }

  async #begin(showing) {
    this.#starting = showing;
    const fromIdle = this.#onScreen === null;
    const readyAt = this.#clock.now();
    if (fromIdle && !showing.live) {
      await this.#idle.reach(showing.segment.firstFrame ?? this.#idle.frame, this.#startupMs);
    }
    this.#waitedMs = this.#clock.now() - readyAt;
    try {
      if (!showing.closed) await this.#play(showing);
    } catch (error) {
      this.#failed(showing, { reason: `It does not play: ${error.message}`, at: 0 });
    }
    await this.#onScreen?.over;
    this.#starting = null;
    if (showing.closed) {
      this.#refresh();
      return this.#leaveEnded();
    }
    const previous = this.#onScreen;
    this.#onScreen = showing;
    const raised = this.#layers.raise(showing.layer, previous === null ? FADE_MS : 0);
    showing.seen();
    this.emit("speaking", showing.segment);
    await raised;
    showing.covers = true;
    if (previous) this.#lead.learn(previous.stalls);
    previous?.close();
    this.#refresh();
  }

  async #play(showing) {
    const { video } = showing.layer;
    video.muted = this.#muted;
    try {
      await showing.play();
      if (!this.#muted) this.#block(false);
    } catch (error) {
      if (error.name !== "NotAllowedError" || video.muted) throw error;
      video.muted = true;
      await showing.play();
      this.#block(true);
    }
  }

  #block(blocked) {
    if (this.#blocked === blocked) return;
    this.#blocked = blocked;
    this.emit("sound", this.sound);
  }

  #report(segment, report) {
    if (segment.replayed) return;
    const first = report.state === "painted" && this.#textAt !== null;
    if (first) {
      report.since_text_ms = Math.round(this.#clock.now() - this.#textAt);
      report.waited_ms = Math.round(this.#waitedMs);
      this.#textAt = null;
    }
    const over = report.state === "ended" || report.state === "dropped";
    this.emit("report", over ? { ...report, idle_frame: this.idleFrame } : report);
  }

  #ended(showing) {
    const { segment } = showing;
    this.#showings.delete(segment);
    const last = segment.lastFrame ?? this.#pose(showing);
    this.#timeline.remove(segment);
    if (!this.#starting) this.#toIdle(last + 1, BACK.ended);
  }

  #dropped(segment) {
    const showing = this.#showings.get(segment);
    if (!showing) return this.#reportUnseen(segment);
    this.#showings.delete(segment);
    showing.drop();
    if (showing !== this.#onScreen) {
      showing.close();
      this.#changeAvatar();
      return this.#leaveEnded();
    }
    showing.layer.hush(HUSH_MS);
    this.#toIdle(this.#pose(showing), BACK.interrupted);
  }

  /** Or the server would have to guess how much of it was heard. */
  #reportUnseen(segment) {
    const heardMs = Math.round(segment.resumeAt * 1000);
    this.#report(segment, { segment: segment.id, state: "dropped", media_ms: heardMs });
  }

  /** Falls back to the clip, from where the stream stopped; a clip that fails is left out. */
  #failed(showing, { reason, at }) {
    const { segment } = showing;
    if (this.#showings.get(segment) !== showing) return;
    this.emit("fault", `Segment ${segment.id}: ${reason}`);
    this.#showings.delete(segment);
    if (showing === this.#onScreen) {
      showing.drop();
      if (!showing.live) showing.layer.video.pause();
      // A decoder that failed may show nothing at all, and then a fade would begin from nothing.
      this.#toIdle(this.#pose(showing), BACK.failed);
    } else {
      showing.close();
      this.#changeAvatar();
    }
    if (!showing.streamed) return this.#timeline.remove(segment);
    // After WebRTC the fragments follow; after them the clip.
    if (showing.live) segment.live = false;
    else segment.broken = true;
    segment.resumeAt = at;
    this.#refresh();
  }

  /** The last picture of an ended segment waited for a next one that does not come. */
  #leaveEnded() {
    const showing = this.#onScreen;
    if (!showing || this.#starting || this.#showings.has(showing.segment)) return;
    this.#toIdle(this.#pose(showing), BACK.ended);
  }

  async #toIdle(frame, { poseMs, fadeMs }) {
    const leaving = this.#onScreen;
    if (!leaving) return;
    this.#onScreen = null;
    this.#lead.learn(leaving.stalls);
    this.emit("idle");
    await this.#idle.align(frame, poseMs, IDLE_TOLERANCE_FRAMES);
    await this.#layers.lower(leaving.layer, fadeMs);
    leaving.close();
    await this.#changeAvatar();
    this.#refresh();
  }

  #pose({ segment, position }) {
    if (segment.firstFrame === undefined || !this.#idle) return this.#idle?.frame;
    return this.#idle.after(segment.firstFrame, position);
  }

  /** The hidden loop has the pose of the segment, so that the way back is open at any moment. */
  #keepInStep(showing) {
    const { segment, position, covers, startupMs } = showing;
    if (startupMs !== null) this.#startupMs += STARTUP_WEIGHT * (startupMs - this.#startupMs);
    if (showing !== this.#onScreen || !covers || segment.firstFrame === undefined) return;
    this.#idle.follow(segment.firstFrame / this.#idle.avatar.fps + position);
  }

  async #changeAvatar() {
    if (this.#changing) return;
    this.#changing = true;
    try {
      // While sentences have all layers, it stays wanted.
      while (this.#wantedAvatar && !this.#onScreen && this.#layers.unused.length > 0) {
        const avatar = this.#wantedAvatar;
        this.#wantedAvatar = null;
        if (avatar.name !== this.#idle?.avatar.name) await this.#replaceIdle(avatar);
      }
    } finally {
      this.#changing = false;
    }
    this.#refresh();
  }

  async #replaceIdle(avatar) {
    const layer = this.#layers.take(avatar);
    if (!layer) return;
    const idle = new IdleLoop(layer, avatar, this.#clock);
    const previous = this.#idle;
    try {
      await idle.start();
    } catch (error) {
      this.emit("fault", `The idle loop of ${avatar.name}: ${error.message}`);
      // The old face is better than none; without one the poster stays.
      if (previous) return this.#release(idle);
    }
    if (this.#closed) return this.#release(idle);
    this.#idle = idle;
    const raised = this.#layers.raise(layer, previous && !this.#onScreen ? FADE_MS : 0);
    if (this.#onScreen) this.#layers.raise(this.#onScreen.layer, 0);
    await raised;
    if (previous) this.#release(previous);
  }

  #release(idle) {
    idle.close();
    this.#layers.free(idle.layer);
  }
}
