/** Drawing that waits for more, with time by hand. */
import { test } from "node:test";

import { paced } from "../../src/ditto_avatar/web/core/paced.js";
import { equal, FakeClock } from "./harness.js";

test("many changes at once are drawn once, and the last of them is always drawn", () => {
  const clock = new FakeClock();
  let drawn = 0;
  const draw = paced(() => (drawn += 1), clock);
  for (let change = 0; change < 50; change += 1) draw();
  equal(drawn, 0);
  clock.advance(1);
  equal(drawn, 1);
  draw();
  draw();
  clock.advance(20);
  equal(drawn, 1);
  clock.advance(20);
  equal(drawn, 2);
});
