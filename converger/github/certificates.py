"""Whom to trust: one certificate store for git and for the API.

requests brings a store of its own and looks at other variables than git does, and neither takes SSL_CERT_FILE, which
most programs do. A GitHub Enterprise Server often has a certificate that only its company knows.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

FOR_THE_API = "REQUESTS_CA_BUNDLE"
FOR_GIT = "GIT_SSL_CAINFO"
_ANY = (FOR_THE_API, "CURL_CA_BUNDLE", "SSL_CERT_FILE", FOR_GIT)
# Where a company's certificates come to be in an image that is made of another base (update-ca-certificates(8)).
SYSTEM = "/etc/ssl/certs/ca-certificates.crt"


def trust(environment: MutableMapping[str, str]) -> None:
    """Set the variables of git and of requests where they are not set: to what another one says, else the system's."""
    chosen = next((environment[name] for name in _ANY if environment.get(name)), None)
    if chosen is not None:
        environment.setdefault(FOR_THE_API, chosen)
        environment.setdefault(FOR_GIT, chosen)
    elif os.path.isfile(SYSTEM):
        # git has it from the system already.
        environment[FOR_THE_API] = SYSTEM
