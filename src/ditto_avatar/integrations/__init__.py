"""The avatar as a part of other projects' agents; each module needs an extra of its own."""
