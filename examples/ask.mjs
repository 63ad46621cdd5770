// Ask a question, print the answer as it comes, and keep each sentence as a film:
// node examples/ask.mjs http://localhost:7136 "What can you do?" films
import { createWriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { connect } from "@ditto-avatar/client";

const [server, question, folder] = process.argv.slice(2);
await mkdir(folder, { recursive: true });
const avatar = await connect(server, { language: "en" });
avatar.on("text.delta", ({ text }) => process.stdout.write(text));
for await (const film of avatar.ask(question).films()) {
  await pipeline(film, createWriteStream(`${folder}/${film.index}.mp4`));
}
avatar.close();
