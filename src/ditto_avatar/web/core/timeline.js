/**
 * What is to be shown, in order: the segments of the answer in progress with their fragments and
 * clips. Pure bookkeeping, no video. Whatever belongs to an older generation is dropped here.
 *
 * Emits
 * - `changed` whenever there may be something new to load or show
 * - `dropped` a segment that is not wanted any more
 */
import { Emitter } from "./emitter.js";

const RTP_PER_FRAME = 3_600;

/** One spoken sentence. Its fragments arrive one by one, its clip when it is finished. */
export class Segment extends Emitter {
  fragments = [];
  complete = false;
  broken = false;
  lastFrame = null;
  clipUrl = null;
  duration = null;
  /** Media second at which the clip goes on, when the stream stopped in the middle. */
  resumeAt = 0;
  /** Whether its pictures come over WebRTC. */
  live;
  /** Where it is in RTP time: {rtp, frame, frames}, the newest last. */
  places = [];
  /** Whether it comes from the history. */
  replayed = false;

  constructor({ turn, generation, segment, index, text, mime = null, first_frame: firstFrame, transport }) {
    super();
    this.live = transport === "rtc";
    this.turn = turn;
    this.generation = generation;
    this.id = segment;
    this.index = index;
    this.text = text;
    this.mime = mime;
    this.firstFrame = firstFrame;
  }

  /** Whether fragments have come, or may still come, without a hole. */
  get streamable() {
    return this.mime !== null && !this.broken;
  }

  /** Add what followed a `segment.data` header; `bytes` is null when only the end was told. */
  add({ index, last, dropped }, bytes) {
    if (dropped) return this.breakOff();
    if (bytes && index !== this.fragments.length) return this.breakOff();
    if (bytes) this.fragments.push(bytes);
    this.complete ||= Boolean(last);
    this.emit("grown");
  }

  /** No more fragments will come, and the end is missing. */
  breakOff() {
    if (this.complete || this.broken) return;
    this.broken = true;
    this.emit("broken");
  }

  /** The server says at which RTP timestamp one of its frames is. */
  place({ rtp, frame, frames }) {
    this.places.push({ rtp, frame, frames });
    this.emit("placed");
  }

  /** The frame that has this RTP timestamp; null before the first one. */
  frameAt(rtp) {
    // The difference of two timestamps of 32 bits, with its sign.
    const place = this.places.findLast((candidate) => ((rtp - candidate.rtp) | 0) >= 0);
    return place ? place.frame + Math.floor(((rtp - place.rtp) | 0) / RTP_PER_FRAME) : null;
  }

  finish({ video_url: url, duration, last_frame: lastFrame }) {
    Object.assign(this, { clipUrl: url, duration, lastFrame });
    this.emit("finished");
  }
}

export class Timeline extends Emitter {
  #segments = [];
  #shown = new Set();
  #generation = 0;
  #floor = 0;
  #deadTurn = null;
  #openTurn = null;

  /** Segments that wait or play, in order. */
  get segments() {
    return this.#segments;
  }

  /** Whether more segments may come for the answer in progress. */
  get open() {
    return this.#openTurn !== null;
  }

  /** Feed a server event; others than those of a turn are ignored. Returns false for a stale one. */
  apply(event) {
    if (event.type === "segment.placed") this.#segment(event.segment)?.place(event);
    if (event.generation === undefined) return true;
    if (this.#isStale(event)) return false;
    this.#generation = Math.max(this.#generation, event.generation);
    if (event.type === "turn.started") this.#start(event);
    else if (event.type === "segment.started") this.#find(event);
    else if (event.type === "video_ready") this.#find(event)?.finish(event);
    else if (event.type === "turn.finished") this.#close(event);
    else if (event.type === "turn.interrupted") this.#kill(event);
    this.emit("changed");
    return true;
  }

  /** Feed a fragment; false when it is stale or nobody's. */
  addFragment(header, bytes) {
    const segment = this.#segment(header.segment);
    if (!segment || this.#isStale(header)) return false;
    segment.add(header, bytes);
    this.emit("changed");
    return true;
  }

  /** The person interrupts: nothing of the present generation counts any more. */
  interrupt() {
    this.#floor = this.#generation + 1;
    this.#openTurn = null;
    this.#clear();
  }

  /** The line is back, and what was missed does not follow. Of the `running` turn, or of an answer
   * that was complete before, is shown what has come as a whole; anything else is over. */
  skip(running) {
    if (this.#openTurn !== running) return this.reset();
    this.#keep(({ complete, clipUrl }) => complete || clipUrl !== null);
    this.emit("changed");
  }

  /** A new conversation, or one whose numbers begin again. */
  reset() {
    this.#generation = this.#floor = 0;
    this.#deadTurn = this.#openTurn = null;
    this.#shown.clear();
    this.#clear();
  }

  /** The line broke: unfinished streams will not go on, their clips come instead. */
  breakOff() {
    for (const segment of this.#segments) segment.breakOff();
    this.emit("changed");
  }

  /** Clips of the history, to be shown once more; not while an answer is in progress. */
  replay(clips) {
    if (this.open || this.#segments.length) return false;
    for (const clip of clips) {
      const segment = new Segment({ ...clip, generation: this.#generation });
      segment.replayed = true;
      segment.finish(clip);
      this.#segments.push(segment);
    }
    this.emit("changed");
    return true;
  }

  /** The segment has been shown to its end, or cannot be shown. */
  remove(segment) {
    this.#segments = this.#segments.filter((other) => other !== segment);
    if (!segment.replayed) this.#shown.add(segment.id);
    this.emit("changed");
  }

  #segment(wanted) {
    return this.#segments.find(({ id }) => id === wanted);
  }

  #isStale({ generation, turn }) {
    const old = Math.max(this.#floor, this.#generation);
    return generation < old || (turn !== undefined && turn === this.#deadTurn);
  }

  #start({ turn, generation }) {
    if (turn === this.#openTurn) return; // told again, to a page that asked again
    this.#openTurn = turn;
    this.#shown.clear();
    this.#keep((segment) => segment.generation >= generation);
  }

  #find(event) {
    if (this.#shown.has(event.segment)) return null;
    const known = this.#segment(event.segment);
    if (known) return known;
    const segment = new Segment(event);
    const later = this.#segments.findIndex(({ index }) => index > segment.index);
    this.#segments.splice(later < 0 ? this.#segments.length : later, 0, segment);
    return segment;
  }

  #close({ turn }) {
    if (this.#openTurn === turn) this.#openTurn = null;
  }

  #kill({ turn, generation }) {
    this.#deadTurn = turn;
    if (this.#openTurn === turn) this.#openTurn = null;
    this.#keep((segment) => segment.turn !== turn && segment.generation >= generation);
  }

  #clear() {
    this.#keep(() => false);
    this.emit("changed");
  }

  #keep(wanted) {
    const dropped = this.#segments.filter((segment) => !wanted(segment));
    this.#segments = this.#segments.filter(wanted);
    for (const segment of dropped) this.emit("dropped", segment);
  }
}
