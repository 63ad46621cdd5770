"""Connect to services that speak OpenAI's protocol, and word their failures.

What a service sends in an error is never passed on: it may repeat a part of the key.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import openai
from openai import AsyncOpenAI

from ditto_avatar.errors import ProviderFailed, ProviderRefused
from ditto_avatar.providers.retry import Transient, before_deadline

OPENAI_URL = "https://api.openai.com/v1"
# Servers of one's own mostly want no key, but the protocol has a place for one.
_NO_KEY = "none"


def connect(api_key: str | None, base_url: str | None) -> AsyncOpenAI:
    """Make a client that never retries by itself. Everything is passed on explicitly, because the
    library would look into the environment for what is missing."""
    return AsyncOpenAI(
        api_key=api_key or _NO_KEY,
        base_url=base_url or OPENAI_URL,
        organization="",
        project="",
        max_retries=0,
        timeout=openai.Timeout(60.0, connect=5.0),
    )


def service_name(base_url: str | None) -> str:
    """Return the name of the service in a sentence: its host, unless it is OpenAI itself."""
    if base_url is None or base_url.rstrip("/") == OPENAI_URL:
        return "OpenAI"
    return f"The model server at {urlsplit(base_url).netloc.rpartition('@')[2]}"


async def check_model(client: AsyncOpenAI, model: str, seconds: float, who: str) -> str:
    """Ask the service for `model`, which costs nothing; a sentence that it answered."""
    try:
        await before_deadline(
            client.models.retrieve(model), seconds, f"{who} did not answer in time."
        )
    except Exception as error:  # the border to the library: see `failure`
        raise failure(error, who, model) from None
    return f"{who} answers and knows the model '{model}'"


def failure(error: Exception, who: str, model: str) -> ProviderFailed:
    """Word `error` in a sentence for people."""
    if isinstance(error, ProviderFailed):
        return error
    if isinstance(error, openai.APITimeoutError):
        return Transient(f"{who} did not answer in time.")
    if isinstance(error, openai.APIConnectionError) or _is_transport(error):
        return Transient(f"{who} cannot be reached, or broke off.")
    if isinstance(error, openai.APIStatusError):
        return _status_failure(error, who, model)
    return ProviderFailed(f"{who} sent an answer that could not be read.")


def _is_transport(error: Exception) -> bool:
    """While a body is read the library lets errors of its HTTP client through, and which client
    that is depends on the library's version: both name the base class alike."""
    return any(ancestor.__name__ == "TransportError" for ancestor in type(error).__mro__)


def _status_failure(error: openai.APIStatusError, who: str, model: str) -> ProviderFailed:
    status = error.status_code
    if status in {401, 403}:
        return ProviderRefused(f"{who} refused the key ({status}): OPENAI_API_KEY is wrong.")
    if status == 429 and error.code == "insufficient_quota":
        return ProviderFailed(f"{who} says that the quota of this key is used up.")
    if status == 429:
        return Transient(f"{who} gets too many requests.", _retry_after(error))
    if status in {408, 409} or status >= 500:
        return Transient(f"{who} failed with status {status}.", _retry_after(error))
    if status == 404:
        return ProviderFailed(f"{who} does not know the model '{model}' (404).")
    return ProviderFailed(f"{who} did not accept the request (status {status}).")


def _retry_after(error: openai.APIStatusError) -> float | None:
    try:
        return max(0.0, float(error.response.headers["retry-after"]))
    except (KeyError, ValueError):
        # Absent, or a date: the own back-off is as good.
        return None
