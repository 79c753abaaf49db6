"""The events as classes. Generated from the .avsc files by ``make generate``: edit those."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from flowise_telemetry_schemas.flow_graph import Edge, FlowGraph

__all__ = [
    "CLASSES",
    "EVENT_CLASSES",
    "AssistantCreated",
    "AssistantType",
    "ChatflowCreated",
    "Event",
    "OriginType",
    "PredictionSent",
    "ToolCreated",
    "VectorUpserted",
]


class AssistantType(StrEnum):
    """CUSTOM: made of the app's own nodes. OPENAI: of OpenAI's Assistants API. AZURE: the same at Azure. OTHER:
    anything else, or not told.
    """

    CUSTOM = "CUSTOM"
    OPENAI = "OPENAI"
    AZURE = "AZURE"
    OTHER = "OTHER"

    @classmethod
    def _missing_(cls, value: object) -> AssistantType | None:
        return cls.OTHER if isinstance(value, str) else None


class OriginType(StrEnum):
    """INTERNAL: from the app's own user interface. EXTERNAL: through its API. EVALUATION: by an evaluation of flows.
    MCP: by a client of the app's MCP server. SCHEDULED: by a schedule. WEBHOOK: by a webhook. OTHER: anything else.
    """

    INTERNAL = "INTERNAL"
    EXTERNAL = "EXTERNAL"
    EVALUATION = "EVALUATION"
    MCP = "MCP"
    SCHEDULED = "SCHEDULED"
    WEBHOOK = "WEBHOOK"
    OTHER = "OTHER"

    @classmethod
    def _missing_(cls, value: object) -> OriginType | None:
        return cls.OTHER if isinstance(value, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class AssistantCreated:
    """An assistant was created."""

    EVENT: ClassVar[str] = "assistant_created"

    version: str | None = None
    """Version of the app: three numbers, and at most one word with two more. Filled from the app's version where it is
    None.
    """
    assistant_id: str
    """Id of the assistant, as the app's database made it; a hash of it, whose key changes every month, where ids are
    hashed.
    """
    assistant_type: AssistantType = AssistantType.OTHER
    """What runs the assistant."""

    def properties(self) -> dict[str, Any]:
        """Return the event's own fields in wire form."""
        return {
            "version": self.version,
            "assistantId": self.assistant_id,
            "assistantType": self.assistant_type,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatflowCreated:
    """A flow was saved for the first time."""

    EVENT: ClassVar[str] = "chatflow_created"

    version: str | None = None
    """Version of the app: three numbers, and at most one word with two more. Filled from the app's version where it is
    None.
    """
    chatflow_id: str
    """Id of the flow, as the app's database made it; a hash of it, whose key changes every month, where ids are hashed.
    """
    flow_graph: FlowGraph
    """The shape of the new flow."""

    def properties(self) -> dict[str, Any]:
        """Return the event's own fields in wire form."""
        return {
            "version": self.version,
            "chatflowId": self.chatflow_id,
            "flowGraph": self.flow_graph.properties() if isinstance(self.flow_graph, FlowGraph) else self.flow_graph,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionSent:
    """A flow answered a question."""

    EVENT: ClassVar[str] = "prediction_sent"

    version: str | None = None
    """Version of the app: three numbers, and at most one word with two more. Filled from the app's version where it is
    None.
    """
    chatflow_id: str
    """Id of the flow, as the app's database made it; a hash of it, whose key changes every month, where ids are hashed.
    """
    chat_id: str
    """Id of the conversation. A UUID as it is, unless ids are hashed; of anything else a hash whose key changes every
    month.
    """
    type: OriginType
    """Where the question came from."""
    flow_graph: FlowGraph
    """The shape of the flow that ran."""

    def properties(self) -> dict[str, Any]:
        """Return the event's own fields in wire form."""
        return {
            "version": self.version,
            "chatflowId": self.chatflow_id,
            "chatId": self.chat_id,
            "type": self.type,
            "flowGraph": self.flow_graph.properties() if isinstance(self.flow_graph, FlowGraph) else self.flow_graph,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCreated:
    """A custom tool was created."""

    EVENT: ClassVar[str] = "tool_created"

    version: str | None = None
    """Version of the app: three numbers, and at most one word with two more. Filled from the app's version where it is
    None.
    """
    tool_id: str
    """Id of the tool, as the app's database made it; a hash of it, whose key changes every month, where ids are hashed.
    """
    tool_name: str | None
    """The tool's function name, as a model is told it, chosen by a person; nothing where it does not look like one, or
    looks like a credential.
    """

    def properties(self) -> dict[str, Any]:
        """Return the event's own fields in wire form."""
        return {
            "version": self.version,
            "toolId": self.tool_id,
            "toolName": self.tool_name,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorUpserted:
    """Documents were written to a vector store by a flow."""

    EVENT: ClassVar[str] = "vector_upserted"

    version: str | None = None
    """Version of the app: three numbers, and at most one word with two more. Filled from the app's version where it is
    None.
    """
    chatflow_id: str
    """Id of the flow, as the app's database made it; a hash of it, whose key changes every month, where ids are hashed.
    """
    type: OriginType
    """Where the upsert came from."""
    flow_graph: FlowGraph
    """The shape of the flow that ran."""
    stop_node_id: str | None = None
    """Id of the vector store node that was written to, where the app names one; one of a type that is not known is
    other and a number.
    """

    def properties(self) -> dict[str, Any]:
        """Return the event's own fields in wire form."""
        return {
            "version": self.version,
            "chatflowId": self.chatflow_id,
            "type": self.type,
            "flowGraph": self.flow_graph.properties() if isinstance(self.flow_graph, FlowGraph) else self.flow_graph,
            "stopNodeId": self.stop_node_id,
        }


Event = AssistantCreated | ChatflowCreated | PredictionSent | ToolCreated | VectorUpserted
"""Any of the events."""

EVENT_CLASSES: dict[str, type[Event]] = {
    "assistant_created": AssistantCreated,
    "chatflow_created": ChatflowCreated,
    "prediction_sent": PredictionSent,
    "tool_created": ToolCreated,
    "vector_upserted": VectorUpserted,
}
"""The class of each event, by the event's name."""

CLASSES: dict[str, type[Any]] = {
    "AssistantType": AssistantType,
    "Edge": Edge,
    "FlowGraph": FlowGraph,
    "OriginType": OriginType,
}
"""The class of each nested record and enum, by its Avro name."""
