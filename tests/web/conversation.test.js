import { test } from "node:test";

import { Conversation } from "../../src/ditto_avatar/web/core/conversation.js";
import { equal } from "./harness.js";

const READY = { type: "session.ready", resumed: false, language: "en", avatar: { name: "mina" } };
const TURN = { turn: "t1", generation: 1 };

function conversationOf(...events) {
  const conversation = new Conversation();
  conversation.update({ line: "open" });
  for (const event of [READY, ...events]) conversation.apply(event);
  return conversation;
}

const started = (id, turn = TURN) => ({ type: "turn.started", ...turn, id, kind: "message", text: "Hi" });
const said = ({ state }) => state.messages.map(({ role, text, state: how }) => [role, text, how]);

test("a question is there at once and confirmed by its turn", () => {
  const conversation = conversationOf();
  conversation.asked("q1", "Hi");
  equal(said(conversation), [["user", "Hi", "unsent"]]);
  conversation.apply(started("q1"));
  equal(said(conversation), [["user", "Hi", "done"]]);
});

test("the answer grows word by word and ends with the whole text", () => {
  const conversation = conversationOf();
  conversation.asked("q1", "Hi");
  conversation.apply(started("q1"));
  conversation.apply({ type: "text.delta", ...TURN, text: "Hello " });
  conversation.apply({ type: "text.delta", ...TURN, text: "you" });
  equal(said(conversation)[1], ["assistant", "Hello you", "streaming"]);
  conversation.apply({ type: "turn.finished", ...TURN, text: "Hello you.", timings: {} });
  equal(said(conversation)[1], ["assistant", "Hello you.", "done"]);
});

test("the phases follow a turn", () => {
  const conversation = conversationOf();
  const phases = [conversation.phase];
  conversation.asked("q1", "Hi");
  phases.push(conversation.phase);
  conversation.apply(started("q1"));
  conversation.apply({ type: "queue.position", turn: "t1", position: 2 });
  phases.push(conversation.phase);
  conversation.apply({ type: "queue.position", turn: "t1", position: 0 });
  phases.push(conversation.phase);
  conversation.update({ speaking: true });
  conversation.apply({ type: "turn.finished", ...TURN, text: "Hello." });
  phases.push(conversation.phase);
  conversation.update({ speaking: false });
  phases.push(conversation.phase);
  equal(phases, ["ready", "thinking", "queued", "thinking", "speaking", "ready"]);
});

test("a broken line is said before everything else", () => {
  const conversation = conversationOf();
  conversation.update({ speaking: true, line: "waiting" });
  equal(conversation.phase, "waiting");
});

test("an interrupted answer keeps what came and says so", () => {
  const conversation = conversationOf(started(undefined));
  conversation.apply({ type: "text.delta", ...TURN, text: "Hello" });
  conversation.interrupted();
  equal(said(conversation).at(-1), ["assistant", "Hello", "interrupted"]);
  equal(conversation.busy, false);
});

test("a question that the server refuses is marked, with a notice", () => {
  const conversation = conversationOf();
  conversation.asked("q1", "Hi");
  conversation.apply({ type: "error", code: "rate_limited", message: "Too fast.", id: "q1" });
  equal(said(conversation), [["user", "Hi", "failed"]]);
  equal([conversation.state.notices[0].code, conversation.phase], ["rate_limited", "ready"]);
});

test("an error marks the message that it names and no other", () => {
  const conversation = conversationOf();
  conversation.asked("q1", "Hi");
  conversation.asked("q2", "Are you there?");
  conversation.apply({ type: "error", code: "invalid_input", message: "No.", id: "q1", turn: null });
  equal(said(conversation), [
    ["user", "Hi", "failed"],
    ["user", "Are you there?", "unsent"],
  ]);
  equal(conversation.phase, "thinking");
});

test("an error that names no message leaves those that wait alone", () => {
  const conversation = conversationOf();
  conversation.asked("q1", "Hi");
  const error = { type: "error", code: "provider_failed", message: "Deaf.", id: null, turn: null };
  conversation.apply(error);
  equal([said(conversation), conversation.phase], [[["user", "Hi", "unsent"]], "thinking"]);
  equal(conversation.state.notices[0].code, "provider_failed");
});

test("an error that names the running turn ends the waiting for it", () => {
  const conversation = conversationOf(started(undefined));
  conversation.apply({ type: "error", code: "busy", message: "Full.", id: null, turn: "t1" });
  equal(conversation.phase, "ready");
});

test("a reloaded page gets its history, a living one keeps its own", () => {
  const history = [
    { role: "user", text: "Hi", turn: "t1", clips: [] },
    { role: "assistant", text: "Hello.", heard: "Hel", turn: "t1", clips: [{ segment: "1" }] },
  ];
  const conversation = conversationOf(
    { ...READY, resumed: true, gap: true, history },
    { ...READY, resumed: true, gap: false, history: [] },
  );
  equal(said(conversation), [
    ["user", "Hi", "done"],
    ["assistant", "Hello.", "interrupted"],
  ]);
});

test("an answer that a reload cut in two is one answer", () => {
  const history = [{ role: "assistant", text: "Hello ", turn: "t1", clips: [] }];
  const ready = { ...READY, resumed: true, gap: true, history };
  const conversation = conversationOf(ready, { type: "text.delta", ...TURN, text: "you" });
  equal(said(conversation), [["assistant", "Hello you", "streaming"]]);
  equal(conversation.phase, "thinking");
});

test("what was not sent yet outlives a gap", () => {
  const conversation = conversationOf();
  conversation.asked("q1", "Hi");
  conversation.apply({ ...READY, resumed: true, gap: true, history: [] });
  equal(said(conversation), [["user", "Hi", "unsent"]]);
});

const RETURN = { ...READY, resumed: true, gap: true, history: [] };

test("a turn that the server forgot is over, with its place in the queue", () => {
  const conversation = conversationOf(started(undefined));
  conversation.apply({ type: "queue.position", turn: "t1", position: 2 });
  conversation.apply({ ...RETURN, running_turn: null });
  equal([conversation.phase, conversation.busy, conversation.state.queue], ["ready", false, 0]);
});

test("a server that tells nothing of a running turn has none", () => {
  const conversation = conversationOf(started(undefined), RETURN);
  equal(conversation.phase, "ready");
});

test("a turn that is still running goes on after a gap", () => {
  const conversation = conversationOf(started(undefined), { ...RETURN, running_turn: "t1" });
  equal(conversation.phase, "thinking");
});

test("without a gap the missed events tell how the turn went on", () => {
  const ready = { ...RETURN, gap: false, running_turn: null };
  equal(conversationOf(started(undefined), ready).phase, "thinking");
});

test("a question that is sent again after a gap is still to be answered", () => {
  const conversation = conversationOf();
  conversation.asked("q1", "Hi");
  conversation.apply({ ...RETURN, running_turn: null });
  equal(conversation.phase, "thinking");
});

const ASKED = { role: "user", text: "Hi", turn: "t1", id: "q1", clips: [] };

test("a question that the server stored and never confirmed is there once, and waits", () => {
  const conversation = conversationOf();
  conversation.asked("q1", "Hi");
  conversation.apply({ ...RETURN, history: [ASKED], running_turn: null });
  equal([said(conversation), conversation.phase], [[["user", "Hi", "unsent"]], "thinking"]);
  conversation.apply(started("q1"));
  equal([said(conversation), conversation.phase], [[["user", "Hi", "done"]], "thinking"]);
});

test("a question that was answered while the line was broken is there once, and over", () => {
  const conversation = conversationOf();
  conversation.asked("q1", "Hi");
  const answer = { role: "assistant", text: "Hello.", heard: null, turn: "t1", clips: [] };
  conversation.apply({ ...RETURN, history: [ASKED, answer], running_turn: null });
  conversation.apply(started("q1"));
  conversation.apply({ type: "turn.finished", ...TURN, text: "Hello.", timings: {} });
  equal(said(conversation), [
    ["user", "Hi", "done"],
    ["assistant", "Hello.", "done"],
  ]);
  equal(conversation.phase, "ready");
});

test("a turn that is confirmed again keeps its place in the queue", () => {
  const conversation = conversationOf(started("q1"));
  conversation.apply({ type: "queue.position", turn: "t1", position: 2 });
  conversation.apply(started("q1"));
  equal([conversation.phase, conversation.state.queue], ["queued", 2]);
});

test("a message from another tab or program shows as well", () => {
  equal(said(conversationOf(started(undefined))), [["user", "Hi", "done"]]);
});

test("the same notice is shown once, and never more than three", () => {
  const conversation = conversationOf();
  for (const code of ["a", "b", "a", "c", "d"]) conversation.notify(code, code);
  equal(conversation.state.notices.map(({ code }) => code), ["a", "c", "d"]);
  conversation.dismiss("c");
  equal(conversation.state.notices.map(({ code }) => code), ["a", "d"]);
});

test("the clips of an answer are kept for a replay, each once", () => {
  const conversation = conversationOf(started(undefined));
  conversation.apply({ type: "text.delta", ...TURN, text: "Hello" });
  for (let time = 0; time < 2; time++) {
    conversation.apply({ type: "video_ready", ...TURN, segment: "s1", video_url: "/video/a.mp4" });
  }
  equal(conversation.answer("t1").clips.map(({ segment }) => segment), ["s1"]);
});

test("a session that could not be resumed says that a new one begins", () => {
  const conversation = conversationOf(started(undefined));
  conversation.apply(READY);
  equal(conversation.state.notices.map(({ code }) => code), ["new_session"]);
});
