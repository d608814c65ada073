"""The Python client of docs/protocol.md: `Client`, and the records that its events are.

`conformance.py` tries a gateway against the rules of that page; nothing here
knows how a gateway or a scanner does its work.
"""

from tradeul.client.client import Client, ClientEvent, Lost
from tradeul.records.messages import Connected, ErrorMessage, ListHead, NewDay, Row, Snapshot, Status, Unsubscribed

__all__ = ["Client", "ClientEvent", "Connected", "ErrorMessage", "ListHead", "Lost", "NewDay", "Row", "Snapshot", "Status", "Unsubscribed"]
