"""The thread that reads the source, so that a slow learner never makes a FIFO overflow."""

import logging
import threading
from dataclasses import replace

from deploy.inbox import Ended, Inbox
from firmware_bridge.source import Chunk, Source

log = logging.getLogger(__name__)


class Reader(threading.Thread):
    """Moves chunks from the source to the inbox until either ends."""

    def __init__(self, source: Source, inbox: Inbox) -> None:
        super().__init__(name="budge-reader", daemon=True)
        self._source = source
        self._inbox = inbox
        self.lost_rows = 0

    def run(self) -> None:
        try:
            # Rows lost to a full inbox are a gap like any other: what follows is a new run.
            gaps, lost_in, base = 0, -1, 0
            for chunk in self._source.chunks():
                if chunk.run != lost_in:
                    base = 0
                if not self._inbox.put_chunk(self._renumbered(chunk, gaps, base)):
                    if self.lost_rows == 0:
                        log.warning("the learner is too slow for the sensor: rows are lost")
                    self.lost_rows += len(chunk.counts)
                    gaps, lost_in, base = gaps + 1, chunk.run, chunk.first + len(chunk.counts)
        except Exception as error:  # noqa: BLE001  the loop's thread raises it
            self._inbox.put_chunk(Ended(error))
        else:
            self._inbox.put_chunk(Ended())

    def _renumbered(self, chunk: Chunk, gaps: int, base: int) -> Chunk:
        if gaps == 0:
            return chunk
        return replace(
            chunk,
            run=chunk.run + gaps,
            first=chunk.first - base,
            run_start_s=chunk.run_start_s + base / self._source.rate_hz,
            cause="the learner was too slow" if base else chunk.cause,
        )
