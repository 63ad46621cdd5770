/** How much of a sentence is waited for. */
import { test } from "node:test";

import { Lead } from "../../src/ditto_avatar/web/core/lead.js";
import { equal, truthy } from "./harness.js";

test("stalls make later sentences wait longer, up to a limit", () => {
  const lead = new Lead();
  const least = lead.seconds;
  lead.learn(1);
  equal(lead.seconds, 2 * least);
  for (let sentence = 0; sentence < 20; sentence += 1) lead.learn(1);
  truthy(lead.seconds > 2 * least && lead.seconds < 2);
});

test("a bad minute is forgotten after sentences without a stall", () => {
  const lead = new Lead();
  const least = lead.seconds;
  for (let sentence = 0; sentence < 20; sentence += 1) lead.learn(1);
  for (let sentence = 0; sentence < 20; sentence += 1) lead.learn(0);
  equal(lead.seconds, least);
});
