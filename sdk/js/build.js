/**
 * Puts the package together: `node build.js FOLDER`. What it shares with the page comes from the
 * page's own core, so that there is one source and nothing to keep in step.
 */
import { cp, mkdir, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const [folder] = process.argv.slice(2);
if (!folder) throw new Error("Expected the folder to build into.");
const place = (path) => fileURLToPath(new URL(path, import.meta.url));

await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });
await cp(place("src/"), folder, { recursive: true });
await cp(place("../../src/ditto_avatar/web/core/"), `${folder}/core`, { recursive: true });
