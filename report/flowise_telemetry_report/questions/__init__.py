"""Questions to a sink, as SQL that its own engine runs, and how the answers are shown."""

from flowise_telemetry_report.questions.bases import HEAVY_EVENTS_A_DAY, bases_for
from flowise_telemetry_report.questions.catalog import sections
from flowise_telemetry_report.questions.question import Base, Parts, Question, QuestionSection, Share

__all__ = [
    "HEAVY_EVENTS_A_DAY",
    "Base",
    "Parts",
    "Question",
    "QuestionSection",
    "Share",
    "bases_for",
    "sections",
]
