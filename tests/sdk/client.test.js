/** @ditto-avatar/client, as it is built, against real servers; run by test_js_client.py. */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { connect as dial, createServer } from "node:net";
import { pipeline } from "node:stream/promises";
import { test } from "node:test";

const { BUILT, SERVER, KEYED, KEY, FILMS } = process.env;
const { connect, ConnectionLost, FilmBroken, ServerError } = await import(`${BUILT}/node.js`);
const { NodeSocket } = await import(`${BUILT}/node_socket.js`);

const LONG = "This is a rather long sentence to be spoken. And here is another one to follow it.";

/** Node's own WebSocket, where it has one, and ours. */
const SOCKETS = { ours: NodeSocket, ...(globalThis.WebSocket && { platform: globalThis.WebSocket }) };
const everySocket = Object.values(SOCKETS).map((Socket) => ({ openSocket: (url) => new Socket(url) }));

async function collect(iterable) {
  const all = [];
  for await (const value of iterable) all.push(value);
  return all;
}

async function opened(context, options = {}, server = SERVER) {
  const avatar = await connect(server, { language: "en", ...options });
  context.after(() => avatar.close());
  return avatar;
}

/** A way to the server that can be cut. */
async function cuttable(context) {
  const lines = new Set();
  const proxy = createServer((near) => {
    const far = dial(new URL(SERVER).port, "127.0.0.1");
    for (const [one, other] of [[near, far], [far, near]]) {
      lines.add(one);
      one.on("error", () => other.destroy()).on("close", () => other.destroy());
      one.pipe(other);
    }
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const cut = () => {
    for (const line of lines) line.destroy();
    lines.clear();
  };
  context.after(() => {
    cut();
    proxy.close();
  });
  return { server: `http://127.0.0.1:${proxy.address().port}`, cut };
}

test("an answer comes as events, in order, to its end", async (context) => {
  for (const socket of everySocket) {
    const avatar = await opened(context, socket);
    equal(avatar.ready.language, "en");
    const answer = avatar.say("Good morning.");
    const events = await collect(answer);
    equal(events[0].type, "turn.started");
    equal(events.at(-1).type, "turn.finished");
    equal((await answer.finished).text, "Good morning.");
    const clip = events.find(({ type }) => type === "video_ready");
    ok(clip.video_url.startsWith(`${SERVER}/video/`), clip.video_url);
  }
});

test("each sentence is a film that goes into a file as it comes", async (context) => {
  const avatar = await opened(context);
  const texts = [];
  for await (const film of avatar.say("One. And then there are two.").films()) {
    texts.push(film.text);
    await pipeline(film, createWriteStream(`${FILMS}/${film.index}.mp4`));
  }
  deepEqual(texts, ["One.", "And then there are two."]);
});

test("listeners and iterators see the same events", async (context) => {
  const avatar = await opened(context);
  const [heard, reader] = [[], avatar.events()];
  const stop = avatar.on("event", (event) => heard.push(event));
  const deltas = [];
  avatar.on("text.delta", ({ text }) => deltas.push(text));
  await avatar.say("Hello there.").finished;
  const read = [];
  for await (const event of reader) {
    read.push(event);
    if (event.type === "turn.finished") break;
  }
  deepEqual(read, heard.slice(0, read.length));
  equal(deltas.join("").trim(), "Hello there.");
  stop();
});

test("an answer that is left is interrupted, and the next one is whole", async (context) => {
  const avatar = await opened(context);
  for await (const event of avatar.say(LONG)) if (event.type === "segment.started") break;
  const next = await collect(avatar.say("Short."));
  equal(next[0].text, "Short.");
  equal(next.at(-1).type, "turn.finished");
});

test("a signal ends an answer", async (context) => {
  const avatar = await opened(context);
  const control = new AbortController();
  const answer = avatar.say(LONG, { signal: control.signal });
  const interrupted = new Promise((resolve) => avatar.on("turn.interrupted", resolve));
  await rejects(async () => {
    for await (const event of answer) if (event.type === "segment.started") control.abort();
  }, { name: "AbortError" });
  equal((await interrupted).reason, "user");
  await rejects(avatar.say("No.", { signal: control.signal }).finished, { name: "AbortError" });
});

test("a film of an answer that is interrupted says so", async (context) => {
  const avatar = await opened(context);
  const answer = avatar.say(LONG);
  const film = (await answer.films().next()).value;
  const reading = collect(film);
  avatar.interrupt();
  equal((await answer.finished).type, "turn.interrupted");
  await rejects(reading, FilmBroken);
});

test("it comes back after a break and hears the rest of the answer", async (context) => {
  for (const socket of everySocket) {
    const { server, cut } = await cuttable(context);
    const avatar = await opened(context, socket, server);
    const answer = avatar.say(LONG);
    const states = [];
    avatar.on("state", ({ state }) => {
      states.push(state);
      if (state === "waiting") avatar.wake();
    });
    const films = answer.films();
    for await (const event of answer) if (event.type === "segment.started" && !states.length) cut();
    equal((await answer.finished).text, LONG);
    deepEqual(states.slice(0, 3), ["waiting", "connecting", "open"]);
    await films.return();
    equal((await avatar.say("Still here.").finished).text, "Still here.");
  }
});

test("what the server refuses is thrown with its code", async (context) => {
  await rejects(connect(KEYED), (error) => error instanceof ServerError && error.code === "join_needed");
  const avatar = await opened(context, { join: KEY }, KEYED);
  const answer = avatar.ask("Far too long a question.");
  await rejects(collect(answer), { name: "ServerError", code: "invalid_input" });
  await rejects(answer.finished, ServerError);
});

test("a server that cannot be reached, or is given up, leaves nothing open", async () => {
  await rejects(connect("http://127.0.0.1:9"), ConnectionLost);
  const silent = createServer().listen(0, "127.0.0.1");
  await once(silent, "listening");
  const server = `http://127.0.0.1:${silent.address().port}`;
  const seen = once(silent, "connection");
  const control = new AbortController();
  const trying = connect(server, { signal: control.signal });
  const [line] = await seen;
  const ended = once(line.resume(), "close");
  control.abort(new Error("enough"));
  await rejects(trying, { message: "enough" });
  await ended;
  await rejects(connect(server, { withinMs: 1 }), /did not answer within 1 ms/);
  silent.close();
});

test("closing ends answers and readers", async (context) => {
  const avatar = await opened(context);
  const [answer, reader] = [avatar.say(LONG), avatar.events()];
  const reading = collect(reader);
  avatar.close();
  await rejects(answer.finished, ConnectionLost);
  await reading;
  await rejects(avatar.ask("Anyone?").finished, ConnectionLost);
  equal(avatar.state, "closed");
});

test("a kept session goes on", async (context) => {
  const kept = new Map();
  const storage = {
    getItem: (name) => kept.get(name) ?? null,
    setItem: (name, value) => kept.set(name, value),
    removeItem: (name) => kept.delete(name),
  };
  const first = await opened(context, { storage });
  await first.say("Remember this.").finished;
  first.close();
  const second = await opened(context, { storage });
  equal(second.ready.resumed, true);
  equal(second.session.session, first.session.session);
});
