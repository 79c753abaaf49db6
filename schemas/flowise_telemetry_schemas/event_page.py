"""An event's page in Markdown, for the documentation: generated, never edited."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from flowise_telemetry_schemas.event_document import EventDocument, FieldDocument, VersionDocument

__all__ = ["event_page"]


def event_page(document: EventDocument, *, root: str = "../..") -> str:
    """Return the page. ``root`` is the way from it to the folder that ``review`` is relative to."""
    review = document.review
    shown = f"[{review}]({root}/{review})" if review.endswith(".md") and ":" not in review else review
    own = [field for field in document.fields if not field.envelope]
    parts = [
        f"# {document.event}\n\n{document.doc}\n\n",
        f"| | |\n| --- | --- |\n| question | {_cell(document.question)} |\n| owner | {_cell(document.owner)} |\n",
        f"| discussed in | {shown} |\n| ends with | {document.ends_with} |\n",
        "\n## What is sent\n\n",
        *_table(own),
        "\n## In every event\n\n",
        *_table(field for field in document.fields if field.envelope),
        "\n## History\n\n| version | release | fingerprint | changes |\n| --- | --- | --- | --- |\n",
        *map(_version, document.history),
        "\n## Queries\n\n```sql\n" + "\n".join(document.queries) + "\n```\n",
    ]
    return "".join(parts)


def _version(version: VersionDocument) -> str:
    told = _cell("; ".join(version.changes))
    return f"| v{version.version} | {version.release or 'not yet'} | `{version.fingerprint}` | {told} |\n"


def _table(fields: Iterable[FieldDocument]) -> Iterator[str]:
    yield "| field | column | what | why | kind | what fits |\n| --- | --- | --- | --- | --- | --- |\n"
    for field in fields:
        column = f"`{field.column}`" if field.column else ""
        yield (
            f"| `{field.path}` | {column} | {_cell(field.what)} | {_cell(field.why)} | {field.kind}"
            f" | {_cell(field.fits)} |\n"
        )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
