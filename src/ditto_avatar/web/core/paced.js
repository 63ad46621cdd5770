/** Many changes in a row, drawn once. */
import { systemClock } from "./clock.js";

// Words that appear this late look as if they came at once.
const DRAW_MS = 40;

/**
 * Returns a function that has `draw` called soon, and at most every `DRAW_MS`. The words of an answer
 * come by the dozen, and the message that begins its picture waits behind them until each is drawn.
 */
export function paced(draw, clock = systemClock) {
  let drawnAt = -Infinity;
  let waiting = false;
  const now = () => {
    waiting = false;
    drawnAt = clock.now();
    draw();
  };
  return () => {
    if (waiting) return;
    waiting = true;
    clock.setTimeout(now, Math.max(0, drawnAt + DRAW_MS - clock.now()));
  };
}
