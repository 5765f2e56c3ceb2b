"""What every service can be asked about its projections, by operators."""

from pydantic import BaseModel


class ListProjections(BaseModel):
    """rpc.<service>.projections."""


class ProjectionState(BaseModel):
    """Where a projection stands; `status` is active, standby or stopped, with `reason` when it stopped."""

    name: str
    stream: str
    incarnation: str
    sequence: int
    status: str
    lag_messages: int
    age_seconds: float
    rebuildable: bool
    reason: str | None = None


class ProjectionStates(BaseModel):
    """All projections of one service."""

    items: list[ProjectionState]


class RebuildProjection(BaseModel):
    """rpc.<service>.rebuild."""

    name: str


class Rebuilt(BaseModel):
    """A projection's tables were swapped in at this sequence."""

    name: str
    sequence: int
