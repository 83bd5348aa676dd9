"""The one place that makes an MQTT client of the settings' [mqtt]: protocol, transport, TLS, login.

paho's thread has two traps, and its client is made safe here: an error in it ends the thread
without a word, while `is_connected()` goes on saying yes; a callback that hangs stops it as
silently.
"""

import contextlib
import logging
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from deploy.settings import Mqtt, SettingsError

log = logging.getLogger(__name__)

Protocol = Literal["3.1.1", "5"]

PROTOCOLS = {"3.1.1": paho.MQTTv311, "5": paho.MQTTv5}
TOO_NEW = "Unsupported protocol version"  # paho's word for what an MQTT 3 broker answers to a 5
KEEPALIVE_S = 20  # a broker that hangs is noticed after about twice this
RECONNECT_S = (1, 5)
# paho goes round at least once a second; a name that cannot be looked up takes the resolver's 30 s.
ALIVE_S = 60.0


def _ours(record: logging.LogRecord) -> bool:
    """Of paho's own lines only our mistakes: what the broker does is told in plain words."""
    return "Caught exception" in str(record.msg)


logging.getLogger(f"{__name__}.paho").addFilter(_ours)


class Client(paho.Client):
    """paho's, as the settings want it; begin with `begin` or `connect_now`."""

    def __init__(
        self, mqtt: Mqtt, client_id: str = "", *, protocol: Protocol | None = None
    ) -> None:
        """`protocol`: instead of the settings'. Raises SettingsError where TLS cannot be set up."""
        self._chosen = protocol or mqtt.protocol
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=PROTOCOLS[self._chosen],
            transport=mqtt.transport,
        )
        self._mqtt = mqtt
        self._went_round_s = time.monotonic()
        self.on_round: Callable[[], None] | None = None  # once a round, in paho's thread
        self.where = f"{mqtt.host}:{mqtt.port}"
        self.enable_logger(logging.getLogger(f"{__name__}.paho"))
        self.suppress_exceptions = True  # of callbacks
        self.reconnect_delay_set(*RECONNECT_S)
        self.ws_set_options(mqtt.path)
        if mqtt.username is not None:
            self.username_pw_set(mqtt.username, mqtt.password)
        if (context := _tls(mqtt)) is not None:
            self.tls_set_context(context)

    def begin(self) -> None:
        """Connect whenever the broker is there, and again, in a thread."""
        self._went_round_s = time.monotonic()
        self.connect_async(self._mqtt.host, self._mqtt.port, KEEPALIVE_S, **self._clean())
        self.loop_start()

    def connect_now(self) -> None:
        """Connect, and go on in a thread. Raises OSError where there is no broker."""
        self.connect(self._mqtt.host, self._mqtt.port, KEEPALIVE_S, **self._clean())
        self.loop_start()

    def end(self, within_s: float) -> None:
        """As `loop_stop`, but within a time: it may hang in a look-up or on a mute connection.

        It begins no thread: where memory is short that may die before it has begun, and Python's
        `Thread.start` then waits for its beginning for ever.
        """
        self._thread_terminate = True
        thread = self._thread
        if thread is not None:
            thread.join(within_s)
        if thread is None or not thread.is_alive():
            self.loop_stop()

    def _clean(self) -> dict[str, Any]:
        # paho's own choice for MQTT 5 is clean only at first: what was pressed while the Wi-Fi was
        # away would then be heard when it is back, as if it were pressed now.
        return {"clean_start": True} if self._chosen == "5" else {}

    @property
    def alive(self) -> bool:
        """Whether the network thread is there and goes round, connected or not."""
        return time.monotonic() - self._went_round_s < ALIVE_S

    def loop_misc(self) -> MQTTErrorCode:
        """Note that the thread lives: paho calls this at least once a second while connected."""
        self._went_round_s = time.monotonic()
        if self.on_round is not None:
            self.on_round()
        return super().loop_misc()

    def reconnect(self) -> MQTTErrorCode:
        """Note that the thread lives: paho calls this for each try. Raises OSError."""
        self._went_round_s = time.monotonic()
        try:
            return super().reconnect()
        except UnicodeError as error:  # paho does not expect it
            raise OSError(f"{self._mqtt.host!r} is no name of a computer") from error

    def loop_forever(
        self, timeout: float = 1.0, retry_first_connection: bool = False
    ) -> MQTTErrorCode:
        """Go on after an error that paho did not expect: this is all that its thread does."""
        told = ""
        while True:
            try:
                return super().loop_forever(timeout, retry_first_connection)
            except Exception as error:
                sentence = f"the connection to the broker at {self.where} broke down"
                if (kind := f"{type(error).__name__}: {error}") != told:
                    log.warning("%s (%s): beginning anew", sentence, kind, exc_info=True)
                told = kind
                if (broken := self.socket()) is not None:  # half a message may have been read
                    with contextlib.suppress(OSError):
                        broken.close()
                time.sleep(RECONNECT_S[0])

    def loop_stop(self) -> MQTTErrorCode:
        """End the thread, and close what paho leaves to the garbage collector."""
        result = super().loop_stop()
        self._reset_sockets()
        return result

    # -- what the broker does, in words for its owner --------------------------------------------

    def refusal(self, reason: object) -> str:
        """Say why the broker did not let us in, and what to do."""
        advice = ""
        if str(reason) == TOO_NEW:
            advice = ', it knows no MQTT 5: set protocol = "3.1.1" in [mqtt]'
        elif str(reason) in {"Not authorized", "Bad user name or password"}:
            advice = ": check username and password in [mqtt]"
        return f"the broker at {self.where} refused us: {reason}{advice}"

    def trouble(self, error: BaseException | None) -> str:
        """Say why there is no connection, and where it is worth looking."""
        match error:
            case ssl.SSLCertVerificationError():
                hint = f"not trusted ({error.verify_message})"
                return f"the certificate of the broker at {self.where} is {hint}: see ca in [mqtt]"
            case ssl.SSLError():
                return f"no TLS with the broker at {self.where} ({error.reason}): see tls in [mqtt]"
            case paho.WebsocketConnectionError():
                hint = "see transport and path in [mqtt]"
                return f"no websocket at {self.where}{self._mqtt.path} ({error}): {hint}"
            case ConnectionResetError():
                return self.hung_up
        return f"no broker at {self.where} ({getattr(error, 'strerror', None) or error})"

    @property
    def hung_up(self) -> str:
        """Say what a broker may want that ends the connection before it has greeted us."""
        return (
            f"the broker at {self.where} hung up before it greeted us: see in [mqtt] whether it"
            " wants tls, a certificate, websockets, or protocol 3.1.1"
        )


def _tls(mqtt: Mqtt) -> ssl.SSLContext | None:
    files = {"ca": mqtt.ca, "certificate": mqtt.certificate, "key": mqtt.key}
    if not mqtt.tls:
        for name, path in files.items():
            if path is not None:
                raise SettingsError(f"`{name}` in [mqtt] is used with tls = true alone")
        return None
    for name, path in files.items():
        try:
            if path is not None:
                Path(path).read_bytes()
        except OSError as error:
            raise SettingsError(
                f"`{name}` in [mqtt] is {path!r}, which cannot be read: {error.strerror}"
            ) from error
    try:
        context = ssl.create_default_context(cafile=mqtt.ca)
    except ssl.SSLError as error:
        raise SettingsError(
            f"`ca` in [mqtt] is {mqtt.ca!r}, expected certificates as PEM: {error.reason}"
        ) from error
    if mqtt.ca is not None:  # one made at home seldom has all that RFC 5280 asks of it
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # which Python asks from 3.13 on
    _show_certificate(context, mqtt)
    return context


def _show_certificate(context: ssl.SSLContext, mqtt: Mqtt) -> None:
    if mqtt.certificate is None:
        if mqtt.key is not None:
            raise SettingsError("`key` in [mqtt] needs its `certificate`")
        return
    try:
        # An encrypted key is refused; OpenSSL would ask for its password at a terminal.
        context.load_cert_chain(mqtt.certificate, mqtt.key, password=lambda: "")
    except ssl.SSLError as error:
        raise SettingsError(
            "`certificate` and `key` in [mqtt] are no pair of PEM files without a password:"
            f" {error.reason}"
        ) from error
