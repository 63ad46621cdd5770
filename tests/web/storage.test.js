import assert from "node:assert/strict";
import test from "node:test";

import { ownConversation, tabStorage } from "../../src/ditto_avatar/web/ui/storage.js";
import { stretches } from "../../src/ditto_avatar/web/ui/prose.js";

class Memory {
  values = new Map();
  getItem = (key) => this.values.get(key) ?? null;
  setItem = (key, value) => void this.values.set(key, value);
  removeItem = (key) => void this.values.delete(key);
}

/** The browser's locks, as far as one page asks for them. */
class Locks {
  held = new Set();
  async request(name, { signal }, callback) {
    if (!this.held.has(name)) {
      this.held.add(name);
      return callback({ name });
    }
    return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  }
}

test("a page without storage remembers as long as it lasts", () => {
  const blocked = tabStorage(() => {
    throw new Error("SecurityError");
  });
  for (const storage of [blocked, tabStorage(() => null)]) {
    assert.equal(storage.getItem("a"), null);
    storage.setItem("a", "1");
    assert.equal(storage.getItem("a"), "1");
    storage.removeItem("a");
    assert.equal(storage.getItem("a"), null);
  }
});

test("a storage that is full loses nothing of this page", () => {
  const full = new Memory();
  full.setItem = () => {
    throw new Error("QuotaExceededError");
  };
  const storage = tabStorage(() => full);
  storage.setItem("a", "1");
  assert.equal(storage.getItem("a"), "1");
});

test("a duplicated tab begins a conversation of its own", async () => {
  const locks = new Locks();
  const first = new Memory();
  await ownConversation(first, locks);
  first.setItem("ditto-avatar.session", "mine");
  const copy = new Memory();
  copy.values = new Map(first.values);
  await ownConversation(copy, locks);
  assert.equal(copy.getItem("ditto-avatar.session"), null);
  assert.equal(first.getItem("ditto-avatar.session"), "mine");
  assert.notEqual(copy.getItem("ditto-avatar.tab"), first.getItem("ditto-avatar.tab"));
});

test("a tab that is loaded anew keeps its conversation", async () => {
  const storage = new Memory();
  await ownConversation(storage, new Locks());
  storage.setItem("ditto-avatar.session", "mine");
  await ownConversation(storage, new Locks());
  assert.equal(storage.getItem("ditto-avatar.session"), "mine");
});

test("without locks nothing changes", async () => {
  const storage = new Memory();
  storage.setItem("ditto-avatar.session", "mine");
  await ownConversation(storage, null);
  assert.equal(storage.getItem("ditto-avatar.session"), "mine");
});

test("code in fences is told from text", () => {
  assert.deepEqual(stretches("Here:\n```\na = 1\n\nb\n```\nDone."), [
    { code: false, text: "Here:" },
    { code: true, text: "a = 1\n\nb" },
    { code: false, text: "Done." },
  ]);
  assert.deepEqual(stretches("~~~\nstill coming"), [{ code: true, text: "still coming" }]);
  assert.deepEqual(stretches("plain ```x``` text"), [{ code: false, text: "plain ```x``` text" }]);
});
