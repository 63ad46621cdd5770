/** Messages of the WebSocket, written by `make protocol` out of docs/protocol.schema.json. */

/** Where pages say that the presenter is made by AI. */
export type AiLabel = "top" | "bottom" | "off";

/** Opens the microphone. Binary frames follow: 16 kHz, signed 16-bit, mono, at most 2 s each.
 * Refused with `unavailable` where `transcription` is `browser`. */
export interface AudioStart {
  type: "audio.start";
  /** `push_to_talk`: everything until `audio.stop` is one question. `hands_free`: the server
   * hears where a question ends, and speaking interrupts the answer. */
  mode?: "push_to_talk" | "hands_free";
  /** Frame of the idle loop that the page shows now; may be a fraction. */
  idle_frame?: number | null;
}

/** Closes the microphone. */
export interface AudioStop {
  type: "audio.stop";
}

/** A presenter as the page shows it. */
export interface AvatarOut {
  /** The name by which it is chosen. */
  name: string;
  /** Its name for people, by language. */
  display_name: Record<string, string>;
  /** A sentence about it, by language. */
  description: Record<string, string>;
  license: string;
  /** Where the face comes from. */
  provenance: string;
  /** Who agreed to its use. */
  consent: string;
  poster_url: string;
  /** The film of the idle loop. */
  idle_url: string;
  width: number;
  height: number;
  fps: number;
  /** Frames of the idle loop. */
  frames: number;
  /** Whether its films are packed pictures without a background: twice as high, the colours
   * above, multiplied by the opacity, and the opacity below. */
  alpha: boolean;
  /** The name under which it is shown without its background; null where it cannot be. */
  cutout: string | null;
}

/** Chooses the presenter from the next turn on. Answered by `avatar.selected`. */
export interface AvatarSelect {
  type: "avatar.select";
  avatar: string;
  /** Whether it is to be shown without its background, where it can be. */
  cutout?: boolean;
}

/** Tells every viewer of a session which presenter it has from the next turn on. */
export interface AvatarSelected {
  /** Counts up by one in a session. Missing where one page alone is told how an old turn of its
   * stands. */
  seq?: number | null;
  type: "avatar.selected";
  avatar: AvatarOut;
}

export type ClientMessage = Hello | UserText | Say | Interrupt | AvatarSelect | LanguageSelect | VoiceSelect | Playback | AudioStart | AudioStop | RtcOffer | RtcState | Ping;

/** A finished segment that can be replayed. */
export interface ClipOut {
  /** Its place in the turn, from 0. */
  index: number;
  text: string;
  emotion: Emotion;
  video_url: string;
  audio_url: string;
  /** Seconds. */
  duration: number;
  /** The idle frame that the first picture continues. */
  first_frame: number;
  /** The idle frame of the last picture: the loop goes on at the next one. */
  last_frame: number;
}

/** The emotions of the wire protocol, in the order of Ditto's condition vector. */
export type Emotion = "angry" | "disgust" | "fear" | "happy" | "neutral" | "sad" | "surprise" | "contempt";

/** A text of the conversation. */
export interface EntryOut {
  role: "user" | "assistant";
  text: string;
  turn: string;
  clips: Array<ClipOut>;
  /** Of an answer: how much of it was heard when it was interrupted; null: all of it. */
  heard?: string | null;
  /** Of a question: what its page called it, if it did. */
  id?: string | null;
}

/** Tells one thing that went wrong; the session lives on. One that names neither a message nor
 * a turn says nothing about messages that wait. */
export interface ErrorMessage {
  type: "error";
  /** Stable, for programs. */
  code: string;
  /** For people. */
  message: string;
  /** The turn that failed. */
  turn: string | null;
  /** The message that could not be done. */
  id: string | null;
}

/** Begins a connection: a new session, or an old one with its token. The first message, within
 * 10 seconds. Answered by `session.ready`, or by an `error` and a close code. */
export interface Hello {
  type: "hello";
  /** The session to come back to. */
  session?: string | null;
  /** The session's token, as `session.ready` brought it. */
  token?: string | null;
  /** The last `seq` that the page has seen; later events are sent again. */
  after?: number | null;
  /** The `epoch` of the `session.ready` before that `seq`. A server that has taken the session
   * since then counts anew. */
  epoch?: number | null;
  /** Presenter of a new session. One that does not exist gives way to the server's default. */
  avatar?: string | null;
  /** Language of a new session. */
  language?: Language | null;
  /** Whether the page plays fragments (Media Source Extensions) or whole clips. */
  playback?: PlaybackMode;
  /** Whether the presenter of a new session is to be shown without its background, where it can
   * be. */
  cutout?: boolean;
  /** A join token, needed for a new session where the server has keys; it is not looked at for a
   * session that there is already. */
  join?: string | null;
}

/** A STUN or TURN server, as `RTCPeerConnection` takes it. */
export interface IceServerOut {
  urls: Array<string>;
  username?: string | null;
  credential?: string | null;
}

/** Stops the answer in progress; without one, nothing happens. */
export interface Interrupt {
  type: "interrupt";
}

/** The languages the page and the embedded engines speak. */
export type Language = "en" | "ko";

/** Chooses the language of the page and of the answers. Answered by `language.selected`. */
export interface LanguageSelect {
  type: "language.select";
  language: Language;
}

/** Tells every viewer of a session which language it has. */
export interface LanguageSelected {
  /** Counts up by one in a session. Missing where one page alone is told how an old turn of its
   * stands. */
  seq?: number | null;
  type: "language.selected";
  language: Language;
}

/** Tells something worth knowing: another engine took over, a limit was reached. */
export interface Notice {
  /** Counts up by one in a session. Missing where one page alone is told how an old turn of its
   * stands. */
  seq?: number | null;
  type: "notice";
  code: string;
  /** A whole sentence in the session's language. The reason is in the server's log. */
  message: string;
}

/** A notice about the server, for the beginning. */
export interface NoticeShown {
  code: string;
  message: string;
}

/** Keeps the connection open; to be sent every 30 s. Answered by `pong`. */
export interface Ping {
  type: "ping";
  /** Anything; comes back as it was. */
  t: number;
}

/** Reports how far a segment was seen and heard: at its first painted frame, every second after
 * that, and at its end. A report never ends an answer: when a stream broke, the same segment
 * goes on as a clip, with `painted` or `playing`. */
export interface Playback {
  type: "playback";
  segment: string;
  /** `painted`: the first frame is on the screen. `playing`: it goes on. `ended`: heard to its
   * end. `dropped`: stopped at `media_ms`, which is what was heard of it; sent before the
   * `interrupt` or `user.text` that caused it. */
  state: PlaybackState;
  /** How much of the segment was heard. */
  media_ms?: number;
  /** How far the picture is behind the sound. */
  drift_ms?: number | null;
  /** With `painted`: the time since the question was sent. */
  since_text_ms?: number | null;
  /** With `painted`: for how much of that time the page could have begun, and waited for the idle
   * loop to reach the segment's first pose. */
  waited_ms?: number;
  /** With `ended` and `dropped`: where the idle loop is now. Without it, the loop has gone on
   * underneath the segment. */
  idle_frame?: number | null;
}

/** What a page can play. */
export type PlaybackMode = "stream" | "clips";

/** The states of a segment in a page: its first picture was painted, it plays, it played to the
 * end, or it was stopped where it was. */
export type PlaybackState = "painted" | "playing" | "ended" | "dropped";

/** Answers `ping`. */
export interface Pong {
  type: "pong";
  /** The `t` of the ping. */
  t: number;
}

/** Tells the place in the line of turns that wait to speak; 0 when the turn begins. */
export interface QueuePosition {
  type: "queue.position";
  turn: string;
  position: number;
}

/** Answers `rtc.offer`. */
export interface RtcAnswer {
  type: "rtc.answer";
  sdp: string;
}

/** Offers WebRTC, in the place of an earlier offer. Answered by `rtc.answer`, or by an `error`
 * with `id`. Only where `session.ready` has `rtc`. Candidates in it are not looked at. Without
 * `rtc.state` nothing changes: the server answers, and goes on to send fragments. */
export interface RtcOffer {
  type: "rtc.offer";
  /** An offer that takes H.264 (packetisation mode 1) and Opus. */
  sdp: string;
  /** The page's own name for this offer. */
  id?: string | null;
  /** How long the page lets its browser keep sound before it is heard (`jitterBufferTarget`): so
   * much sooner than its picture it is sent. Without it, what browsers mostly do by themselves.
   * */
  sound_delay_ms?: number | null;
}

/** What a page needs before it offers WebRTC. */
export interface RtcOut {
  ice_servers: Array<IceServerOut>;
  /** Seconds for which the passwords are good. */
  expires_in: number;
  /** Whether the microphone is to be sent this way as well. */
  microphone: boolean;
}

/** Tells whether packets of WebRTC arrive. `up`: segments from the next one on come over WebRTC
 * (`transport` in `segment.started`). `down`: the fragments of all segments that have not been
 * reported as `ended` follow at once. */
export interface RtcState {
  type: "rtc.state";
  state: "up" | "down";
  /** Why it is down: it did not connect, no packets came, too many were lost, the picture stood
   * still, the connection ended, or the page wanted it. */
  reason?: "connect" | "silent" | "loss" | "freeze" | "ended" | "page";
}

/** Speaks a text as it is. An answer in progress is interrupted. A known `id` is told how its
 * turn stands; it is never spoken again. */
export interface Say {
  type: "say";
  text: string;
  /** The page's own name for this message. */
  id?: string | null;
  /** Frame of the idle loop that the page shows now; may be a fraction. */
  idle_frame?: number | null;
}

/** Announces a fragment: the next binary frame, unless `bytes` is 0. Fragments are not sent
 * again after a reconnect: the clip comes as `video_ready`. */
export interface SegmentData {
  type: "segment.data";
  generation: number;
  segment: string;
  /** The fragment's place in the segment. Number 0 carries the header as well. */
  index: number;
  last: boolean;
  /** Tells a viewer that was too slow: the rest of this segment comes as a clip only. */
  dropped: boolean;
  bytes: number;
}

/** Tells where a segment is in the RTP time of the picture: when it begins, again when pictures
 * were missing and the rest has moved, and when its length is known. Frame `frame` has the RTP
 * timestamp `rtp`, and each one after it 3,600 more, modulo 2³². */
export interface SegmentPlaced {
  type: "segment.placed";
  segment: string;
  rtp: number;
  frame: number;
  /** How many frames the segment has; null as long as it is drawn. */
  frames: number | null;
}

/** Announces the media of a sentence, as soon as its first picture is drawn. */
export interface SegmentStarted {
  /** Counts up by one in a session. Missing where one page alone is told how an old turn of its
   * stands. */
  seq?: number | null;
  type: "segment.started";
  turn: string;
  generation: number;
  segment: string;
  /** The segment's place in the turn, from 0. */
  index: number;
  text: string;
  emotion: Emotion;
  /** For `MediaSource.addSourceBuffer`. */
  mime: string;
  /** The idle frame that the first picture continues. */
  first_frame: number;
  /** `stream`: fragments follow. `rtc`: it comes over this page's WebRTC, see `segment.placed`;
   * no `segment.data` follows, unless the page says that WebRTC is down. Another page of the same
   * session may get it the other way. */
  transport?: "stream" | "rtc";
}

export type ServerMessage = SessionReady | TurnStarted | QueuePosition | TextDelta | SegmentStarted | SegmentData | SegmentPlaced | RtcAnswer | VideoReady | TurnFinished | TurnTimings | TurnInterrupted | AvatarSelected | LanguageSelected | VoiceSelected | Transcript | Notice | ErrorMessage | Pong;

/** Answers `hello`: the session, and what has been said in it. After a reconnect with `gap`
 * false the missed events follow, and the page keeps what it shows. With `gap` true it begins
 * anew from `history`. */
export interface SessionReady {
  type: "session.ready";
  session: string;
  /** Counts the servers, and the starts of a server, that have held the session; `seq` belongs to
   * it. `hello` brings both back. */
  epoch: number;
  /** The session's own token: all that is needed to come back. */
  token: string;
  /** Whether this is the session that `hello` named. */
  resumed: boolean;
  /** Whether events were missed that are no longer there to be sent again. */
  gap: boolean;
  /** The last event that `history` includes. */
  seq: number;
  avatar: AvatarOut;
  /** Presenters that may be chosen; null: all. */
  avatars: Array<string> | null;
  language: Language;
  /** Of a running turn, the text so far. An answer that a killed server left unfinished is there
   * as far as its clips were stored, with `heard`. A page whose question is there and was never
   * confirmed sends it again. */
  history: Array<EntryOut>;
  /** The turn whose `turn.finished` or `turn.interrupted` is still to come. A page that waits for
   * another one waits in vain. */
  running_turn: string | null;
  notices: Array<NoticeShown>;
  /** Who turns speech into text. */
  transcription: "server" | "browser";
  /** Where the page says that the presenter is made by AI. `off` where its surroundings say so.
   * */
  ai_label: AiLabel;
  /** What is needed for WebRTC; null where the server has none. */
  rtc?: RtcOut | null;
}

/** Brings the next words of the answer, without tags or markup. */
export interface TextDelta {
  /** Counts up by one in a session. Missing where one page alone is told how an old turn of its
   * stands. */
  seq?: number | null;
  type: "text.delta";
  turn: string;
  generation: number;
  text: string;
}

/** Tells what the microphone understood. */
export interface Transcript {
  type: "transcript";
  text: string;
  final: boolean;
}

/** Ends an answer that is complete; by then it is stored. */
export interface TurnFinished {
  /** Counts up by one in a session. Missing where one page alone is told how an old turn of its
   * stands. */
  seq?: number | null;
  type: "turn.finished";
  turn: string;
  generation: number;
  text: string;
  /** Milliseconds since the question came in: `first_token`, `first_sentence`, `first_audio`,
   * `first_frame`, `first_fragment`, `first_painted` (if a page has reported it), `finished`. */
  timings: Record<string, number>;
}

/** Ends an answer that was stopped: what is left of it is to be dropped. */
export interface TurnInterrupted {
  /** Counts up by one in a session. Missing where one page alone is told how an old turn of its
   * stands. */
  seq?: number | null;
  type: "turn.interrupted";
  turn: string;
  generation: number;
  /** `user`: a viewer interrupted. `error`: it failed; an `error` has been sent. `busy`: nobody
   * watched and others waited. `idle`: the session ended unused. `operator`: somebody who runs
   * the server ended it. `over`: the time that its invitation allows is over. `shutdown`: the
   * server stops. */
  reason: "user" | "error" | "busy" | "idle" | "operator" | "over" | "shutdown";
}

/** Accepts a question or a text to say; by then it is stored. Told again for the turn in
 * progress, it changes nothing. */
export interface TurnStarted {
  /** Counts up by one in a session. Missing where one page alone is told how an old turn of its
   * stands. */
  seq?: number | null;
  type: "turn.started";
  turn: string;
  /** Counts the turns of a session. What carries an older one than the last `turn.started` or
   * `turn.interrupted` is to be dropped. */
  generation: number;
  kind: "message" | "say";
  text: string;
  /** What the page called its message. */
  id: string | null;
}

/** Brings the timings again, with what pages reported late, once the answer was heard out. Not
 * sent for an answer that was interrupted. */
export interface TurnTimings {
  type: "turn.timings";
  turn: string;
  generation: number;
  timings: Record<string, number>;
  /** The largest distance between sound and picture that a page has measured; null: none has. */
  drift_ms: number | null;
}

/** Asks a question. An answer in progress is interrupted. The same `id` is accepted once. A
 * page that did not see its `turn.started` sends the question again and is answered alone,
 * without `seq`: by `turn.started`, and by `turn.finished` (without timings) or
 * `turn.interrupted` if the turn is over. A question that a killed server stored and never
 * answered, with no later one after it, is taken up again: same turn, same generation, for all
 * viewers. */
export interface UserText {
  type: "user.text";
  text: string;
  /** The page's own name for this message. */
  id?: string | null;
  /** Frame of the idle loop that the page shows now; may be a fraction. */
  idle_frame?: number | null;
}

/** Tells that a segment can be replayed as a clip; the clip's fields stand beside the others.
 * */
export interface VideoReady {
  /** Its place in the turn, from 0. */
  index: number;
  text: string;
  emotion: Emotion;
  video_url: string;
  audio_url: string;
  /** Seconds. */
  duration: number;
  /** The idle frame that the first picture continues. */
  first_frame: number;
  /** The idle frame of the last picture: the loop goes on at the next one. */
  last_frame: number;
  /** Counts up by one in a session. Missing where one page alone is told how an old turn of its
   * stands. */
  seq?: number | null;
  type: "video_ready";
  turn: string;
  generation: number;
  segment: string;
}

/** Chooses voices by the ids of `GET /api/voices`, one for each language; an empty list leaves
 * the choice to the presenter. Answered by `voice.selected`; a new session has no choice. */
export interface VoiceSelect {
  type: "voice.select";
  voices: Array<string>;
}

/** Tells every viewer of a session which voices were chosen for it. */
export interface VoiceSelected {
  /** Counts up by one in a session. Missing where one page alone is told how an old turn of its
   * stands. */
  seq?: number | null;
  type: "voice.selected";
  voices: Array<string>;
}
