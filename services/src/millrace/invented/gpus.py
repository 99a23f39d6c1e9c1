"""Invented GPUs that serve language models: load, power, temperature and used tokens.

The load of a GPU follows the time of day (UTC) with some noise. Power follows the load, temperature
follows power with a delay, and the tokens of any time are those that its load allows.
"""

import math
from dataclasses import dataclass

from millrace.invented import noise

DAY_SECONDS = 86_400
BUSIEST_HOUR = 14
TURNS = ((30.0, 6.0), (300.0, 12.0), (3600.0, 8.0))
"""Periods in seconds and amplitudes in percent of the load's noises."""
AMBIENT = 27.0
DEGREES_PER_WATT = 0.15
HEAT_SECONDS = 60.0
"""Time after which the temperature has followed two thirds of a change of power."""
HEAT_STEPS = 12
LOAD_SECONDS = 5.0
"""Within this time the load is taken for constant."""
MOST_LOADS = 100


@dataclass(frozen=True)
class Gpu:
    """A kind of GPU, and the model that it serves."""

    index: int
    name: str
    memory: int
    """MiB."""
    idle_watts: float
    most_watts: float
    model: str
    model_memory: int
    """MiB."""
    most_tokens: float
    """Tokens per second at full load."""


GPUS = (
    Gpu(0, "RTX 3090", 24_576, 30.0, 350.0, "llama-3.1-8b-instruct", 17_200, 900.0),
    Gpu(1, "A100 40GB", 40_960, 45.0, 250.0, "qwen2.5-14b-instruct", 31_800, 2400.0),
)


@dataclass(frozen=True)
class Gpus:
    """The GPUs of a host. Another seed makes them do something else."""

    seed: int
    host: str

    def load(self, gpu: Gpu, at: float) -> float:
        """The load of a GPU at a time (seconds since 1970), in percent."""
        turn = 2 * math.pi * (at / DAY_SECONDS - BUSIEST_HOUR / 24)
        load = 55 + 25 * math.cos(turn)
        for seconds, swing in TURNS:
            load += swing * noise.smooth(self.name(gpu, f"load/{seconds}"), at / seconds)
        return min(max(load, 0.0), 100.0)

    def power(self, gpu: Gpu, at: float) -> float:
        """Power in watts at a time."""
        return gpu.idle_watts + (gpu.most_watts - gpu.idle_watts) * self.load(gpu, at) / 100

    def temperature(self, gpu: Gpu, at: float) -> float:
        """Degrees Celsius at a time: a weighted average of past power, most recent first."""
        step = 4 * HEAT_SECONDS / HEAT_STEPS
        weights = [math.exp(-n * step / HEAT_SECONDS) for n in range(HEAT_STEPS)]
        heat = sum(w * self.power(gpu, at - n * step) for n, w in enumerate(weights))
        return AMBIENT + DEGREES_PER_WATT * heat / sum(weights)

    def memory(self, gpu: Gpu, at: float) -> float:
        """Used MiB at a time: the model, and more for more requests at once."""
        return float(gpu.model_memory + round(20 * self.load(gpu, at)))

    def tokens(self, gpu: Gpu, since: float, until: float) -> float:
        """The tokens that the GPU's model uses between two times."""
        parts = min(math.ceil((until - since) / LOAD_SECONDS), MOST_LOADS)
        part = (until - since) / parts
        loads = sum(self.load(gpu, since + (n + 0.5) * part) for n in range(parts))
        return gpu.most_tokens * loads / 100 * part

    def name(self, gpu: Gpu, what: str) -> str:
        """The name of a noise."""
        return f"{self.seed}/{self.host}/{gpu.index}/{what}"
