/**
 * Tells the person from the presenter, whose voice comes back from the loudspeaker, in what the
 * browser's recogniser understood. No DOM.
 */
import { systemClock } from "./clock.js";

// Recognisers tell late: a sentence may still come back this long after it was spoken.
const REMEMBERED_MS = 5_000;
const LONGEST_UTTERANCE_MS = 30_000;
// A shorter sound is a cough or a click. Where the recogniser does not say when speech began, so
// much must have been understood.
const LEAST_SPEECH_MS = 300;
const LEAST_WORDS = 2;
const LEAST_SYLLABLES = 4;
const ECHO_SHARE = 0.6;
// A recogniser leaves out and changes words: the stretch that is compared is that much longer.
const STRETCH = 1.5;

const HANGUL = /^\p{Script=Hangul}$/u;
const TOKENS = /\p{Script=Hangul}|(?:(?!\p{Script=Hangul})[\p{L}\p{N}])+/gu;

export class Hearing {
  #clock;
  // {text, endedAt}, oldest first; null while it sounds.
  #sentences = [];
  #speechAt = null;
  #utteranceAt = null;

  constructor(clock = systemClock) {
    this.#clock = clock;
  }

  /** The sentence that the presenter says now, "" when silent. */
  speaks(text) {
    const last = this.#sentences.at(-1);
    const sounding = last?.endedAt === null;
    if (sounding ? last.text === text : text === "") return;
    if (sounding) last.endedAt = this.#clock.now();
    this.#sentences = this.#remembered();
    if (text) this.#sentences.push({ text, endedAt: null });
  }

  /** The recogniser noticed a voice at `at`, in milliseconds of the clock. */
  voiceBegan(at) {
    this.#speechAt = at;
    this.#utteranceAt ??= at;
  }

  /** The recogniser was switched on or off. */
  reset() {
    this.#speechAt = this.#utteranceAt = null;
  }

  /** Whether what was understood comes from the person: not from the presenter and, over the
   * presenter's voice, more than a short sound, unless it is `final`. */
  isPerson(text, final) {
    this.#utteranceAt ??= this.#clock.now();
    const spoken = this.#remembered();
    const sure = final || spoken.at(-1)?.endedAt !== null || this.#isLong(text);
    if (final) this.reset();
    return sure && !isEcho(text, spoken.map((sentence) => sentence.text).join(" "));
  }

  #isLong(text) {
    if (this.#speechAt !== null) return this.#clock.now() - this.#speechAt >= LEAST_SPEECH_MS;
    const found = tokens(text);
    const syllables = found.filter((token) => HANGUL.test(token)).length;
    return syllables >= LEAST_SYLLABLES || found.length - syllables >= LEAST_WORDS;
  }

  /** What sounded during this utterance or shortly before it. */
  #remembered() {
    const now = this.#clock.now();
    const began = Math.max(this.#utteranceAt ?? now, now - LONGEST_UTTERANCE_MS);
    const isRecent = ({ endedAt }) => endedAt === null || endedAt > began - REMEMBERED_MS;
    return this.#sentences.filter(isRecent);
  }
}

/** Whether most of what was heard is, in order, in one stretch of what was spoken. */
export function isEcho(heard, spoken) {
  const theirs = tokens(heard);
  if (theirs.length === 0) return true;
  const said = tokens(spoken);
  const length = Math.ceil(theirs.length * STRETCH);
  for (let start = 0; start === 0 || start + length <= said.length; start++) {
    const stretch = said.slice(start, start + length);
    if (inCommon(theirs, stretch) >= ECHO_SHARE * theirs.length) return true;
  }
  return false;
}

/** Words, but of Hangul syllables: every recogniser puts the spaces elsewhere. */
function tokens(text) {
  return text.normalize("NFC").toLowerCase().match(TOKENS) ?? [];
}

/** The length of the longest sequence that both have in this order. */
function inCommon(left, right) {
  let lengths = new Array(right.length + 1).fill(0);
  for (const token of left) {
    const next = [0];
    for (let i = 0; i < right.length; i++) {
      next.push(token === right[i] ? lengths[i] + 1 : Math.max(lengths[i + 1], next[i]));
    }
    lengths = next;
  }
  return lengths.at(-1);
}
