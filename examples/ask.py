"""Ask a question, print the answer as it comes, and keep each sentence as a film.

python examples/ask.py http://localhost:7136 "What can you do?" films
"""

import asyncio
import sys
from pathlib import Path

from ditto_avatar.client import Event, Fragment, connect


async def main(server: str, question: str, folder: Path) -> None:
    """Write the films into `folder`, which is there."""
    async with connect(server, language="en") as avatar:
        async for message in avatar.ask(question):
            if isinstance(message, Event) and message.type == "text.delta":
                sys.stdout.write(message["text"])
            elif isinstance(message, Fragment):
                with (folder / f"{message.segment}.mp4").open("ab") as film:
                    film.write(message.data)
    sys.stdout.write("\n")


if __name__ == "__main__":
    Path(sys.argv[3]).mkdir(parents=True, exist_ok=True)
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
