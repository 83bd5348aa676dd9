"""A recognizer as bytes, so that a learner that has one can be copied and pickled.

Its own form is named arrays and JSON, never pickle; it goes into other people's pickles as that.
"""

from io import BytesIO

from learner.recognizer import Recognizer


def packed(recognizer: Recognizer) -> bytes:
    """All that was learnt: equal if it is. What `observe` knows of the last windows is not kept."""
    file = BytesIO()
    recognizer.save(file)
    return file.getvalue()


def unpacked(content: bytes) -> Recognizer:
    """Undo `packed`. Raises ModelFileError where it was packed by another version."""
    return Recognizer.load(BytesIO(content))
