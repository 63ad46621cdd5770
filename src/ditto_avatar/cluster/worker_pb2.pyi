from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WatchRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Places(_message.Message):
    __slots__ = ("engine", "fingerprint", "total", "taken", "strained", "draining", "packs")
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    STRAINED_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    PACKS_FIELD_NUMBER: _ClassVar[int]
    engine: str
    fingerprint: str
    total: int
    taken: int
    strained: bool
    draining: bool
    packs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, engine: _Optional[str] = ..., fingerprint: _Optional[str] = ..., total: _Optional[int] = ..., taken: _Optional[int] = ..., strained: bool = ..., draining: bool = ..., packs: _Optional[_Iterable[str]] = ...) -> None: ...

class Up(_message.Message):
    __slots__ = ("open", "sound", "flush", "finish")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    SOUND_FIELD_NUMBER: _ClassVar[int]
    FLUSH_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    open: Open
    sound: Sound
    flush: Flush
    finish: Finish
    def __init__(self, open: _Optional[_Union[Open, _Mapping]] = ..., sound: _Optional[_Union[Sound, _Mapping]] = ..., flush: _Optional[_Union[Flush, _Mapping]] = ..., finish: _Optional[_Union[Finish, _Mapping]] = ...) -> None: ...

class Open(_message.Message):
    __slots__ = ("avatar", "digest", "start_frame", "pictures_before")
    AVATAR_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    START_FRAME_FIELD_NUMBER: _ClassVar[int]
    PICTURES_BEFORE_FIELD_NUMBER: _ClassVar[int]
    avatar: str
    digest: str
    start_frame: int
    pictures_before: int
    def __init__(self, avatar: _Optional[str] = ..., digest: _Optional[str] = ..., start_frame: _Optional[int] = ..., pictures_before: _Optional[int] = ...) -> None: ...

class Sound(_message.Message):
    __slots__ = ("samples", "phonemes", "emotion", "intensity")
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    PHONEMES_FIELD_NUMBER: _ClassVar[int]
    EMOTION_FIELD_NUMBER: _ClassVar[int]
    INTENSITY_FIELD_NUMBER: _ClassVar[int]
    samples: bytes
    phonemes: _containers.RepeatedCompositeFieldContainer[Phoneme]
    emotion: str
    intensity: float
    def __init__(self, samples: _Optional[bytes] = ..., phonemes: _Optional[_Iterable[_Union[Phoneme, _Mapping]]] = ..., emotion: _Optional[str] = ..., intensity: _Optional[float] = ...) -> None: ...

class Phoneme(_message.Message):
    __slots__ = ("symbol", "start", "end", "stressed")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    STRESSED_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    start: int
    end: int
    stressed: bool
    def __init__(self, symbol: _Optional[str] = ..., start: _Optional[int] = ..., end: _Optional[int] = ..., stressed: bool = ...) -> None: ...

class Flush(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Finish(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Pictures(_message.Message):
    __slots__ = ("idle_frames", "fragments", "last", "loop")
    IDLE_FRAMES_FIELD_NUMBER: _ClassVar[int]
    FRAGMENTS_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    LOOP_FIELD_NUMBER: _ClassVar[int]
    idle_frames: _containers.RepeatedScalarFieldContainer[int]
    fragments: _containers.RepeatedScalarFieldContainer[bytes]
    last: bool
    loop: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, idle_frames: _Optional[_Iterable[int]] = ..., fragments: _Optional[_Iterable[bytes]] = ..., last: bool = ..., loop: _Optional[_Iterable[int]] = ...) -> None: ...

class PackPart(_message.Message):
    __slots__ = ("head", "data")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    head: PackHead
    data: bytes
    def __init__(self, head: _Optional[_Union[PackHead, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class PackHead(_message.Message):
    __slots__ = ("name", "digest", "size", "sha256")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    size: int
    sha256: str
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., size: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class Brought(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Addresses(_message.Message):
    __slots__ = ("addresses",)
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    addresses: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, addresses: _Optional[_Iterable[str]] = ...) -> None: ...
