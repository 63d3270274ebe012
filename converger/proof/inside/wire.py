"""Packets between the worker and the process that started it: one JSON object each.

Never over standard output, because migrations print.
"""

import json

PACKET = 128 * 1024  # below Linux' default socket buffer, so that a packet is sent whole
TEXT = 6000  # characters of a statement or message that are worth sending; a packet holds several


def send(sock, message):
    """Send a message whole; what is too long for one packet loses its ends."""
    packet = _packet(message)
    for _ in range(20):
        if len(packet) <= PACKET:
            break
        message = {
            key: value[: len(value) // 2] if isinstance(value, (str, list)) and len(value) > 100 else value
            for key, value in message.items()
        }
        if isinstance(message.get("frames"), list):
            message["frames"] = message["frames"][: len(message["frames"]) // 2]
        packet = _packet(message)
    sock.send(packet)


def _packet(message):
    return json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")


def text(value, limit=TEXT):
    """A value as text of bounded length, whatever it does when asked."""
    try:
        return str(value)[:limit]
    except BaseException:
        return "<%s>" % type(value).__name__
