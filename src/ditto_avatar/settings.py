"""Read the configuration once, from the environment and a `.env` file.

No other module reads settings from the environment. Variables are the field names in capitals
with the prefix ``DITTO_``, except the two keys that carry their provider's own name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from ditto_avatar.settings_cluster import ClusterSettings
from ditto_avatar.settings_rtc import RtcSettings
from ditto_avatar.types import AiLabel, Language

Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]


class Settings(ClusterSettings, RtcSettings):
    """One frozen object for a whole process; parts get what they need from it by argument."""

    model_config = SettingsConfigDict(
        env_prefix="DITTO_",
        env_file=".env",
        # A variable that is there and empty, as compose files write it, is not set.
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
    )

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for all")
    port: int = Field(7136, ge=0, le=65535, description="port to listen on; 0 picks a free one")
    data_dir: Path = Field(Path("data"), description="where clips and conversations are kept")
    avatars_dir: Path | None = Field(None, description="a folder with avatar packs of your own")
    avatar: str = Field("mina", description="the presenter a new session gets")
    language: Language = Field(Language.ENGLISH, description="language of a new session: en or ko")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="how much is logged"
    )

    engine: Literal["auto", "puppet", "ditto"] = Field(
        "auto", description="what draws the face; auto takes Ditto if there are checkpoints"
    )
    speech: Literal["auto", "espeak", "google", "local", "openai"] = Field(
        "auto",
        description="what speaks; auto takes the best one there is a key for, then a downloaded "
        "voice that is quick enough here, then espeak; local takes a slow one as well",
    )
    dialogue: Literal["auto", "offline", "openai"] = Field(
        "auto", description="what answers; auto takes the language model if there is one"
    )
    notes_dir: Path | None = Field(
        None, description="Markdown notes the offline dialogue answers from (default: about itself)"
    )

    checkpoints: Path | None = Field(None, description="folder of the released Ditto weights")
    device: str = Field("auto", description="where Ditto runs: auto, cuda, cuda:1, cpu")
    preset: Literal["speed", "quality"] = Field(
        "speed", description="Ditto's values: 10 steps at 512 pixels, or the released offline ones"
    )
    backend: Literal["auto", "tensorrt", "fused", "compiled", "graphs", "eager"] = Field(
        "auto",
        description="how Ditto's networks run: tensorrt, fused, compiled, graphs, eager; "
        "auto takes the quickest that works",
    )
    precision: Literal["half", "int8"] = Field(
        "half",
        description="what Ditto's frames are computed in: half, or int8 for integers of eight bits "
        "in the decoder's modulations (H100 and newer), refused below 44 dB",
    )
    device_memory_mb: Positive | None = Field(
        None,
        description="most memory of the GPU that Ditto takes (else all); batches are smaller up to "
        "26,000",
    )
    sampling_timesteps: int | None = Field(
        None, ge=1, le=1_000, description="Ditto's diffusion steps, instead of the preset's"
    )
    max_size: Positive | None = Field(
        None, description="Ditto's longest side of a source in pixels, instead of the preset's"
    )
    template_n_frames: int | None = Field(
        None, ge=-1, description="idle frames Ditto moves over (-1: all), instead of the preset's"
    )
    overlap: int | None = Field(
        None,
        ge=40,
        le=79,
        description="frames that Ditto's clips share, instead of the checkpoint's",
    )
    feature_cache_mb: Positive = Field(
        2_048, description="memory of the device for the features of presenters' pictures"
    )
    max_streams: Positive | None = Field(
        None, description="streams Ditto runs at once, instead of the measured number"
    )
    kernel_cache: Path | None = Field(
        None,
        description="folder for what Ditto compiles at its first start (else the folder kernels "
        "of DITTO_DATA_DIR); kept, the next start takes seconds",
    )
    checkpoints_endpoint: str | None = Field(
        None,
        description="mirror of the model hub that checkpoints, voices and recognisers are "
        "downloaded from",
    )

    openai_api_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("openai_api_key", "OPENAI_API_KEY"),
        description="key for GPT-4o and OpenAI speech",
    )
    tts_api_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("tts_api_key", "TTS_API_KEY"),
        description="key for Google Cloud text-to-speech",
    )

    openai_model: str = Field("gpt-4o", description="language model that answers")
    openai_base_url: str | None = Field(
        None, description="another server that speaks OpenAI's protocol (vLLM, Ollama, llama.cpp)"
    )
    first_token_s: Seconds = Field(
        10, description="how long the first word may take, second attempts included"
    )
    next_token_s: Seconds = Field(10, description="how long every further word may take")
    thinking_s: Seconds = Field(
        60, description="how long a model may think before the first word, while it shows it does"
    )
    openai_body: dict[str, Any] = Field(
        {},
        description="JSON that is added to every request to the model, "
        'such as {"reasoning_effort": "low"}',
    )
    history_tokens: Positive = Field(6_000, description="how much history the model is given")
    openai_speech_model: str = Field("gpt-4o-mini-tts", description="OpenAI's speech model")
    openai_speech_url: str | None = Field(
        None, description="another server that speaks OpenAI's speech protocol"
    )
    openai_transcribe_model: str = Field(
        "gpt-4o-mini-transcribe", description="OpenAI's model that understands the microphone"
    )
    google_credentials: Path | None = Field(
        None, description="file of a Google service account, instead of TTS_API_KEY"
    )
    google_endpoint: str | None = Field(None, description="another address of Google's service")
    google_plaintext: bool = Field(
        False, description="talk to that address without TLS (a proxy on the same machine)"
    )
    pronunciations: Path | None = Field(
        None, description="a TOML file with words and how they are spoken, by language"
    )
    speaking_rate: float = Field(1.1, ge=0.25, le=2, description="how fast Google's voices speak")

    api_keys: str = Field(
        "",
        description="keys that open sessions and make join tokens, as `ditto-avatar keys new` "
        "prints them, by commas; without any, everybody may open sessions",
    )
    api_keys_file: Path | None = Field(
        None, description="a file with such keys, one a line, besides those above"
    )
    token_secret: SecretStr | None = Field(
        None,
        description="signs join tokens, at least 32 characters; the same for servers that share "
        "them (default: made at first start, kept in the data folder)",
    )
    admin_keys: str = Field(
        "",
        description="keys of operators, as `ditto-avatar keys new --admin` prints them, by commas",
    )
    admin_host: str = Field("127.0.0.1", description="address of the admin port")
    admin_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="port of its own for metrics, docs and the admin interface; without it they "
        "are on the main port where that is on this machine only, else nowhere",
    )

    allowed_origins: str = Field(
        "", description="other web pages that may connect, as https://example.org, by commas"
    )
    ai_label: AiLabel = Field(
        AiLabel.TOP,
        description="where pages say that the presenter is made by AI: top or bottom of the "
        "picture; off only where you tell people in another way, as the EU's AI Act (article 50) "
        "and Korea's AI Basic Act ask",
    )
    credentials: Literal["auto", "on", "off"] = Field(
        "auto",
        description="whether films are signed with content credentials (C2PA) that say that AI "
        "made them; auto does so where the extra `credentials` is installed",
    )
    credentials_certificate: Path | None = Field(
        None,
        description="a PEM file with the certificate that signs films and those that vouch for it "
        "(default: a self-signed one, made in the data folder)",
    )
    credentials_key: Path | None = Field(
        None, description="a PEM file with the private key of that certificate"
    )
    kiosk_passcode: SecretStr | None = Field(
        None,
        description="4 to 12 digits that end the kiosk page (`/?kiosk`); without them its exit key "
        "is enough",
    )
    kiosk_texts: Path | None = Field(
        None,
        description="a TOML file with what the kiosk says and offers: a table for each language "
        "with `greeting`, `invitations` and `questions`",
    )
    allowed_hosts: str = Field(
        "",
        description="names this server is reached by, besides localhost and addresses, by commas; "
        "*.example.org for all below",
    )
    root_path: str = Field(
        "", description="path of a site that the server is hosted under, such as /avatar"
    )
    trusted_proxies: str = Field(
        "",
        description="addresses or networks of proxies whose X-Forwarded-For counts, by commas",
    )
    max_connections: Positive = Field(2_000, description="connections open at once")
    max_connections_per_address: Positive = Field(
        100, description="connections one address may have open; an IPv6 address counts as its /64"
    )
    max_viewers: Positive = Field(8, description="connections that may watch one session")
    messages_per_second: Positive = Field(
        60,
        description="WebSocket messages that one connection may send for long; eight times as "
        "many for all of an address",
    )
    request_s: Seconds = Field(
        15, description="time that the head of a request, and then its body, may take to arrive"
    )
    unread_s: Seconds = Field(
        30, description="a connection that leaves its answers unread for so long is ended"
    )
    max_text: Positive = Field(4_000, description="longest message in characters")
    max_body_kb: Positive = Field(256, description="largest request body and WebSocket message")
    max_faces: int = Field(
        50, ge=0, description="faces that visitors may bring and keep together; 0 takes none"
    )
    max_face_mb: Positive = Field(32, description="largest photo or film of a visitor's face")
    max_sessions: Positive = Field(1_000, description="sessions kept at once")
    max_speaking: Positive | None = Field(
        None,
        description="turns that speak at once; default what Ditto's GPU was measured to hold, "
        "or two per core",
    )
    max_waiting: Positive = Field(32, description="turns that wait for a place before refusing")
    turns_per_minute: Positive = Field(30, description="turns one session may begin in a minute")
    sessions_per_minute: Positive = Field(
        30, description="sessions one address may open in a minute"
    )
    address_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="largest share of the sessions, places and line that one address may take",
    )
    budget_speech_characters: int = Field(
        0, ge=0, description="characters a day that paid voices may speak; 0 is no limit"
    )
    budget_transcription_s: float = Field(
        0, ge=0, description="seconds of sound a day that may be transcribed; 0 is no limit"
    )
    budget_dialogue_tokens: int = Field(
        0, ge=0, description="tokens a day that the language model may use; 0 is no limit"
    )
    max_answer_s: Seconds = Field(300, description="seconds of speech one answer may last")
    max_answer_unwatched_s: Seconds = Field(
        30, description="seconds of speech an answer may go on for while nobody watches"
    )
    lead_s: Seconds = Field(8, description="how far pictures are drawn ahead of the viewer at most")
    session_idle_s: Seconds = Field(86_400, description="a session nobody uses ends after this")
    shutdown_s: Seconds = Field(10, description="time running answers get when the server stops")

    database_url: str | None = Field(
        None, description="PostgreSQL or SQLite URL (default: SQLite inside the data folder)"
    )
    peer_url: str | None = Field(
        None,
        description="address at which the other servers of the same PostgreSQL database reach this "
        "one, such as http://10.0.0.7:7136; with it several servers share the database",
    )
    warm_up: Path | None = Field(
        None, description="a text file with sentences, one a line, drawn into the cache at start"
    )
    cache_mb: int = Field(
        256, ge=0, description="drawn sentences kept to be shown again at no cost; 0 keeps none"
    )
    retention_days: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="conversations, clips and cached sentences older than this are removed "
        "(default: idle sessions end, nothing else goes by age)",
    )
    clips_url: str | None = Field(
        None,
        description="where finished clips are kept for all servers, such as s3://bucket/prefix "
        "(default: in the data folder alone)",
    )
    clips_endpoint: str | None = Field(
        None, description="address of a store that speaks S3's protocol, instead of Amazon's"
    )
    clips_region: str = Field("us-east-1", description="region of the bucket")
    clips_key_id: SecretStr | None = Field(
        None, description="access key of the bucket (default: the machine's own role)"
    )
    clips_secret: SecretStr | None = Field(None, description="secret of that access key")
    clip_max_age_s: Seconds = Field(86_400, description="clips older than this are removed")
    clip_max_mb: Positive = Field(
        2_048, description="clips beyond this total are removed, oldest first"
    )

    @property
    def retention_s(self) -> float | None:
        """`retention_days` in seconds."""
        return None if self.retention_days is None else self.retention_days * 86_400


def revealed(secret: SecretStr | None) -> str | None:
    """Return the text of a secret setting, for the one place that uses it."""
    return None if secret is None else secret.get_secret_value()
