"""What became of the events that streams numbered, as a sink's account tells it."""

from flowise_telemetry_consumer.loss.figure import DEFAULT_AGE_SECONDS, Loss, loss_of
from flowise_telemetry_consumer.loss.outcome import Outcome

__all__ = ["DEFAULT_AGE_SECONDS", "Loss", "Outcome", "loss_of"]
