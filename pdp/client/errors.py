"""What goes wrong when a PDP is asked. Whichever it is: nothing was allowed.

PdpError
├── Unreachable        nothing was decided: no connection, no answer in time, or a 5xx
│   └── NotUnderstood      there was an answer, but it is none of a PDP
├── Refused            the PDP does not answer this application: its key is missing or wrong
└── BadQuestion        the PDP does not understand the question, and says why
"""

from __future__ import annotations


class PdpError(Exception):
    """The root of every error of this client; none holds a key or a credential."""


class Unreachable(PdpError):
    """Nothing was decided."""


class NotUnderstood(Unreachable):
    """What came back is no answer of a PDP."""


class Refused(PdpError):
    """The caller is not known, or may not ask."""


class BadQuestion(PdpError):
    """The question cannot be asked like this; the message is the PDP's, where there is one."""
