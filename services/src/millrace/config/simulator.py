"""Settings of the simulator."""

from pathlib import Path

from pydantic import BaseModel, Field

from millrace.config.base import LONGEST_SECONDS, SECRETS


class SimulatorSettings(BaseModel):
    """Settings of the simulator."""

    simulator_port: int = Field(
        default=8443, ge=1, le=65535, description="HTTPS port of the simulator."
    )
    simulator_tls_cert: Path = Field(default=SECRETS / "tls.crt", description="Server certificate.")
    simulator_tls_key: Path = Field(default=SECRETS / "tls.key", description="Private key.")
    simulator_refresh_seconds: float = Field(
        default=60.0, gt=0, le=LONGEST_SECONDS, description="How often the simulated prices change."
    )
