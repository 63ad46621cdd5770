/** How much of a sentence must have come before it begins: seconds that follow the network. */
const LEAST_SECONDS = 0.18;
const MOST_SECONDS = 1.2;
const AFTER_A_STALL = 2;
const AFTER_NONE = 0.8;

export class Lead {
  seconds = LEAST_SECONDS;

  /** A sentence is over: begin later after stalls, and a little earlier after none. */
  learn(stalls) {
    const seconds = this.seconds * (stalls ? AFTER_A_STALL : AFTER_NONE);
    this.seconds = Math.min(MOST_SECONDS, Math.max(LEAST_SECONDS, seconds));
  }
}
