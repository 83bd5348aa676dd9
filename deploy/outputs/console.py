"""The terminal: a live line a window and a line for every press, or JSON for a program."""

import sys
from io import StringIO

import msgspec
from rich.console import Console
from rich.markup import escape

from deploy.lines import Lines, encoded
from deploy.messages import NOT_LABELLING, UNSURE, Activity, Label, Message, Response, Window
from deploy.output import Command
from deploy.score import Truth
from deploy.settings import Settings

BAR = 12


class Output:
    """Writes to the standard output. `truth` says what was really done, where that is known."""

    def __init__(self, settings: Settings, truth: Truth | None = None) -> None:
        console = settings.console
        self._json = console.json
        self._truth = truth
        self._lines = Lines(lossless=console.lossless, reader_ends=console.reader_ends)
        self._page = StringIO()
        terminal = True if sys.stdout is not None and sys.stdout.isatty() else None
        self._console = Console(file=self._page, force_terminal=terminal, highlight=False)
        self._label = ""

    def start(self, command: Command) -> None:  # noqa: ARG002 it gives none
        """Begin to write."""
        self._lines.start()

    def send(self, message: Message) -> None:
        if self._json:
            fields = {"topic": message.topic, **msgspec.to_builtins(message)}
            self._lines.put(msgspec.json.encode(fields) + b"\n")
            return
        match message:
            case Window():
                self._window(message)
            case Label() if message.label != NOT_LABELLING:
                self._label = f"  teaching [bold]{escape(message.label)}[/]: {message.windows}"
            case Label():
                self._label = ""
            case Response():
                self._response(message)
            case Activity():
                pass  # the window's line has said it

    def _window(self, window: Window) -> None:
        full = round(BAR * window.confidence)
        sure = f"[green]{'━' * full}[/][dim]{'─' * (BAR - full)}[/] {window.confidence:4.0%}"
        name = f"[bold green]{escape(window.activity):<16}[/]"
        if window.activity == UNSURE:
            name, sure = f"[dim]{'not sure':<16}[/]", " " * (BAR + 5)
        really = self._truth(window.start_s, window.end_s) if self._truth else None
        mark = f"[red]✗[/] {escape(really)}" if really else ""
        if really == window.activity:
            mark = "[green]✓[/]"
        self._print(f"{window.ts[11:19]}  {name} {sure}  {mark:<8}{self._label}")

    def _response(self, response: Response) -> None:
        if response.status != "ok":
            self._print(f"          [red]refused:[/] {escape(response.error or '')}")
            return
        data = response.data
        if "windows" not in data:
            said = ", ".join(f"{key}: {value}" for key, value in data.items() if key != "action")
            self._print(f"          [yellow]{data['action']}[/] {escape(said)}")
            return
        plural = "" if data["windows"] == 1 else "s"
        count = "" if data["action"] == "started" else f" ({data['windows']} window{plural})"
        if "activity" not in data:
            self._print(f"          [yellow]{data['action']}[/]{count}")
            return
        name = str(data["activity"] or f"{data['start']} to {data['end']}")
        if "from" in data:
            name = f"{data['from']} to {name}"
        self._print(f"          [yellow]{data['action']}[/] {escape(name)}{count}")

    def _print(self, markup: str) -> None:
        self._page.seek(0)
        self._page.truncate()
        self._console.print(markup, soft_wrap=True, end="")
        self._lines.put(encoded(self._page.getvalue()))

    def close(self) -> None:
        self._lines.close()
