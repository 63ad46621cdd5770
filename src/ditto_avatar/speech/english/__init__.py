"""English for a voice that knows letters and plain numbers: everything else is put into words.
Voices of the services read all of this themselves and get the text as it is."""

from ditto_avatar.speech.english.reading import read_english

__all__ = ["read_english"]
