"""`budge run`: the service on the Pi."""

import logging
import sys
from contextlib import ExitStack

from deploy.commands.options import AsJson, Broker, Config, Device, StateDir, Windows, changed

log = logging.getLogger(__name__)


def run(
    config: Config = None,
    broker: Broker = None,
    device: Device = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
    windows: Windows = False,
) -> None:
    """Read the sensor, learn from the button, tell what is happening.

    Example: budge run --config budge.toml
    """
    from deploy.sensing import open_source
    from deploy.service import open_inputs, open_outputs, serve, signals, warm_up
    from deploy.settings import Settings, SettingsError, read

    def chosen() -> Settings:
        return changed(
            read(config),
            broker=broker,
            device=device,
            state_dir=state_dir,
            as_json=as_json,
            windows=windows,
        )

    settings = chosen()
    again = True
    # Before a life and between two there is nothing to finish: a signal ends it at once. So does a
    # SIGHUP, after which systemd starts it with the settings as they are then.
    with signals(sys.exit):
        while again:
            with ExitStack() as stack:
                inputs = open_inputs(settings)  # what its owner has to mend is said before the wait
                warm_up(settings)
                source = open_source(settings, stack)
                again = serve(settings, source, open_outputs(settings), inputs=inputs)
            if again:
                try:
                    settings = chosen()
                except SettingsError as error:
                    log.warning("going on with the settings as they were: %s", error)
