"""What its tests share: sessions on a real store with engines that can be held up."""

from tests.worlds import avatar, open_world, world

__all__ = ["avatar", "open_world", "world"]
