// Compiled, never run: the types take what the README shows, and refuse what is wrong.
import { connect, ServerError, type Film, type VideoReady } from "@ditto-avatar/client";
import { AvatarClient } from "@ditto-avatar/client/player";

export async function uses(signal: AbortSignal): Promise<string> {
  const avatar = await connect("https://avatar.example.org", { join: "…", language: "en", signal });
  const stop = avatar.on("video_ready", (clip: VideoReady) => clip.video_url.length);
  const answer = avatar.ask("What can you do?");
  for await (const event of answer) {
    if (event.type === "text.delta") event.text.trim();
    // @ts-expect-error: a pong has no text
    if (event.type === "pong") event.text;
  }
  for await (const film of answer.films()) await saved(film);
  // @ts-expect-error: there is no such language
  avatar.setLanguage("xx");
  stop();
  const end = await answer.finished;
  return end.type === "turn.finished" ? end.text : end.reason;
}

async function saved(film: Film): Promise<number> {
  let size = 0;
  for await (const fragment of film) size += fragment.byteLength;
  return size;
}

export function shows(videos: HTMLVideoElement[], error: unknown): string {
  const client = new AvatarClient({ videos, server: "https://x/", storage: sessionStorage, language: "ko" });
  client.on("caption", ({ text }) => text.length);
  client.start();
  return error instanceof ServerError ? error.code : "";
}
