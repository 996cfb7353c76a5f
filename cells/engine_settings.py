"""Settings of engines, from a user's YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from commons import yamlfile
from commons.errors import NotThere, Refused, cut

NAMES = ("local", "slurm", "ray")
Scalar = str | int | float | bool
Positive = Annotated[float, Field(gt=0)]


class Workers(BaseModel):
    """What every engine on other machines may be told.

    Attributes:
        minutes: of work that one job should hold, by the estimates; more than that is split.
        cpus: cores of a job.
        gpus: GPUs of a job; 0: none.
        memory: of a job, GB; None: what the cluster gives.
        data: the folder of corpora on the machine of a job, where it differs from --data; $VARIABLES are those of that
            machine.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    minutes: Positive = 20
    cpus: Annotated[int, Field(ge=1)] = 4
    gpus: Annotated[float, Field(ge=0)] = 0
    memory: Positive | None = None
    data: str | None = None


class Slurm(Workers):
    """Settings of --engine slurm. What is not named here is an option of sbatch, passed on as it is.

    Attributes:
        time: limit of a job, minutes; a job that reaches it is queued again, and goes on.
        at_once: jobs of the array that run at the same time.
        requeue: how often a job that reached its time limit is queued again; after preemption it always is.
        setup: shell lines that a job runs first, such as `module load cuda`.
        python: command that starts Python on the machine of a job; None: the Python of this command.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    gpus: Annotated[int, Field(ge=0)] = 0
    time: Annotated[int, Field(ge=1)] = 120
    at_once: Annotated[int, Field(ge=1)] = 64
    requeue: Annotated[int, Field(ge=0)] = 10
    setup: tuple[str, ...] = ()
    python: str | None = None

    @property
    def others(self) -> dict[str, JsonValue]:
        """Options of sbatch that have no field here: partition, account, qos, constraint ..."""
        return dict(self.model_extra or {})


class Ray(Workers):
    """Settings of --engine ray.

    Attributes:
        gpus: of a job; parts of one, such as 0.25, are allowed.
        retries: how often a job is tried again whose machine or process was lost.
        resources: further resources of Ray that a job takes.
        address: of the cluster; None: Ray starts one on this machine.
        environment: variables of the jobs' processes.
    """

    retries: Annotated[int, Field(ge=0)] = 3
    resources: dict[str, Positive] = {}
    address: str | None = None
    environment: dict[str, str] = {}


def chosen(engine: str, file: Path | None, address: str | None) -> Slurm | Ray | None:
    """The settings of an engine; None for this machine.

    Raises:
        Refused: the file does not fit the engine.
        NotThere: there is no such file.
        NotYaml: it cannot be read.
    """
    if engine == "local" and (file or address):
        raise Refused("--engine-config and --address need an engine that has settings: --engine slurm or ray")
    if engine == "slurm" and address:
        raise Refused("--address is of --engine ray; for Slurm, run the command where sbatch works")
    if engine == "local":
        return None
    content: dict[str, object] = {}
    if file is not None:
        file = file.expanduser()
        if not file.is_file():
            raise NotThere("file of --engine-config", file)
        content = yamlfile.mapping(file, "settings of the engine, one `name: value` a line", may_be_empty=True)
    if address:
        content["address"] = address
    try:
        made = Slurm.model_validate(content) if engine == "slurm" else Ray.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            known = ", ".join(sorted(Ray.model_fields))
            raise Refused(f"{file}: --engine {engine} has no setting {cut(at)!r}; known: {known}") from None
        raise Refused(f"{file}: {at}: {first['msg']}, not {cut(repr(first['input']), 60)}") from None
    if isinstance(made, Slurm):
        _refuse_odd(made, file)
    return made


def _refuse_odd(settings: Slurm, file: Path | None) -> None:
    """Raise Refused for an option of sbatch that is no single value, or that would break what the engine sets."""
    ours = {"array", "output", "error", "signal", "wrap", "open-mode"}
    for name, value in settings.others.items():
        if not isinstance(value, Scalar) or (isinstance(value, str) and "\n" in value):
            raise Refused(f"{file}: {cut(name)}: an option of sbatch has one value, as in `{cut(name, 20)}: gpu`")
        if name.replace("_", "-") in ours:
            raise Refused(f"{file}: {name} is set by emorep; remove it (at_once bounds the array)")


def name(settings: Slurm | Ray | None) -> str:
    """The name of the engine that has these settings."""
    return "local" if settings is None else type(settings).__name__.lower()
