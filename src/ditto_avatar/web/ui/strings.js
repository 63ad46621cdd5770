/** Every text of the page, in every language of the page. A notice without a text of its own is
 * told in the server's words, which are English and often say more. */
export const STRINGS = {
  en: {
    languages: "Language",
    stage: "Presenter",
    conversation: "Conversation",
    log: "What has been said",
    field: "Your question",
    placeholder: "Ask something…",
    send: "Send",
    interrupt: "Stop the answer",
    mute: "Mute",
    unmute: "Tap to hear the answer",
    presenters: "Choose a presenter",
    presenterButton: (name) => `Presenter: ${name}. Choose another`,
    close: "Close",
    dismiss: "Dismiss",
    you: "You",
    replay: "Play this answer again",
    interrupted: "stopped",
    failed: "not sent",
    welcomeTitle: (name) => `Hello, I'm ${name}.`,
    welcome: "Ask me anything. You can read the answer as it comes, and hear me say it.",
    invitationTitle: "This presenter talks by invitation.",
    invitationNeeded: "To begin, open the link that you were sent, or ask the people who run this page for one.",
    invitationRefused: "This invitation has been used, or its time is over. Please ask for a new link.",
    suggestions: ["What can you do?", "How do I connect a language model?", "Do I need a GPU?"],
    microphone: "Hold to talk",
    handsFree: "Talk hands-free",
    phases: {
      connecting: "Connecting…",
      waiting: "Reconnecting…",
      closed: "Disconnected",
      uninvited: "By invitation",
      queued: (position) => (position === 1 ? "You are next." : `Waiting, ${position - 1} ahead of you`),
      thinking: "Thinking…",
      speaking: "Speaking",
      listening: "Listening…",
      ready: "Ready",
    },
    notices: {
      new_session: "The last conversation has ended. This is a new one.",
      rate_limited: "That was a little fast. Please wait a moment and try again.",
      busy: "Everyone is being served right now. Please try again in a moment.",
      shutting_down: "The server is restarting. It will be back shortly.",
      foreign_page: "This server does not take conversations from this page's address. Its operator can allow the address.",
      join_refused: "That invitation has been used, or its time is over. This is the conversation you had.",
      too_large: "That message is too long.",
      used_up: "This invitation's messages are all used. Thank you for the conversation.",
      forbidden: "This invitation does not include that.",
      storage_full: "The server has run out of space.",
      browser_transcription: "Your browser turns your speech into text; it may use its maker's service.",
      microphone_denied: "The microphone is blocked. Allow it in the browser's settings to talk.",
      microphone_missing: "No microphone was found.",
      speech_unsupported: "This browser cannot turn speech into text. Please type instead.",
      avatars_failed: "The presenters could not be loaded.",
      invalid_input: null,
      not_found: null,
      unavailable: null,
      provider_failed: null,
      internal: "Something went wrong. Please try again.",
    },
  },
  ko: {
    languages: "언어",
    stage: "진행자",
    conversation: "대화",
    log: "지금까지 나눈 대화",
    field: "질문",
    placeholder: "무엇이든 물어보세요",
    send: "보내기",
    interrupt: "답변 멈추기",
    mute: "음소거",
    unmute: "눌러서 소리 켜기",
    presenters: "진행자 고르기",
    presenterButton: (name) => `진행자: ${name}. 다른 진행자 고르기`,
    close: "닫기",
    dismiss: "알림 닫기",
    you: "나",
    replay: "이 답변 다시 재생",
    interrupted: "중단됨",
    failed: "전송되지 않음",
    welcomeTitle: (name) => `안녕하세요, ${name}입니다.`,
    welcome: "궁금한 것을 물어보세요. 답변을 글로 보여 드리면서 말로도 들려 드립니다.",
    invitationTitle: "초대받은 분만 대화할 수 있어요.",
    invitationNeeded: "받으신 초대 링크를 열어 시작해 주세요. 링크가 없다면 이 페이지를 운영하는 곳에 요청해 주세요.",
    invitationRefused: "이미 사용했거나 기한이 지난 초대예요. 새 링크를 요청해 주세요.",
    suggestions: ["무엇을 할 수 있나요?", "언어 모델은 어떻게 연결하나요?", "GPU가 필요한가요?"],
    microphone: "누르고 말하기",
    handsFree: "손대지 않고 말하기",
    phases: {
      connecting: "연결하는 중…",
      waiting: "다시 연결하는 중…",
      closed: "연결이 끊어졌어요",
      uninvited: "초대 전용",
      queued: (position) => (position === 1 ? "다음 차례예요." : `대기 중, 앞에 ${position - 1}명`),
      thinking: "생각하는 중…",
      speaking: "말하는 중",
      listening: "듣는 중…",
      ready: "준비됐어요",
    },
    notices: {
      new_session: "이전 대화가 끝나서 새 대화를 시작했어요.",
      rate_limited: "조금 빨라요. 잠시 후에 다시 시도해 주세요.",
      busy: "지금은 자리가 모두 찼어요. 잠시 후에 다시 시도해 주세요.",
      shutting_down: "서버를 다시 시작하고 있어요. 곧 돌아올게요.",
      foreign_page: "이 서버는 지금 이 페이지의 주소에서 오는 대화를 받지 않아요. 서버 관리자가 이 주소를 허용할 수 있어요.",
      join_refused: "이미 사용했거나 기한이 지난 초대예요. 이전 대화를 이어 갈게요.",
      too_large: "메시지가 너무 길어요.",
      used_up: "이 초대로 보낼 수 있는 메시지를 모두 썼어요. 대화해 주셔서 고맙습니다.",
      forbidden: "이 초대에는 포함되지 않은 기능이에요.",
      storage_full: "서버의 저장 공간이 부족해요.",
      browser_transcription: "브라우저가 말을 글로 바꿉니다. 브라우저 회사의 서비스를 쓸 수 있어요.",
      microphone_denied: "마이크가 차단되어 있어요. 브라우저 설정에서 허용해 주세요.",
      microphone_missing: "마이크를 찾지 못했어요.",
      speech_unsupported: "이 브라우저는 음성 인식을 지원하지 않아요. 글로 입력해 주세요.",
      avatars_failed: "진행자를 불러오지 못했어요.",
      invalid_input: "입력한 내용을 처리할 수 없어요. 너무 길거나 비어 있지 않은지 확인해 주세요.",
      not_found: "찾을 수 없는 항목이에요.",
      unavailable: "이 서버에서는 쓸 수 없는 기능이에요.",
      provider_failed: "외부 서비스가 응답하지 않았어요. 잠시 후에 다시 시도해 주세요.",
      internal: "문제가 생겼어요. 다시 시도해 주세요.",
    },
  },
};

/** The best language of the page for the browser's list of languages. */
export function preferredLanguage(languages) {
  const known = languages.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => tag in STRINGS);
  return known ?? "en";
}

/** Fills every element that names its text, label or placeholder. */
export function translate(root, strings) {
  for (const element of root.querySelectorAll("[data-text]")) {
    element.textContent = strings[element.dataset.text];
  }
  for (const element of root.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", strings[element.dataset.label]);
    if (element.tagName === "BUTTON") element.title = strings[element.dataset.label];
  }
  for (const element of root.querySelectorAll("[data-placeholder]")) {
    element.placeholder = strings[element.dataset.placeholder];
  }
}
