import type { AvatarOut, ClipOut, Language, Playback, ServerMessage } from "./protocol.js";
import type { Storage } from "./index.js";

interface Events {
  ready: { session: string; resumed: boolean };
  speaking: { text: string; turn: string };
  caption: { text: string };
  interrupted: { turn: string | null; reason: string };
  ended: Record<string, never>;
  error: { code: string; message: string };
  event: ServerMessage;
  report: Omit<Playback, "type">;
}

/** A conversation with its picture, in three video elements of a page; what `<ditto-avatar>` is
 * built on. */
export class AvatarClient {
  constructor(options: {
    /** Three video elements on top of one another. */
    videos: HTMLVideoElement[];
    /** The server's address, with a slash at its end. */
    server: string;
    storage: Storage;
    language: Language;
    avatar?: string | null;
  });
  readonly session: { session: string; token: string } | null;
  on<Type extends keyof Events>(type: Type, listener: (event: Events[Type]) => void): () => void;
  /** Connect; with a join token where the server asks for one. */
  start(token?: string | null): void;
  join(token: string): void;
  ask(text: string): void;
  say(text: string): void;
  interrupt(): void;
  replay(clips: ClipOut[]): void;
  setAvatar(name: string): void;
  setLanguage(language: Language): void;
  wake(): void;
  avatars(): Promise<AvatarOut[]>;
  /** Leaves nothing running. Cannot be undone. */
  close(): void;
}
